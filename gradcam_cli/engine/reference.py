"""What a network's output is compared with: a vector, or what it says of another image."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam import similarity
from gradcam_cli.engine.steps import fitted
from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.explainer import traced
from gradcam_cli.images.files import read_picture
from gradcam_cli.models.arrays import read_target
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.load import Model
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.run import RunSpec

_SIMILARITY = Labels(names=("similarity",), ids=())


def reference(model: Model, spec: RunSpec) -> tuple[Model, NDArray[np.float32] | None]:
    """Return a model whose one class is its similarity with a reference, and the reference.

    The reference is a unit vector, float32 ``[D]``; where none is asked for, the model is as it was
    and the reference None. Raises GradcamError for a vector or an image that cannot be used.
    """
    asked = spec.explain
    if asked is None or (asked.target is None and asked.like is None):
        return model, None
    model = replace(model, labels=_SIMILARITY, classes=1)
    alone = traced(model, None, 1)
    if asked.target is not None:
        source = f"--target {asked.target}"
        values = read_target(asked.target)
        length = len(alone(_blank(model))[0].scores)
    else:
        assert asked.like is not None  # noqa: S101  one of the two
        path = os.fspath(asked.like)
        source = f"--like {path}"
        try:
            image = read_picture(asked.like, path, white=spec.images.white)
            pixels = fitted(Found(asked.like, path), image, model, spec.images).input
        except ImageError as error:
            hint = error.hint or "name a picture that can be read"
            raise GradcamError(f"{source}: {error.message}", hint) from error
        values = alone(pixels[np.newaxis])[0].scores
        length = len(values)
    vector = similarity.reference(values, length, source)
    return model, vector


def _blank(model: Model) -> NDArray[np.uint8]:
    return np.zeros((1, *model.ports.size, model.ports.channels), np.uint8)
