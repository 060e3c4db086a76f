"""What is asked of a network is settled before anything is traced, or refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS
from gradcam_cli.errors import GradcamError, ModelError
from gradcam_cli.explaining.methods import check_methods
from gradcam_cli.models.classes import ClassChoice, parse_classes, resolve
from gradcam_cli.models.load import Model
from gradcam_cli.network.paths import named_operations, resolve_layer
from gradcam_cli.spec.explain import ExplainSpec


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is traced for: a spec whose names have become indices and paths.

    Without ``spec``, for predictions only. ``methods`` are in the order of METHODS, ``layers`` are
    paths. ``contrast`` is the class whose score is subtracted. ``reference`` is the vector, float32
    ``[D]``, that the network's output is compared with in place of its classes.
    """

    model: Model
    spec: ExplainSpec | None
    batch_size: int
    methods: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    classes: ClassChoice = field(default_factory=ClassChoice)
    contrast: int | None = None
    reference: NDArray[np.float32] | None = None

    def of_kinds(self, *needs: str) -> list[str]:
        """Return the methods that need one of these, and those whose maps others multiply."""
        factors = {METHODS[name].times for name in self.methods}
        return [
            name
            for name, row in METHODS.items()
            if row.needs in needs and (name in self.methods or name in factors)
        ]


def settled(
    model: Model,
    spec: ExplainSpec | None,
    batch_size: int,
    reference: NDArray[np.float32] | None = None,
) -> Request:
    """Settle what a spec asks of a model.

    Raises GradcamError for methods, classes and options that do not go together, ModelError for a
    layer or class that the model does not have.
    """
    batch_size = model.ports.batch or batch_size
    if spec is None:
        return Request(model, None, batch_size)
    methods = check_methods(spec)
    classes, contrast = ClassChoice(top=1), None
    if reference is None:
        count = max(model.classes, 2)
        classes = parse_classes(spec.classes, model.labels, count)
        if spec.contrast:
            contrast = resolve(spec.contrast, model.labels, count)
        _check_contrast(classes, contrast, spec.contrast)
    layers = tuple(dict.fromkeys(_layer(model, each) for each in spec.layers))
    if spec.fuse != "none" and len(layers) < 2:
        raise GradcamError(
            "--fuse makes one map of several layers', and one layer is asked for",
            "give --layer more than once, or leave out --fuse",
        )
    return Request(model, spec, batch_size, methods, layers, classes, contrast, reference)


def _check_contrast(classes: ClassChoice, contrast: int | None, typed: str) -> None:
    if contrast is not None and contrast in classes.fixed:
        raise GradcamError(
            f"--contrast {typed} is the class that is explained",
            "name another one: the map shows what speaks for the one and not for the other",
        )


def _layer(model: Model, typed: str) -> str:
    """Return the path of the layer to explain: the one asked for, the model's, or the automatic."""
    if typed != "auto":
        return resolve_layer(typed, named_operations(model.network))
    if model.layer:
        return model.layer
    found = model.surveyed()
    if not found.default:
        raise ModelError(found.reason, "Grad-CAM needs a layer with a grid larger than 1 x 1")
    return found.default
