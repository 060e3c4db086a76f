"""A map becomes a box round its hottest part, in pixels of the image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.compact import MOST_CELLS, expanded
from gradcam_cli.cam.location import known
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
    heat: NDArray[np.float32],
    picture: tuple[int, int],
    resize: str,
    numbers: Sequence[float] = (),
) -> NDArray[np.uint8]:
    """Return a map ``[u, v]`` on an image of ``(H, W)``, as overlays show it, uint8 ``[H, W]``.

    The image was fitted into the network's input by ``resize``; ``numbers`` are the record's, which
    say where the map's cells lie there. Without any they are taken to tile it.
    """
    rows, columns = heat.shape
    tiling = (rows * _INPUT_PIXELS, columns * _INPUT_PIXELS), None
    network, cells = known(numbers, (rows, columns)) or tiling
    return to_picture(heat, place(picture, network, resize), cells)


def box_of(levels: NDArray[np.uint8], threshold: float) -> Box | None:
    """Return the box round the largest component of the pixels of at least ``threshold``.

    ``threshold`` is a share of the maximum. Pixels that touch at a corner are connected. Of several
    that are equally large it is the topmost. None where there is no heat at all.
    """
    least = max(1, int(np.ceil(threshold * float(levels.max(initial=0)) - 1e-9)))
    mask = (levels >= least).view(np.uint8)
    outlines, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = [number for number in range(len(outlines)) if tree[0, number, 3] < 0]
    enclosed = {number: _enclosed(outlines[number]) for number in outer}
    largest: Box | None = None
    for number in sorted(outer, key=enclosed.__getitem__, reverse=True):
        if largest is not None and enclosed[number] < largest.area:
            break  # what is within the other outlines is smaller still
        x, y = map(int, outlines[number][0, 0])
        area = enclosed[number]
        if tree[0, number, 2] >= 0:  # there are holes in it
            area = cv2.floodFill(mask.copy(), None, (x, y), 0, flags=8)[0]
        left, top, width, height = cv2.boundingRect(outlines[number])
        box = Box(left, top, width, height, area)
        if largest is None or (-box.area, box.top, box.left) < (-largest.area, *largest[1::-1]):
            largest = box
    return largest


def _enclosed(outline: NDArray[np.int32]) -> int:
    """Return how many pixels an outline goes through or encloses, by Pick's theorem."""
    steps = len(outline) if len(outline) > 1 else 0
    return round(cv2.contourArea(outline) + steps / 2) + 1


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
