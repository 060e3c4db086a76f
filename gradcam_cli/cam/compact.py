"""A map becomes a short text for its record, and an array again; maps of any two grids can meet."""

from __future__ import annotations

import base64
import binascii
import functools
import re

import numpy as np
from numpy.typing import NDArray

MOST_CELLS = 32
"""Rows or columns of a map in a record; finer ones are averaged."""

_GRID = re.compile(r"(\d{1,2})x(\d{1,2}):")
_LEVELS = 255


def compact(heat: NDArray[np.floating]) -> str:
    """Return a map ``[u, v]`` in 0..1 as ``uxv:`` and base64 of its cells, one byte each.

    Cells come row by row, 255 is 1. A grid of more than ``MOST_CELLS`` rows or columns is averaged
    down to that many.
    """
    rows, columns = (min(count, MOST_CELLS) for count in heat.shape)
    small = resampled(np.asarray(heat, np.float64), rows, columns)
    cells = np.rint(np.clip(small, 0, 1) * _LEVELS).astype(np.uint8)
    return f"{rows}x{columns}:{base64.b64encode(cells.tobytes()).decode()}"


def expanded(text: str) -> NDArray[np.float32] | None:
    """Return the map that ``compact`` wrote, float32 ``[u, v]``; None for any other text."""
    grid = _GRID.match(text)
    if grid is None:
        return None
    shape = int(grid[1]), int(grid[2])
    try:
        cells = base64.b64decode(text[grid.end() :], validate=True)
    except (binascii.Error, ValueError):
        return None
    if not 0 < len(cells) == shape[0] * shape[1]:
        return None
    return np.divide(np.frombuffer(cells, np.uint8).reshape(shape), _LEVELS, dtype=np.float32)


def resampled(heat: NDArray[np.floating], rows: int, columns: int) -> NDArray[np.float64]:
    """Return a map ``[u, v]`` on another grid over the same area: each cell is the mean there."""
    if heat.shape == (rows, columns):
        return np.asarray(heat, np.float64)
    down, across = _overlaps(heat.shape[0], rows), _overlaps(heat.shape[1], columns)
    return np.asarray(down @ heat @ across.T, np.float64)


@functools.lru_cache(maxsize=256)
def _overlaps(old: int, new: int) -> NDArray[np.float64]:
    """Return which part of each new cell each old one covers, ``[new, old]``."""
    starts, ends = np.arange(new) / new, np.arange(1, new + 1) / new
    left = np.maximum(starts[:, None], np.arange(old) / old)
    right = np.minimum(ends[:, None], np.arange(1, old + 1) / old)
    covered: NDArray[np.float64] = np.maximum(right - left, 0) * new
    return covered
