"""A picture becomes the network's square, and a map becomes the picture's heat.

Coordinates are pixel edges: a picture W pixels wide spans 0..W, and pixel x has its centre at
x + 0.5. Every resampling here keeps centres where they are (half-pixel centres).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "INTERPOLATIONS",
    "RESIZES",
    "Placement",
    "Strip",
    "peak",
    "place",
    "shrink",
    "strips",
    "to_network",
    "to_picture",
]

Pixels = NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]
Strip = tuple[int, Pixels]
"""Rows of heat from a row of the picture on, uint8, as wide as what the network saw."""

RESIZES = ("squash", "crop", "pad")

INTERPOLATIONS = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST_EXACT,  # plain INTER_NEAREST takes corners, not centres
    "lanczos": cv2.INTER_LANCZOS4,
}

_STRIP = 1 << 17  # values of heat computed at a time, so that they stay in the cache


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the network's input lies in the upright picture.

    ``picture`` is ``(H, W)`` and ``network`` ``(h, w)``. ``box`` is ``(left, top, right, bottom)``
    in picture pixels: what the network's input spans. It reaches beyond the picture where the
    input was padded, and is smaller where the picture was cropped.
    """

    picture: tuple[int, int]
    network: tuple[int, int]
    box: tuple[float, float, float, float]

    @property
    def covered(self) -> Rectangle:
        """``(left, top, right, bottom)`` of the picture's pixels that the network saw."""
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
        """``(left, top, right, bottom)`` of the network's input that is picture, not padding."""
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
    """Return where a network input of ``(h, w)`` lies in a picture of ``(H, W)``.

    ``squash`` takes the whole picture and changes its proportions; ``crop`` the largest centred
    part with the network's proportions (the part that ``keras.utils`` ``smart_resize`` takes);
    ``pad`` the whole picture, centred between black bars.
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
    """Return a picture whose longer side is at most ``most`` pixels; smaller ones as they are.

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
        square = _bilinear(part, size)
    else:
        square = cv2.resize(part, size, interpolation=INTERPOLATIONS[interpolation])
    if channels == 1:
        square = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis]
    if size == placement.network[::-1]:
        return np.asarray(square, np.uint8)
    canvas = np.zeros((*placement.network, channels), np.uint8)
    canvas[top:bottom, left:right] = square
    return canvas


def _bilinear(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return pixels resized to ``(w, h)`` in float32, rounded once.

    OpenCV's own arithmetic on bytes is a level off in one value of eight. Only the rows that are
    needed become float.
    """
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
    at = np.clip(points * (cells / span) - 0.5, 0, cells - 1)
    lower = np.floor(at).astype(np.intp)
    return lower, np.minimum(lower + 1, cells - 1), (at - lower).astype(np.float32)


def to_picture(heat: NDArray[np.float32], placement: Placement) -> Pixels:
    """Return a map in 0..1, ``[u, v]``, as 256 levels on the picture's pixels, uint8 ``[H, W]``.

    The map's cells tile the network's input. Between their centres the heat is bilinear, beyond
    the outermost centres it is constant, and where the network did not look it is 0.
    """
    left, _, right, _ = placement.covered
    levels = np.zeros(placement.picture, np.uint8)
    for top, strip in strips(heat, placement):
        levels[top : top + len(strip), left:right] = strip
    return levels


def strips(heat: NDArray[np.float32], placement: Placement) -> Iterator[Strip]:
    """Yield the levels of ``to_picture`` a few rows at a time, where the network looked.

    What is done with a strip while it is in the processor's cache costs half as much as with all
    of a large photograph.
    """
    x0, y0, x1, y1 = placement.covered
    left, top, right, bottom = placement.box
    across = _weights(x0, x1, left, right, heat.shape[1])
    wide = (heat.astype(np.float32) * np.float32(255)) @ across.T
    down = _weights(y0, y1, top, bottom, heat.shape[0])
    rows = max(1, _STRIP // (x1 - x0))
    for start in range(y0, y1, rows):
        mixed = down[start - y0 : min(start + rows, y1) - y0]
        used = np.flatnonzero(mixed.any(axis=0))
        cells = slice(used[0], used[-1] + 1)
        yield start, np.asarray(cv2.convertScaleAbs(mixed[:, cells] @ wide[cells]), np.uint8)


def _weights(start: int, stop: int, first: float, last: float, cells: int) -> NDArray[np.float32]:
    """Return how pixels ``start..stop`` mix ``cells`` that tile ``first..last``: rows of sum 1."""
    lower, upper, share = _between(np.arange(start, stop) + 0.5 - first, cells, last - first)
    weights = np.zeros((stop - start, cells), np.float32)
    pixel = np.arange(stop - start)
    weights[pixel, lower] = 1 - share
    weights[pixel, upper] += share
    return weights


def peak(heat: NDArray[np.float32], placement: Placement) -> tuple[int, int]:
    """Return the picture pixel ``(x, y)`` at the centre of the hottest cell of a map ``[u, v]``.

    Cells whose centre lies in padding count only if there are no others.
    """
    left, top, right, bottom = placement.box
    x0, y0, x1, y1 = placement.covered
    u, v = heat.shape
    xs = np.floor(left + (np.arange(v) + 0.5) * ((right - left) / v))
    ys = np.floor(top + (np.arange(u) + 0.5) * ((bottom - top) / u))
    inside = ((ys >= y0) & (ys < y1))[:, np.newaxis] & ((xs >= x0) & (xs < x1))
    seen = np.where(inside, heat, -1) if inside.any() else heat
    row, column = np.unravel_index(int(np.argmax(seen)), heat.shape)
    x, y = int(xs[column]), int(ys[row])
    return min(max(x, x0), x1 - 1), min(max(y, y0), y1 - 1)
