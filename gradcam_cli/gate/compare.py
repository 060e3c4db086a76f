"""How alike two maps are, as numbers: correlations, the hottest cells, the centre of the heat.

A map here is float ``[u, v]`` with a Frame that says where its cells lie in the image. Maps of
different frames are brought to one grid first: each is read bilinearly at the centres of the finer
one's cells, constant beyond its outermost cells, and 0 where it sees nothing, which is how maps are
drawn.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.images.fit import Cells, Placement, Span

Map = NDArray[np.floating[Any]]

HOT_SHARE = 0.2
"""The share of a map's cells that counts as its hottest."""

_SAME = 1e-3
"""Shares of an image; frames that differ less were rounded, or are a hundredth of a cell apart."""


class Frame(NamedTuple):
    """Where the cells of a map lie, as shares 0..1 of an image's height and width."""

    rows: Span
    columns: Span


class Likeness(NamedTuple):
    """How alike two maps are.

    ``pearson`` and ``spearman`` are correlations of the signed maps, -1..1. ``iou`` is the
    intersection over union of the hottest 20 % of the cells, ``shift`` the distance between the
    centres of the heat as a share of the image's diagonal; both are None where a map is empty.
    """

    pearson: float
    spearman: float
    iou: float | None
    shift: float | None


def frame_of(shape: tuple[int, int], placement: Placement, cells: Cells | None) -> Frame:
    """Return where a map ``[u, v]`` lies; without ``cells`` it is stretched over the input."""
    high, wide = placement.network
    rows, columns = cells or Cells(
        Span(high / shape[0] / 2, high / shape[0], 0, high),
        Span(wide / shape[1] / 2, wide / shape[1], 0, wide),
    )
    left, top, right, bottom = placement.box
    height, width = placement.picture
    return Frame(
        _shares(rows, top / height, (bottom - top) / high / height),
        _shares(columns, left / width, (right - left) / wide / width),
    )


def _shares(span: Span, start: float, unit: float) -> Span:
    """Return a span of the network's input as shares of the image, cut off at its edges."""
    low, high = (min(max(start + edge * unit, 0.0), 1.0) for edge in (span.low, span.high))
    return Span(start + span.first * unit, span.step * unit, low, high)


def compared(before: Map, now: Map, frames: tuple[Frame, Frame], size: tuple[int, int]) -> Likeness:
    """Return how alike two maps of one image of ``(H, W)`` pixels are.

    The maps are finite; their scale does not count, their sign does.
    """
    if before.shape == now.shape and same_frame(*frames):
        one, other, frame = before, now, frames[0]
    else:
        shape = max(before.shape[0], now.shape[0]), max(before.shape[1], now.shape[1])
        frame = _whole(shape)
        one, other = raster(before, frames[0], shape), raster(now, frames[1], shape)
    hot = np.maximum(one, 0.0), np.maximum(other, 0.0)
    iou = shift = None
    if hot[0].any() and hot[1].any():
        iou = hottest_overlap(*hot)
        (y0, x0), (y1, x1) = (centre_of_heat(each, frame) for each in hot)
        height, width = size
        shift = math.hypot((y1 - y0) * height, (x1 - x0) * width) / math.hypot(height, width)
    return Likeness(pearson(one, other), spearman(one, other), iou, shift)


def same_frame(one: Frame, other: Frame) -> bool:
    """Return whether cells lie in the same places, up to rounding."""
    pairs = zip((*one.rows, *one.columns), (*other.rows, *other.columns), strict=True)
    return all(abs(a - b) <= _SAME for a, b in pairs)


def pearson(one: Map, other: Map) -> float:
    """Return the correlation of two maps of one shape, -1..1.

    Of two maps that are the same everywhere it is 1, of such a map and another one 0.
    """
    a, b = (_centred(each) for each in (one, other))
    norms = float(np.sqrt((a * a).sum())), float(np.sqrt((b * b).sum()))
    if min(norms) == 0:
        return 1.0 if norms[0] == norms[1] else 0.0
    return float(np.clip(((a / norms[0]) * (b / norms[1])).sum(), -1, 1))


def _centred(values: Map) -> NDArray[np.float64]:
    """Return values around 0 and of a size near 1; zero everywhere if they are all the same."""
    if values.min() == values.max():
        return np.zeros(values.shape)
    scaled = values.astype(np.float64) / float(np.abs(values).max())
    return np.asarray(scaled - scaled.mean())


def spearman(one: Map, other: Map) -> float:
    """Return the correlation of the ranks of two maps' cells, -1..1; equal cells share a rank."""
    return pearson(_ranks(one), _ranks(other))


def _ranks(values: Map) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place.reshape(values.shape)])


def hottest_overlap(one: Map, other: Map, share: float = HOT_SHARE) -> float:
    """Return the intersection over union of the hottest cells of two maps of one shape.

    Those are the ``share`` (rounded up) with the most heat, and all that are as hot as the last of
    them, but none without heat. Both maps have some.
    """
    a, b = _hottest(one, share), _hottest(other, share)
    return float((a & b).sum() / (a | b).sum())


def _hottest(heat: Map, share: float) -> NDArray[np.bool_]:
    count = math.ceil(heat.size * share - 1e-9)
    least = np.partition(heat, heat.size - count, axis=None)[heat.size - count]
    return np.asarray((heat >= least) & (heat > 0))


def centre_of_heat(heat: Map, frame: Frame) -> tuple[float, float]:
    """Return the centre of mass ``(y, x)`` of a map that has heat, as shares of the image."""
    mass = heat.astype(np.float64) / float(heat.max())
    total = mass.sum()
    y = frame.rows.first + frame.rows.step * np.arange(heat.shape[0])
    x = frame.columns.first + frame.columns.step * np.arange(heat.shape[1])
    return float(mass.sum(axis=1) @ y / total), float(mass.sum(axis=0) @ x / total)


def raster(values: Map, frame: Frame, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return a map as it is drawn on an image that ``shape`` cells tile, float64 of that shape."""
    down = _mix(frame.rows, values.shape[0], shape[0])
    across = _mix(frame.columns, values.shape[1], shape[1])
    return np.asarray(down @ values.astype(np.float64) @ across.T)


def _whole(shape: tuple[int, int]) -> Frame:
    u, v = shape
    return Frame(Span(0.5 / u, 1 / u, 0, 1), Span(0.5 / v, 1 / v, 0, 1))


def _mix(span: Span, cells: int, count: int) -> NDArray[np.float64]:
    """Return how each of ``count`` places of an axis mixes the cells of a span."""
    places = (np.arange(count) + 0.5) / count
    at = np.clip((places - span.first) / span.step, 0, cells - 1)
    lower = np.floor(at).astype(np.intp)
    upper = np.minimum(lower + 1, cells - 1)
    weights = np.zeros((count, cells))
    row = np.arange(count)
    weights[row, lower] = 1 - (at - lower)
    weights[row, upper] += at - lower
    weights[(places < span.low) | (places > span.high)] = 0
    return weights
