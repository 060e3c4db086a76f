"""A stored map on an image that it was made of, or on any of its size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.maps import normalised
from gradcam_cli.gate.baseline import ClassMapEntry
from gradcam_cli.gate.packed import unpack
from gradcam_cli.images.fit import Cells, Placement, seen, strips, to_picture
from gradcam_cli.render.colours import blended

Pixels = NDArray[np.uint8]


def heat(item: ClassMapEntry | None) -> NDArray[np.float32] | None:
    """Return a stored map scaled to 0..1; None where there is none, or it is not finite."""
    values = unpack(item.map) if item is not None else None
    return None if values is None else normalised(values.astype(np.float32))


def _lying(item: ClassMapEntry, size: tuple[int, int]) -> tuple[Placement, Cells]:
    """Return where a stored map lies in an image: its input is taken to be one unit square."""
    height, width = size
    frame = item.map.frame
    return Placement(size, (1, 1), (0, 0, width, height)), Cells(frame.rows, frame.columns)


def overlay(pixels: Pixels, item: ClassMapEntry | None, warm: NDArray[np.float32] | None) -> Pixels:
    """Return a map laid on an image, RGB uint8 ``[h, w, 3]``; grey where there is none."""
    if item is None or warm is None:
        return np.full_like(pixels, 235)
    lying = _lying(item, (pixels.shape[0], pixels.shape[1]))
    return blended(pixels, strips(warm, *lying), seen(*lying))


def levels(
    item: ClassMapEntry | None, warm: NDArray[np.float32] | None, size: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return a map's heat on the image's pixels, 0..1; nowhere where there is none."""
    if item is None or warm is None:
        return np.zeros(size)
    return np.asarray(to_picture(warm, *_lying(item, (size[0], size[1]))) / 255)
