"""An image becomes the network's input, and a map becomes the image's heat.

Coordinates are pixel edges: an image W pixels wide spans 0..W, and pixel x has its centre at
x + 0.5. Every resampling here keeps centres where they are (half-pixel centres).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]
Strip = tuple[int, Pixels]
"""Rows of heat from a row of the image on, uint8, as wide as what the network saw."""


class Span(NamedTuple):
    """Where the cells of a map lie along one axis of the network's input, in pixel edges.

    ``first`` is the centre of the first cell and ``step`` the way to the next one, negative where
    the network turns images round. What they see is ``low..high``.
    """

    first: float
    step: float
    low: float
    high: float


class Cells(NamedTuple):
    """Where the cells of a map ``[u, v]`` lie: its rows, and its columns."""

    rows: Span
    columns: Span


RESIZES = ("squash", "crop", "pad")

INTERPOLATIONS = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST_EXACT,  # plain INTER_NEAREST takes corners, not centres
    "lanczos": cv2.INTER_LANCZOS4,
}

_ROUNDING = 1e-6
_STRIP = 1 << 17  # values of heat computed at a time, so that they stay in the cache


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the network's input lies in the upright image.

    ``picture`` is ``(H, W)`` and ``network`` ``(h, w)``. ``box`` is ``(left, top, right, bottom)``
    in image pixels: what the network's input spans. It reaches beyond the image where the
    input was padded, and is smaller where the image was cropped.
    """

    picture: tuple[int, int]
    network: tuple[int, int]
    box: tuple[float, float, float, float]

    @property
    def covered(self) -> Rectangle:
        """``(left, top, right, bottom)`` of the image's pixels that the network saw."""
        height, width = self.picture
        left, top, right, bottom = self.box
        return (
            round(max(left, 0)),
            round(max(top, 0)),
            round(min(right, width)),
            round(min(bottom, height)),
        )

    @property
    def inner(self) -> Rectangle:
        """``(left, top, right, bottom)`` of the network's input that is image, not padding."""
        high, wide = self.network
        left, top, right, bottom = self.box
        x0, y0, x1, y1 = self.covered
        across, down = wide / (right - left), high / (bottom - top)
        return (
            round((x0 - left) * across),
            round((y0 - top) * down),
            round((x1 - left) * across),
            round((y1 - top) * down),
        )


