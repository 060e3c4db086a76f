"""Maps move from one grid to another by where their cells lie in the network's input.

Coordinates are pixel edges of the network's input, as in ``images.fit``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.images.fit import Cells, Span

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Places of rows, and of columns."""

_ROUNDING = 1e-6  # pixels
_DECIMALS = 9
"""Cells are counted to so many decimals: what should lie on a centre then does."""


def tiling(shape: tuple[int, int], size: tuple[int, int]) -> Cells:
    """Return the cells of a grid ``(u, v)`` spread evenly over an input of ``(h, w)``."""
    rows, columns = (
        Span(length / count / 2, length / count, 0, length)
        for count, length in zip(shape, size, strict=True)
    )
    return Cells(rows, columns)


def centres(shape: tuple[int, int], cells: Cells) -> Points:
    """Return where the centres of the rows and the columns of a grid ``(u, v)`` lie."""
    rows, columns = (
        span.first + span.step * np.arange(count, dtype=np.float64)
        for count, span in zip(shape, cells, strict=True)
    )
    return rows, columns


def resampled(
    maps: NDArray[np.floating], cells: Cells, points: Points
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return maps at other points, and which of the points their cells see.

    ``maps`` is ``[..., u, v]`` on ``cells``; the results are ``[..., rows, columns]`` and
    ``[rows, columns]``. Between centres the maps are bilinear, beyond the outermost ones constant,
    as ``images.fit`` draws them. Only sums and products of single values, in a fixed order: the
    same on every machine.
    """
    found: NDArray[Any] = np.asarray(maps, np.float64)
    inside = []
    with np.errstate(invalid="ignore"):  # a map that is not finite stays so
        for axis, span, at in zip((-2, -1), cells, points, strict=True):
            found = _along(found, axis, (at - span.first) / span.step)
            inside.append((at >= span.low - _ROUNDING) & (at <= span.high + _ROUNDING))
    return found, inside[0][:, np.newaxis] & inside[1]


def _along(maps: NDArray[Any], axis: int, at: NDArray[np.float64]) -> NDArray[Any]:
    """Return maps at places along one axis, counted in its cells."""
    last = maps.shape[axis] - 1
    at = np.clip(np.round(at, _DECIMALS), 0, last)
    lower = np.floor(at).astype(np.intp)
    share = at - lower
    here = np.take(maps, lower, axis)
    if not share.any():
        return here
    there = np.take(maps, np.minimum(lower + 1, last), axis)
    share = share.reshape(-1, *(1,) * (-axis - 1))
    return np.asarray(here * (1 - share) + there * share)
