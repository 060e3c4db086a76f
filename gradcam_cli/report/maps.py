"""Maps become numbers and means: heat in the border, how far two are apart, a class's mean."""

from __future__ import annotations

import functools
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.compact import compact, expanded, resampled
from gradcam_cli.cam.maps import displayed, normalised
from gradcam_cli.regular import open_regular
from gradcam_cli.report.addresses import inside
from gradcam_cli.store.records import ExplanationRecord

BORDER = 0.1
"""How wide the border is on each side, as a share of the map's side: 36 % of the area in all."""

_MOST_BYTES = 16_000_000  # of an array: a map of 2000 x 2000 cells
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '<f4', 'fortran_order': False, "
    rb"'shape': \((\d{1,5}), (\d{1,5})\), \}",
    re.DOTALL,
)
_STOPS = 33  # colours between which a browser interpolates

_Key = TypeVar("_Key", bound=Hashable)


def heat_of(item: ExplanationRecord, folder: Path) -> NDArray[np.float32] | None:
    """Return a record's map, float32 ``[u, v]`` in 0..1, or None where there is nothing to show.

    Records of older versions do not have it; then the run's array file does, if there is one.
    """
    if item.empty:
        return None
    heat = expanded(item.heat)
    if heat is None and (path := inside(item.files.get("array", ""), folder)):
        raw = _array(path)
        heat = None if raw is None else normalised(raw)
    return heat if heat is not None and heat.max() > 0 else None


def drawn_heat(item: ExplanationRecord, folder: Path) -> NDArray[np.float32] | None:
    """Return a record's map as overlays show it, float32 ``[u, v]`` in 0..1; None without any.

    An array file has it finer than the record.
    """
    if item.empty:
        return None
    path = inside(item.files.get("array", ""), folder)
    raw = None if path is None else _array(path)
    heat = expanded(item.heat) if raw is None else raw
    return None if heat is None else displayed(heat, item.method)


def border(heat: NDArray[np.floating]) -> float:
    """Return which share of a map's heat, 0..1, lies in its border; even heat has 0.36 there."""
    down, across = (_within(count) for count in heat.shape)
    return float(1 - (down @ heat @ across) / heat.sum())


def difference(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return how far apart two maps' heat lies: 0 the same places, 1 nowhere the same.

    Half the sum of absolute differences, each map divided by its sum, on the finer of both grids.
    """
    rows, columns = (max(pair) for pair in zip(one.shape, other.shape, strict=True))
    first, second = resampled(one, rows, columns), resampled(other, rows, columns)
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


class Means(Generic[_Key]):
    """The mean of all maps under each key, on the finest of their grids."""

    def __init__(self) -> None:
        self._sums: dict[_Key, NDArray[np.float64]] = {}
        self._counts: dict[_Key, int] = {}

    def add(self, key: _Key, heat: NDArray[np.floating]) -> None:
        """Take one map in."""
        total = self._sums.get(key)
        if total is None:
            total = np.zeros(heat.shape)
        rows, columns = (max(pair) for pair in zip(total.shape, heat.shape, strict=True))
        self._sums[key] = resampled(total, rows, columns) + resampled(heat, rows, columns)
        self._counts[key] = self._counts.get(key, 0) + 1

    def items(self) -> Iterator[tuple[_Key, int, NDArray[np.float64]]]:
        """Yield each key, how many maps it had, and their mean ``[u, v]`` in 0..1."""
        for key, total in self._sums.items():
            yield key, self._counts[key], total / self._counts[key]

    def written(self) -> Iterator[tuple[_Key, int, str]]:
        """Yield each key, how many maps it had, and their mean as ``cam.compact`` writes it."""
        for key, count, mean in self.items():
            yield key, count, compact(mean)


def colours(settings: Mapping[str, object]) -> list[str]:
    """Return a run's own colours of heat from 0 to 1, as ``#rrggbb``; jet where it states none."""
    name = str(settings.get("colormap", "jet")).upper()
    levels = np.linspace(0, 255, _STOPS).round().astype(np.uint8)[None]
    if name == "GRAY":
        bgr = np.repeat(levels[..., None], 3, 2)
    else:
        bgr = cv2.applyColorMap(levels, getattr(cv2, f"COLORMAP_{name}", cv2.COLORMAP_JET))
    return [f"#{red:02x}{green:02x}{blue:02x}" for blue, green, red in bgr[0].tolist()]


@functools.cache
def _within(count: int) -> NDArray[np.float64]:
    """Return which part of each of so many rows lies inside the border."""
    starts, ends = np.arange(count) / count, np.arange(1, count + 1) / count
    covered = np.minimum(ends, 1 - BORDER) - np.maximum(starts, BORDER)
    return np.asarray(np.maximum(covered, 0) * count)


def _array(path: Path) -> NDArray[np.float32] | None:
    """Return the map of an array file as a run writes it; None for anything else."""
    try:
        with open_regular(path) as file:
            data = file.read(_MOST_BYTES)
    except OSError:
        return None
    header = _HEADER.match(data)  # not numpy's reader, for which a header is an expression
    if header is None:
        return None
    shape = int(header[2]), int(header[3])
    start = 10 + int.from_bytes(header[1], "little")
    if not 0 < shape[0] * shape[1] * 4 == len(data) - start:
        return None
    return np.frombuffer(data, "<f4", offset=start).reshape(shape)