def place(picture: tuple[int, int], network: tuple[int, int], resize: str = "squash") -> Placement:
    """Return where a network input of ``(h, w)`` lies in an image of ``(H, W)``.

    ``squash`` takes the whole image and changes its proportions; ``crop`` the largest centred
    part with the network's proportions (the part that ``keras.utils`` ``smart_resize`` takes);
    ``pad`` the whole image, centred between black bars.
    """
    height, width = picture
    high, wide = network
    if resize == "crop":
        w = max(1, min(width, height * wide // high))
        h = max(1, min(height, width * high // wide))
        left, top = (width - w) // 2, (height - h) // 2
        return Placement(picture, network, (left, top, left + w, top + h))
    if resize == "pad":
        scale = min(high / height, wide / width)
        h = min(high, max(1, round(height * scale)))
        w = min(wide, max(1, round(width * scale)))
        x, y = -((wide - w) // 2) * width / w, -((high - h) // 2) * height / h
        box = (x, y, x + wide * width / w, y + high * height / h)
        return Placement(picture, network, box)
    return Placement(picture, network, (0, 0, width, height))


def shrink(pixels: Pixels, most: int) -> Pixels:
    """Return an image whose longer side is at most ``most`` pixels; smaller ones as they are.

    ``pixels`` is uint8 ``[H, W, 3]``; the area that a new pixel covers is averaged.
    """
    height, width = pixels.shape[:2]
    longer = max(height, width)
    if longer <= most:
        return pixels
    size = max(1, round(width * most / longer)), max(1, round(height * most / longer))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def to_network(
    pixels: Pixels, placement: Placement, channels: int = 3, interpolation: str = "bilinear"
) -> Pixels:
    """Return the network's input as uint8 ``[h, w, channels]``; padding is black.

    ``pixels`` is RGB ``[H, W, 3]``. ``bilinear`` is ``tf.image.resize`` without antialiasing,
    rounded. One channel is the BT.601 luma, as in Keras's ``grayscale``.
    """
    x0, y0, x1, y1 = placement.covered
    left, top, right, bottom = placement.inner
    size = (right - left, bottom - top)
    part = pixels[y0:y1, x0:x1]
    if interpolation == "bilinear":
        fitted = _bilinear(part, size)
    else:
        fitted = cv2.resize(part, size, interpolation=INTERPOLATIONS[interpolation])
    if channels == 1:
        fitted = cv2.cvtColor(fitted, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis]
    if size == placement.network[::-1]:
        return np.asarray(fitted, np.uint8)
    canvas = np.zeros((*placement.network, channels), np.uint8)
    canvas[top:bottom, left:right] = fitted
    return canvas


def _bilinear(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return pixels resized to ``(w, h)`` in float32, rounded once.

    OpenCV's own arithmetic on bytes is a level off in one value of eight. Of images much higher
    than the result only the rows that are needed become float; of others, all in one go is faster.
    """
    if len(pixels) <= 3 * size[1]:
        whole = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.convertScaleAbs(whole), np.uint8)
    lower, upper, share = _between(np.arange(size[1]) + 0.5, len(pixels), size[1])
    rows = [
        cv2.resize(pixels[row].astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        for row in (lower, upper)
    ]
    mixed = rows[0] + (rows[1] - rows[0]) * share[:, np.newaxis, np.newaxis]
    return np.asarray(cv2.convertScaleAbs(mixed), np.uint8)


def _between(
    points: NDArray[np.floating], cells: int, span: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the two of ``cells`` that tile ``0..span`` next to each point, and the second's share.

    Beyond the outermost centres both are the outermost cell.
    """
    return _mixed(points * (cells / span) - 0.5, cells)


def _mixed(
    at: NDArray[np.floating], cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the two cells next to each point, counted in cells, and the second's share."""
    at = np.clip(at, 0, cells - 1)
    lower = np.floor(at).astype(np.intp)
    return lower, np.minimum(lower + 1, cells - 1), (at - lower).astype(np.float32)


def seen(placement: Placement, cells: Cells | None = None) -> Rectangle:
    """Return ``(left, top, right, bottom)`` of the image's pixels that a map's cells see.

    A pixel counts when its centre does. Without ``cells`` all that the input covers does.
    """
    if cells is None:
        return placement.covered
    left, top, right, bottom = placement.covered
    rows, columns = _in_picture(placement, cells)
    x0, x1 = _pixels(columns, left, right)
    y0, y1 = _pixels(rows, top, bottom)
    return x0, y0, x1, y1


def _in_picture(placement: Placement, cells: Cells) -> Cells:
    """Return where cells lie in the image, whose pixels then are the unit."""
    left, top, right, bottom = placement.box
    high, wide = placement.network
    down, across = (bottom - top) / high, (right - left) / wide
    (y, dy, *ys), (x, dx, *xs) = cells
    return Cells(
        Span(top + y * down, dy * down, *(top + edge * down for edge in ys)),
        Span(left + x * across, dx * across, *(left + edge * across for edge in xs)),
    )


def _pixels(span: Span, start: int, stop: int) -> tuple[int, int]:
    """Return which of the pixels ``start..stop`` have their centre where a span sees something."""
    first = min(max(start, math.ceil(span.low - 0.5 - _ROUNDING)), stop)
    return first, max(first, min(stop, math.floor(span.high + 0.5 + _ROUNDING)))


def _stretched(shape: tuple[int, ...], placement: Placement) -> Cells:
    """Return cells that tile the network's input."""
    (u, v), (high, wide) = shape, placement.network
    rows, columns = high / u, wide / v
    return Cells(Span(rows / 2, rows, 0, high), Span(columns / 2, columns, 0, wide))


def to_picture(
    heat: NDArray[np.float32], placement: Placement, cells: Cells | None = None
) -> Pixels:
    """Return a map in 0..1, ``[u, v]``, as 256 levels on the image's pixels, uint8 ``[H, W]``.

    Between the centres of its cells the heat is bilinear, beyond the outermost centres it is
    constant, and where the cells do not see anything it is 0. Without ``cells`` the map is
    stretched over the network's input.
    """
    left, _, right, _ = seen(placement, cells)
    levels = np.zeros(placement.picture, np.uint8)
    for top, strip in strips(heat, placement, cells):
        levels[top : top + len(strip), left:right] = strip
    return levels


def strips(
    heat: NDArray[np.float32], placement: Placement, cells: Cells | None = None
) -> Iterator[Strip]:
    """Yield the levels of ``to_picture`` a few rows at a time, where the cells see the image.

    What is done with a strip while it is in the processor's cache costs half as much as with all
    of a large photograph.
    """
    x0, y0, x1, y1 = seen(placement, cells)
    if x0 >= x1:
        return
    spans = _in_picture(placement, cells or _stretched(heat.shape, placement))
    down = _weights(spans.rows, heat.shape[0], np.arange(y0, y1))
    across = _weights(spans.columns, heat.shape[1], np.arange(x0, x1))
    wide = (heat.astype(np.float32) * np.float32(255)) @ across.T
    rows = max(1, _STRIP // (x1 - x0))
    for start in range(y0, y1, rows):
        mixed = down[start - y0 : min(start + rows, y1) - y0]
        used = np.flatnonzero(mixed.any(axis=0))
        part = slice(used[0], used[-1] + 1)
        yield start, np.asarray(cv2.convertScaleAbs(mixed[:, part] @ wide[part]), np.uint8)


def upsampling(
    grid: tuple[int, int], size: tuple[int, int], cells: Cells | None = None, beyond: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how the pixels of a network input ``(h, w)`` mix the cells of a map ``(u, v)``.

    These are float32 ``[h, u]`` for the rows and ``[w, v]`` for the columns: ``rows @ map @
    columns.T`` is the map on the input's pixels, with the geometry of ``to_picture``. Pixels that
    the cells do not see have rows of zeros, or with ``beyond`` the value of the outermost cell.
    """
    placement = place(size, size)
    spans = cells or _stretched(grid, placement)
    x0, y0, x1, y1 = (0, 0, size[1], size[0]) if beyond else seen(placement, cells)
    down = np.zeros((size[0], grid[0]), np.float32)
    across = np.zeros((size[1], grid[1]), np.float32)
    down[y0:y1] = _weights(spans.rows, grid[0], np.arange(y0, y1))
    across[x0:x1] = _weights(spans.columns, grid[1], np.arange(x0, x1))
    return down, across


def peak(
    heat: NDArray[np.float32], placement: Placement, cells: Cells | None = None
) -> tuple[int, int]:
    """Return the image pixel ``(x, y)`` where a map ``[u, v]`` is hottest.

    It is the pixel at a cell's centre, or the one nearest to it that the cells see.
    """
    x0, y0, x1, y1 = seen(placement, cells)
    spans = _in_picture(placement, cells or _stretched(heat.shape, placement))
    ys = _nearest(spans.rows, heat.shape[0], y0, y1)
    xs = _nearest(spans.columns, heat.shape[1], x0, x1)
    down = _weights(spans.rows, heat.shape[0], ys)
    drawn = down @ heat.astype(np.float32) @ _weights(spans.columns, heat.shape[1], xs).T
    row, column = np.unravel_index(int(np.argmax(drawn)), drawn.shape)
    return int(xs[column]), int(ys[row])


def _weights(span: Span, cells: int, pixels: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return how pixels mix the cells of a span: rows of sum 1."""
    lower, upper, share = _mixed((pixels + 0.5 - span.first) / span.step, cells)
    weights = np.zeros((len(pixels), cells), np.float32)
    row = np.arange(len(pixels))
    weights[row, lower] = 1 - share
    weights[row, upper] += share
    return weights


def _nearest(span: Span, cells: int, start: int, stop: int) -> NDArray[np.intp]:
    """Return, of the pixels ``start..stop``, the one nearest to each cell's centre."""
    centres = np.floor(span.first + span.step * np.arange(cells))
    return np.asarray(np.clip(centres, start, max(start, stop - 1)), np.intp)
