"""The preprocessor that a KerasHub classifier carries becomes scaling and input size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcam_cli.models.scaling import SCALINGS, Scaling, listed


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """How a model's own preprocessor turns images into its input.

    ``size`` is ``(h, w)`` or None; ``resize`` is the value of ``--resize`` that does the same.
    """

    scaling: Scaling
    size: tuple[int, int] | None
    resize: str


def own_preprocessor(network: Any) -> Preprocessor | None:
    """Return what a classifier's ``preprocessor`` does; None where the network has none.

    Its image converter resizes, then gives ``pixel * scale + offset``, each one number or one a
    channel.
    """
    converter = getattr(getattr(network, "preprocessor", None), "image_converter", None)
    if converter is None:
        return None
    scale = np.atleast_1d(1.0 if converter.scale is None else converter.scale).astype(float)
    offset = np.atleast_1d(0.0 if converter.offset is None else converter.offset).astype(float)
    mean, std = -offset / scale, 1 / scale
    scaling = SCALINGS["none"]
    if (scale != 1).any() or offset.any():
        scaling = Scaling(
            name="preprocessor",
            says="as the model's own preprocessor does: minus "
            f"{listed(mean)}, divided by {listed(std)}",
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
        )
    size = converter.image_size
    crops, pads = converter.crop_to_aspect_ratio, converter.pad_to_aspect_ratio
    return Preprocessor(
        scaling=scaling,
        size=None if size is None else (int(size[0]), int(size[1])),
        resize="crop" if crops else "pad" if pads else "squash",
    )
