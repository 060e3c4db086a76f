"""A map becomes a box round its hottest part, in pixels of the image."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.compact import MOST_CELLS, expanded
from gradcam_cli.cam.maps import normalised
from gradcam_cli.errors import GradcamError
from gradcam_cli.images.fit import place, to_picture
from gradcam_cli.models.arrays import read_array
from gradcam_cli.store.records import ExplanationRecord

_INPUT_PIXELS = 32
"""Of the network's input for each cell, so that padding is rounded as finely as it was."""
_NEAR = 0.9


class Box(NamedTuple):
    """Left, top, width and height in pixels, and how many pixels of it belong to the component."""

    left: int
    top: int
    width: int
    height: int
    area: int


def heat_of(item: ExplanationRecord, folder: Path) -> NDArray[np.float32] | None:
    """Return a map in 0..1, ``[u, v]``, from its array or its record; None where neither is there.

    A manifest is a file that anybody can write: no array outside ``folder`` is read.
    """
    name = item.files.get("array", "")
    root, path = (os.path.realpath(each) for each in (folder, folder / name))
    if name and Path(path).is_relative_to(root):
        with suppress(GradcamError):
            raw = read_array("map", Path(path))
            if raw.ndim == 2 and raw.size:
                return normalised(raw.astype(np.float32))
    return expanded(item.heat)


def levels_of(
    heat: NDArray[np.float32], picture: tuple[int, int], resize: str
) -> NDArray[np.uint8]:
    """Return a map ``[u, v]`` on an image of ``(H, W)``, as overlays show it, uint8 ``[H, W]``.

    Its cells are taken to tile the network's input, which the image was fitted into by ``resize``.
    """
    rows, columns = heat.shape
    network = (rows * _INPUT_PIXELS, columns * _INPUT_PIXELS)
    return to_picture(heat, place(picture, network, resize))


def box_of(levels: NDArray[np.uint8], threshold: float) -> Box | None:
    """Return the box round the largest component of the pixels of at least ``threshold``.

    ``threshold`` is a share of the maximum. Pixels that touch at a corner are connected. None where
    there is no heat at all.
    """
    least = max(1, int(np.ceil(threshold * float(levels.max(initial=0)) - 1e-9)))
    mask = (levels >= least).view(np.uint8)
    count, _, facts, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
    return Box(*map(int, facts[largest]))


def misplaced(
    item: ExplanationRecord, heat: NDArray[np.float32], levels: NDArray[np.uint8]
) -> bool:
    """Return whether the record's peak is not where the drawn map is hot.

    Then its cells lie elsewhere in the image. Of maps that were averaged for the record nothing can
    be said.
    """
    if item.peak is None or max(heat.shape) >= MOST_CELLS:
        return False
    x, y = item.peak
    inside = 0 <= y < levels.shape[0] and 0 <= x < levels.shape[1]
    return not inside or bool(levels[y, x] < _NEAR * float(levels.max()))
