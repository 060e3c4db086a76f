"""What changed, side by side: the image, the baseline's map, the new map, and their difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.engine.steps import Prepared, drawable
from gradcam_cli.gate.baseline import ClassMapEntry
from gradcam_cli.gate.drawn import heat, levels, overlay
from gradcam_cli.gate.judge import Case
from gradcam_cli.images.encode import encode
from gradcam_cli.images.fit import shrink
from gradcam_cli.store.atomic import write_bytes

Pixels = NDArray[np.uint8]

_SIDE = 360
"""Pixels of a panel's longer side."""
_TITLE = 24
_GAP = 6
_MORE, _LESS = (214, 39, 40), (31, 119, 180)
"""Where there is more heat than before, and less."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Draws cases into a folder; ``stem(source)`` says where, below it."""

    folder: Path
    stem: Callable[[str], str]
    white: int = 0

    def __call__(self, case: Case, prepared: Prepared) -> Case:
        """Return a case with its file, which is in place.

        Raises ImageError when the image has changed meanwhile, GradcamError when nothing can be
        written.
        """
        with drawable(prepared, self.white) as pixels:
            small = shrink(pixels, _SIDE)
        path = self.folder / f"{self.stem(prepared.source.source)}.diff.jpg"
        write_bytes(path, encode(side_by_side(small, case), "jpg", 90))
        return replace(case, files={**case.files, "diff": str(path)})


def side_by_side(pixels: Pixels, case: Case) -> Pixels:
    """Return a case's maps as rows of panels, RGB uint8, on an image that is small already."""
    size = pixels.shape[:2]
    rows = []
    for pair in case.maps:
        panels = [_titled(pixels, "picture")]
        before, now = (heat(each) for each in (pair.before, pair.now))
        panels.append(
            _titled(overlay(pixels, pair.before, before), _title("baseline", pair.before))
        )
        name = "now" if pair.before is not None else "map"
        panels.append(_titled(overlay(pixels, pair.now, now), _title(name, pair.now)))
        change = levels(pair.now, now, size) - levels(pair.before, before, size)
        panels.append(_titled(_difference(pixels, change), "red: more, blue: less"))
        rows.append(_joined(panels if pair.before is not None else panels[:1] + panels[2:3], 1))
    return _joined(rows, 0) if rows else pixels


def _difference(pixels: Pixels, change: NDArray[np.float64]) -> Pixels:
    grey = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis], 3, axis=2)
    share = np.clip(np.abs(change), 0, 1)[:, :, np.newaxis]
    colour = np.where(change[:, :, np.newaxis] > 0, _MORE, _LESS)
    return np.asarray(np.rint(grey * (1 - share) + colour * share), np.uint8)


def _title(what: str, item: ClassMapEntry | None) -> str:
    if item is None:
        return f"{what}: not explained"
    name = item.name or f"class {item.index}"
    chance = "" if item.probability is None else f" {item.probability:.3f}"
    return f"{what}: {name}{chance}{' (empty)' if item.empty else ''}"


def _titled(pixels: Pixels, title: str) -> Pixels:
    bar = np.full((_TITLE, pixels.shape[1], 3), 255, np.uint8)
    text = title.encode("ascii", "replace").decode()  # OpenCV's letters are no others
    place = (3, _TITLE - 8)
    cv2.putText(bar, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    return np.vstack([bar, pixels])


def _joined(parts: list[Pixels], axis: int) -> Pixels:
    shape = list(parts[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([each for part in parts for each in (part, gap)][:-1], axis=axis)
