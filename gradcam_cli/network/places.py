"""The cells of an axis have a place in the network's input: where they are, and what they see.

Coordinates are pixel edges of the network's input: its first pixel spans 0..1 and has its centre at
0.5. All along an axis, cells are equally far apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """Where the cells of one axis lie in the network's input.

    ``first`` is the centre of the first cell, ``step`` the way to the next one (negative where the
    axis was turned round). A cell sees ``reach`` to either side of its centre, all of them together
    ``low..high``, and nothing of the input outside. ``pads`` counts the cells at both ends that
    only fill the axis up.
    """

    first: float
    step: float
    reach: float
    low: float
    high: float
    pads: tuple[int, int] = (0, 0)


def whole(size: int) -> Place:
    """Return the place of the input's own pixels."""
    return Place(0.5, 1.0, 0.5, 0.0, float(size))


def window(place: Place, size: int, count: int, kernel: int, stride: int, before: int) -> Place:
    """Return the place of ``count`` windows over an axis of ``size`` cells.

    A window spans ``kernel`` cells (with the gaps of a dilated one), the first begins ``before``
    cells in front of the axis.

    A stride that does not fit the padded size leaves the windows up to half a stride to one side,
    always the same. Trained networks make up for that: over 114 photographs and their mirror
    images, the heat of EfficientNet-Lite0 lay 1.2 pixels beside the middle, where the windows lie
    15.5 beside it. So such windows are taken to lie in the middle, as are those with gaps between
    them; windows that tile the axis lie where they are.
    """
    centre = (kernel - 1) / 2 - before
    last = (count - 1) * stride - before + kernel - 1
    padded = before > 0 or last >= size or any(place.pads)
    loose = kernel < stride or (padded and kernel > stride)
    off = _to_middle(place, size, count, stride, centre) if loose else 0.0
    low, high = _seen(place, max(0, -before), min(size - 1, last))
    return Place(
        place.first + place.step * (centre + off),
        place.step * stride,
        place.reach + abs(place.step) * ((kernel - 1) / 2 + abs(off)),
        low,
        high,
    )


def _to_middle(place: Place, size: int, count: int, stride: int, centre: float) -> float:
    """Return how far windows are from the middle of what they slide over, if only by rounding."""
    before, after = place.pads
    for middle in ((size - 1 + before - after) / 2, (size - 1) / 2):
        off = middle - (centre + stride * (count - 1) / 2)
        if abs(off) <= (stride - 1) / 2:
            return off
    return 0.0


def unwound(place: Place, size: int, count: int, kernel: int, stride: int, before: int) -> Place:
    """Return the place of ``count`` cells that ``size`` windows over them were spread to.

    The way back from ``window``: a transposed convolution.
    """
    forward = window(whole(count), count, size, kernel, stride, before)
    step = place.step / stride
    return Place(
        place.first - step * (forward.first - 0.5),
        step,
        place.reach + abs(step) * (kernel - 1) / 2,
        place.low,
        place.high,
    )


def cut(place: Place, size: int, start: int, count: int, stride: int = 1) -> Place:
    """Return the place of ``count`` of ``size`` cells, each ``stride``-th from ``start`` on."""
    low, high = _seen(place, start, start + (count - 1) * stride)
    before, after = place.pads
    pads = (max(0, before - start), max(0, after - (size - start - count)))
    first, step = place.first + place.step * start, place.step * stride
    return Place(first, step, place.reach, low, high, pads if stride == 1 else (0, 0))


def pad(place: Place, before: int, after: int) -> Place:
    """Return the place of an axis that got further cells at its ends, which see nothing."""
    pads = (place.pads[0] + before, place.pads[1] + after)
    return place._replace(first=place.first - place.step * before, pads=pads)


def spread(place: Place, parts: int) -> Place:
    """Return the place of cells that were each divided into ``parts``."""
    step = place.step / parts
    pads = (place.pads[0] * parts, place.pads[1] * parts)
    return place._replace(first=place.first - step * (parts - 1) / 2, step=step, pads=pads)


def sampled(place: Place, size: int, points: Sequence[float], reach: float) -> Place | None:
    """Return the place of cells that were taken at ``points``, counted in cells of the axis.

    ``reach`` says how many cells they are mixed from to either side. None when the points do not
    lie evenly, to half a cell.
    """
    count = len(points)
    step = (points[-1] - points[0]) / (count - 1) if count > 1 else 1.0
    start = sum(points) / count - step * (count - 1) / 2
    if any(abs(start + step * at - point) > 0.5 for at, point in enumerate(points)):
        return None
    ends = sorted((points[0], points[-1]))
    low, high = _seen(place, max(0, ends[0] - reach), min(size - 1, ends[1] + reach))
    return Place(
        place.first + place.step * start,
        place.step * step,
        place.reach + abs(place.step) * reach,
        low,
        high,
    )


def met(one: Place | None, other: Place | None, size: int) -> Place | None:
    """Return the place of an axis of ``size`` cells that two are laid over one another in.

    Where they differ by up to a cell, the middle of both; further apart, and where one is not
    known, None.
    """
    if one == other or one is None or other is None:
        return one if one == other else None
    apart = [abs(one.first + one.step * at - other.first - other.step * at) for at in (0, size - 1)]
    if max(apart) > max(abs(one.step), abs(other.step)):
        return None
    return Place(
        (one.first + other.first) / 2,
        (one.step + other.step) / 2,
        max(one.reach, other.reach) + max(apart) / 2,
        min(one.low, other.low),
        max(one.high, other.high),
        one.pads if one.pads == other.pads else (0, 0),
    )


def _seen(place: Place, start: float, stop: float) -> tuple[float, float]:
    """Return what of the input the cells from ``start`` to ``stop`` see."""
    ends = [place.first + place.step * at for at in (start, stop)]
    low = max(place.low, min(ends) - place.reach)
    return low, max(low, min(place.high, max(ends) + place.reach))
