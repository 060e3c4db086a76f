"""A traced operation becomes what it does to the places of cells along rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.network.operations import attribute, constant, numbers
from gradcam_cli.network.places import Place, cut, pad, sampled, spread, unwound, window

Move = Callable[[Any, int, Place, int, int], Place | None]
"""Of an operation, along rows (0) or columns (1), from so many cells to so many."""


def move(operation: Any, at: int, place: Place, size: int, count: int) -> Place | None:
    """Return where the cells of an operation's output lie, or None where that is not known.

    ``at`` is 0 for rows and 1 for columns, ``size`` and ``count`` are how many cells there were and
    are.
    """
    if operation.type.startswith("Resize"):
        return _resized(operation, place, size, count)
    known = _MOVES.get(operation.type)
    return None if known is None else known(operation, at, place, size, count)


def _axis(operation: Any, at: int) -> int:
    """Return the tensor's axis for rows (0) or columns (1)."""
    return at + (2 if attribute(operation, "data_format") == b"NCHW" else 1)


def _along(operation: Any, name: str, at: int) -> int:
    values = attribute(operation, name)
    return int(values[_axis(operation, at)]) if values else 1


def _shape(operation: Any, at: int) -> tuple[int, int]:
    """Return a window's span, with gaps, and its stride."""
    if operation.type in ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Dilation2D"):
        kernel = int(operation.inputs[1].shape[at])
    else:
        name = "ksizes" if operation.type == "ExtractImagePatches" else "ksize"
        kernel = _along(operation, name, at)
    dilation = _along(operation, "dilations", at) * _along(operation, "rates", at)
    return (kernel - 1) * dilation + 1, _along(operation, "strides", at)


def _before(operation: Any, at: int, size: int, count: int) -> int:
    """Return by how many cells the first of ``count`` windows begins in front of ``size`` cells."""
    padding = attribute(operation, "padding")
    if padding == b"EXPLICIT":
        return int(attribute(operation, "explicit_paddings")[2 * _axis(operation, at)])
    if padding != b"SAME":
        return 0
    kernel, stride = _shape(operation, at)
    return max(0, (count - 1) * stride + kernel - size) // 2


def _window(operation: Any, at: int, place: Place, size: int, count: int) -> Place:
    before = _before(operation, at, size, count)
    return window(place, size, count, *_shape(operation, at), before)


def _unwound(operation: Any, at: int, place: Place, size: int, count: int) -> Place:
    before = _before(operation, at, count, size)
    return unwound(place, size, count, *_shape(operation, at), before)


def _gathered(operation: Any, _at: int, place: Place, size: int, count: int) -> Place:
    block = int(operation.get_attr("block_size"))
    return window(place, size, count, block, block, 0)


def _divided(operation: Any, _at: int, place: Place, _size: int, _count: int) -> Place:
    return spread(place, int(operation.get_attr("block_size")))


def _to_batch(operation: Any, at: int, place: Place, size: int, count: int) -> Place | None:
    """Every ``block``-th cell goes into an image of its own: on average, blocks become cells."""
    block, pads = numbers(operation.inputs[1]), constant(operation.inputs[2])
    if block is None or pads is None or at >= len(block):
        return None
    before, after = (int(number) for number in pads[at])
    wide = pad(place, before, after)._replace(pads=(0, 0))
    return window(wide, size + before + after, count, block[at], block[at], 0)


def _from_batch(operation: Any, at: int, place: Place, size: int, count: int) -> Place | None:
    block, crops = numbers(operation.inputs[1]), constant(operation.inputs[2])
    if block is None or crops is None or at >= len(block):
        return None
    return cut(spread(place, block[at]), size * block[at], int(crops[at][0]), count)


def _resized(operation: Any, place: Place, size: int, count: int) -> Place | None:
    points, scale = np.arange(count, dtype=float), size / count
    area = operation.type == "ResizeArea"
    if attribute(operation, "align_corners"):
        points *= (size - 1) / max(1, count - 1)
    elif attribute(operation, "half_pixel_centers") or area:
        points = (points + 0.5) * scale - 0.5
    else:
        points *= scale
    if operation.type == "ResizeNearestNeighbor":
        points = _nearest(operation, points)
    reach = {"ResizeBilinear": 1.0, "ResizeBicubic": 2.0}.get(operation.type, 0.0)
    return sampled(place, size, points.tolist(), max(reach, (scale - 1) / 2 if area else 0.0))


def _nearest(operation: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    if attribute(operation, "align_corners"):
        return np.floor(points + 0.5)
    half = 0.5 if attribute(operation, "half_pixel_centers") else 0.0
    return np.floor(points + half + 1e-6)


def _scaled(operation: Any, at: int, place: Place, size: int, count: int) -> Place | None:
    """Antialiased resizing: ``out = scale * in + translation``, in pixel edges."""
    scales, moves = constant(operation.inputs[2]), constant(operation.inputs[3])
    if scales is None or moves is None or not scales[at]:
        return None
    points = (np.arange(count) + 0.5 - moves[at]) / scales[at] - 0.5
    return sampled(place, size, points.tolist(), max(1.0, 1 / float(scales[at])))


def _boxed(operation: Any, at: int, place: Place, size: int, count: int) -> Place | None:
    """One box of every image, the same for all; its corners are the centres of corner pixels."""
    boxes, pictures = constant(operation.inputs[1]), numbers(operation.inputs[2])
    if boxes is None or pictures != list(range(len(boxes))) or np.ptp(boxes, axis=0).any():
        return None
    start, stop = float(boxes[0][at]) * (size - 1), float(boxes[0][at + 2]) * (size - 1)
    points = np.linspace(start, stop, count) if count > 1 else np.array([(start + stop) / 2])
    return sampled(place, size, points.tolist(), 1.0)


_MOVES: dict[str, Move] = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative", "Dilation2D"), _window),
    **dict.fromkeys(("MaxPool", "MaxPoolWithArgmax", "AvgPool", "ExtractImagePatches"), _window),
    "Conv2DBackpropInput": _unwound,
    "SpaceToDepth": _gathered,
    "DepthToSpace": _divided,
    "SpaceToBatchND": _to_batch,
    "BatchToSpaceND": _from_batch,
    "ScaleAndTranslate": _scaled,
    "CropAndResize": _boxed,
}


def padded(operation: Any, axis: int) -> tuple[int, int] | None:
    """Return how many cells a Pad operation puts before and behind an axis; None if not fixed."""
    pads = constant(operation.inputs[1])
    return None if pads is None else (int(pads[axis][0]), int(pads[axis][1]))


def split(operation: Any, axis: int, output: int) -> int | None:
    """Return where an output of a Split operation begins on an axis; None where unknown."""
    over = numbers(operation.inputs[2 if operation.type == "SplitV" else 0])
    if over is None:
        return None
    sizes = [value.shape[axis] for value in operation.outputs[:output]]
    rank = operation.outputs[0].shape.rank
    return sum(map(int, sizes)) if over[0] % rank == axis else 0


def taken(place: Place, size: int, indices: list[int]) -> Place | None:
    """Return the place of the cells of an axis that are gathered by their indices."""
    return sampled(place, size, [index % size for index in indices], 0.0)
