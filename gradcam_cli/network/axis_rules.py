"""An operation and the axes of its inputs become the axes of its outputs; the RULES table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

from gradcam_cli.network.axis import (
    Atom,
    Axis,
    Layout,
    coarse,
    cut_out,
    joined,
    known,
    mislaid,
    moved,
    place_of,
    size_of,
    unknown,
)
from gradcam_cli.network.kinds import CONVOLUTIONS
from gradcam_cli.network.moves import move, padded, split, taken
from gradcam_cli.network.operations import attribute, numbers, sizes_of
from gradcam_cli.network.places import Place, pad

Inputs = Sequence[Layout | None]


def like_inputs(operation: Any, layouts: Inputs) -> Layout | None:
    """Element by element, with broadcasting: an axis is what it is in an input of that size."""
    sizes = _output(operation)
    result = [unknown(size) for size in sizes]
    for value, layout in zip(operation.inputs, layouts, strict=True):
        have = sizes_of(value)
        if layout is None or have is None or len(have) > len(sizes):
            continue
        for place, axis in enumerate(layout, len(sizes) - len(have)):
            if size_of(axis) == sizes[place]:
                result[place] = joined(result[place], axis)
    return tuple(result) if any(map(known, result)) else None


def _output(operation: Any) -> list[int]:
    return sizes_of(operation.outputs[0]) or []


def _grid(operation: Any, layouts: Inputs) -> Layout | None:
    """Convolution, pooling, resizing: rows stay rows and columns columns, of other sizes."""
    layout, sizes = layouts[2 if operation.type == "Conv2DBackpropInput" else 0], _output(operation)
    if len(sizes) != 4:
        return None
    u, v, k = (2, 3, 1) if attribute(operation, "data_format") == b"NCHW" else (1, 2, 3)
    result = [unknown(size) for size in sizes]
    if layout is None:
        if sizes[u] > 1 and sizes[v] > 1:
            result[0] = (Atom("n", sizes[0]),)
            _say_again(result, sizes, u, v)
        return tuple(result)
    result[0] = layout[0] if size_of(layout[0]) == sizes[0] else unknown(sizes[0])
    for at, axis in enumerate((u, v)):
        size = sizes[axis]
        result[axis] = moved(layout[axis], size, partial(_along, operation, at, size))
        if not known(result[axis]) and size == _cells(layout[axis]):
            # A convolution over tokens that were padded for it.
            tokens = layout[axis][0]
            result[axis] = _without_tokens(layout[axis], tokens.before, size)
    if operation.type == "BatchToSpaceND":  # the way back from a dilated convolution
        result[0] = (Atom("n", sizes[0]),)
    if operation.type in CONVOLUTIONS and [atom.letter for atom in result[0]] == ["n"]:
        _say_again(result, sizes, u, v)
    result[k] = unknown(sizes[k])
    return tuple(result)


def _say_again(result: list[Axis], sizes: list[int], u: int, v: int) -> None:
    """Name rows and columns that were lost on the way: a convolution says again what is what."""
    for axis, other, letter in ((u, v, "u"), (v, u, "v")):
        if not known(result[axis]) and sizes[axis] > 1:
            turned = letter in [atom.letter for atom in result[other]]
            name = ("v" if letter == "u" else "u") if turned else letter
            result[axis] = (Atom(name, sizes[axis], places=(None,)),)


def _along(operation: Any, at: int, count: int, place: Place, size: int) -> Place | None:
    return move(operation, at, place, size, count)


def _pad(operation: Any, layouts: Inputs) -> Layout | None:
    """Lengthen axes at their ends."""
    layout = layouts[0]
    if layout is None:
        return None
    result = list(layout)
    for at, (axis, size) in enumerate(zip(layout, _output(operation), strict=True)):
        pads = padded(operation, at)
        if pads is None:
            result[at] = mislaid(axis, size)
        elif any(pads):
            result[at] = _with_tokens(axis, pads[0], size)
    return tuple(result)


def part_of(operation: Any, layouts: Inputs, output: int) -> Layout | None:
    """Return the axes of one output of a Split operation."""
    layout = next((layout for layout in layouts if layout is not None), None)
    sizes = sizes_of(operation.outputs[output])
    if layout is None or sizes is None or len(layout) != len(sizes):
        return None
    result = list(layout)
    for at, (axis, size) in enumerate(zip(layout, sizes, strict=True)):
        start = split(operation, at, output)
        if size != size_of(axis):
            result[at] = (
                mislaid(axis, size) if start is None else _without_tokens(axis, start, size)
            )
    return tuple(result)


def _part(operation: Any, layouts: Inputs) -> Layout | None:
    return part_of(operation, layouts, 0)


def _transpose(operation: Any, layouts: Inputs) -> Layout | None:
    order, layout = numbers(operation.inputs[1]), layouts[0]
    return None if layout is None or order is None else tuple(layout[axis] for axis in order)


def _reshape(operation: Any, layouts: Inputs) -> Layout | None:
    if layouts[0] is None:
        return None
    atoms = [atom for axis in layouts[0] for atom in axis]
    return _regrouped([a for a in atoms if a.size > 1 or a.letter != "?"], _output(operation))


def _regrouped(atoms: list[Atom], sizes: list[int]) -> Layout:
    """Deal factors out to axes of other sizes, in order.

    A factor that is cut in two has a coarse and a fine part: the coarse part of rows still is rows.
    """
    result: list[Axis] = []
    waiting = list(atoms)
    for size in sizes:
        axis: list[Atom] = []
        while waiting and (size_of(tuple(axis)) < size or (not axis and waiting[0].size == 1)):
            atom, wanted = waiting.pop(0), size // size_of(tuple(axis))
            if atom.size > wanted:
                if size % size_of(tuple(axis)) or atom.size % wanted or wanted == 1:
                    return tuple(result) + tuple(unknown(s) for s in sizes[len(result) :])
                waiting.insert(0, Atom("?", atom.size // wanted))
                atom = coarse(atom, wanted)
            axis.append(atom)
        if size > 1 and waiting and waiting[0][:2] == ("v", 1) and axis[-1].letter == "u":
            axis.append(waiting.pop(0))  # one column: it goes with its rows
        result.append(tuple(axis) or unknown(size))
    return tuple(result)


def _reduce(operation: Any, layouts: Inputs) -> Layout | None:
    over, layout = numbers(operation.inputs[1]), layouts[0]
    if layout is None or over is None:
        return None
    gone = {axis % len(layout) for axis in over}
    if attribute(operation, "keep_dims"):
        return tuple(unknown(1) if at in gone else axis for at, axis in enumerate(layout))
    return tuple(axis for at, axis in enumerate(layout) if at not in gone)


def _product(operation: Any, layouts: Inputs) -> Layout | None:
    """Rows of the left factor and columns of the right one; leading axes element by element."""
    sizes = _output(operation)
    names = ("transpose_a", "transpose_b") if operation.type == "MatMul" else ("adj_x", "adj_y")
    flipped = [bool(attribute(operation, name)) for name in names]
    result = [unknown(size) for size in sizes]
    for layout, place, axis in (
        (layouts[0], -2, -1 if flipped[0] else -2),
        (layouts[1], -1, -2 if flipped[1] else -1),
    ):
        if layout is None:
            continue
        result[place] = layout[axis]
        for at in range(-len(layout), -2):
            if not known(result[at]) and size_of(layout[at]) == sizes[at]:
                result[at] = layout[at]
    return tuple(result) if any(map(known, result)) else None


def _einsum(operation: Any, layouts: Inputs) -> Layout | None:
    """Sum over indices: an axis is what its letter stands for in an input."""
    left, right = operation.get_attr("equation").decode().replace(" ", "").split("->")
    sizes = _output(operation)
    found: dict[str, Axis] = {}
    for letters, layout in zip(left.split(","), layouts, strict=True):
        for letter, axis in zip(_spelt(letters, len(layout or ())), layout or (), strict=True):
            if known(axis):
                found.setdefault(letter, axis)
    spelt = _spelt(right, len(sizes))
    return tuple(found.get(le, unknown(size)) for le, size in zip(spelt, sizes, strict=True))


def _spelt(letters: str, rank: int) -> str:
    """Return an einsum operand's letters with digits for its dots, numbered from the right."""
    if not rank:
        return ""
    free = rank - len(letters.replace("...", ""))
    return letters.replace("...", "".join(str(at) for at in reversed(range(free))))


def _concat(operation: Any, layouts: Inputs) -> Layout | None:
    """One behind the other: channels join channels, class tokens join cells."""
    at, sizes = numbers(operation.inputs[-1]), _output(operation)
    parts = [sizes_of(value) for value in operation.inputs[:-1]]
    if at is None or None in parts:
        return None
    axis = at[0] % len(sizes)
    result = [unknown(size) for size in sizes]
    cells: list[tuple[int, Axis]] = []
    before = 0
    for part, layout in zip(parts, layouts[:-1], strict=True):
        for place, have in enumerate(layout or ()):
            if place != axis:
                result[place] = joined(result[place], have)
        if layout is not None and known(layout[axis]):
            cells.append((before, layout[axis]))
        before += (part or [])[axis]
    if len(cells) == 1:  # two sets of cells behind each other are not a grid
        result[axis] = _with_tokens(*cells[0][::-1], sizes[axis])
    return tuple(result)


def _with_tokens(axis: Axis, before: int, size: int) -> Axis:
    """Return cells with ``before`` tokens in front of them, and as many behind as fill ``size``."""
    after = size - before - size_of(axis)
    if not before and not after:
        return axis
    if [atom.letter for atom in axis] == ["u", "v"]:
        places = (place_of(axis[:1]), place_of(axis[1:]))
        return (Atom("t", size, before, after, (axis[0].size, axis[1].size), places),)
    if len(axis) == 1 and axis[0].letter == "t":
        cells = axis[0]
        before, after = cells.before + before, cells.after + after
        return (cells._replace(size=size, before=before, after=after),)
    return moved(axis, size, lambda place, _: pad(place, before, after))


def _without_tokens(axis: Axis, first: int, size: int) -> Axis:
    """Return what is left of an axis when only ``size`` entries from ``first`` on remain."""
    if size == size_of(axis) or len(axis) != 1 or axis[0].letter != "t":
        return cut_out(axis, first, size)
    before, cells = axis[0].before, math.prod(axis[0].grid)
    after = size - (before - first) - cells
    if first > before or after < 0:
        return unknown(size)
    if first == before and after == 0:
        (u, v), (down, across) = axis[0].grid, axis[0].places or (None, None)
        return (Atom("u", u, places=(down,)), Atom("v", v, places=(across,)))
    return (axis[0]._replace(size=size, before=before - first, after=after),)


def _cells(axis: Axis) -> int:
    """Return how many cells lie behind each other on an axis of tokens, 0 where it has none."""
    tokens = len(axis) == 1 and axis[0].letter == "t"
    return math.prod(axis[0].grid) if tokens else 0


def _slice(operation: Any, layouts: Inputs) -> Layout | None:
    begin, layout = numbers(operation.inputs[1]), layouts[0]
    if layout is None or begin is None:
        return None
    parts = zip(layout, begin, _output(operation), strict=True)
    return tuple(_without_tokens(axis, first, size) for axis, first, size in parts)


def _strided_slice(operation: Any, layouts: Inputs) -> Layout | None:
    """Return the axes of ``x[begin:end:stride, ..., None, 0]``, spelt in TensorFlow's bit masks."""
    begin, strides = numbers(operation.inputs[1]), numbers(operation.inputs[3])
    layout, sizes = layouts[0], _output(operation)
    if layout is None or begin is None or strides is None:
        return None
    masks = {
        name: operation.get_attr(f"{name}_mask")
        for name in ("begin", "ellipsis", "new_axis", "shrink_axis")
    }
    named = sum(
        not masks["ellipsis"] >> at & 1 and not masks["new_axis"] >> at & 1
        for at in range(len(begin))
    )
    result: list[Axis] = []
    axis = 0
    for at, first in enumerate(begin):
        if masks["ellipsis"] >> at & 1:
            skipped = len(layout) - named
            result += layout[axis : axis + skipped]
            axis += skipped
        elif masks["new_axis"] >> at & 1:
            result.append(unknown(1))
        elif masks["shrink_axis"] >> at & 1:
            axis += 1
        else:
            have, size = layout[axis], sizes[len(result)]
            start = None if masks["begin"] >> at & 1 else first
            start = slice(start, None, strides[at]).indices(size_of(have))[0]
            whole = strides[at] == 1
            cut = _without_tokens if whole else partial(cut_out, stride=strides[at])
            result.append(cut(have, start, size))
            axis += 1
    return tuple(result) + layout[axis:]


def _gather(operation: Any, layouts: Inputs) -> Layout | None:
    axis, layout = numbers(operation.inputs[2]), layouts[0]
    if layout is None or axis is None or attribute(operation, "batch_dims"):
        return None
    at, sizes = axis[0] % len(layout), _output(operation)
    extra = len(sizes) - len(layout) + 1
    middle = tuple(unknown(size) for size in sizes[at : at + extra])
    indices = numbers(operation.inputs[1]) if extra == 1 else None
    if indices and indices == [*range(indices[0], indices[-1] + 1)]:
        middle = (_without_tokens(layout[at], indices[0], len(indices)),)
    elif indices:
        middle = (moved(layout[at], sizes[at], lambda place, n: taken(place, n, indices)),)
        if place_of(middle[0]) is None:
            middle = (unknown(sizes[at]),)
    return (*layout[:at], *middle, *layout[at + 1 :])


def _pack(operation: Any, layouts: Inputs) -> Layout | None:
    known = [layout for layout in layouts if layout is not None]
    if not known:
        return None
    layout = tuple(reduce(joined, axes) for axes in zip(*known, strict=True))
    at = operation.get_attr("axis") % (len(layout) + 1)
    return (*layout[:at], unknown(len(operation.inputs)), *layout[at:])


def _unpack(operation: Any, layouts: Inputs) -> Layout | None:
    if layouts[0] is None:
        return None
    at = operation.get_attr("axis") % len(layouts[0])
    return (*layouts[0][:at], *layouts[0][at + 1 :])


def _turned(operation: Any, layouts: Inputs) -> Layout | None:
    """Turn axes round."""
    axes, layout = numbers(operation.inputs[1]), layouts[0]
    if layout is None or axes is None:
        return None
    result = list(layout)
    for axis in axes:
        size = size_of(layout[axis])
        result[axis] = cut_out(layout[axis], size - 1, size, -1)
    return tuple(result)


def _rolled(operation: Any, layouts: Inputs) -> Layout | None:
    """Lose axes that are rolled; the others are what they were."""
    axes, layout = numbers(operation.inputs[-1]), layouts[0]
    if layout is None or axes is None:
        return None
    moved = {axis % len(layout) for axis in axes}
    return tuple(unknown(size_of(a)) if at in moved else a for at, a in enumerate(layout))


def _tile(operation: Any, layouts: Inputs) -> Layout | None:
    if layouts[0] is None:
        return None
    parts = zip(layouts[0], _output(operation), strict=True)
    return tuple(axis if size_of(axis) == size else unknown(size) for axis, size in parts)


def _lost(operation: Any, layouts: Inputs) -> Layout | None:  # noqa: ARG001  a row of RULES
    return None


_GROUPS: tuple[tuple[Callable[[Any, Inputs], Layout | None], str], ...] = (
    (_grid, "Conv2D Conv2DBackpropInput DepthwiseConv2dNative MaxPool AvgPool ExtractImagePatches"),
    (_grid, "ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea"),
    (_grid, "SpaceToDepth DepthToSpace SpaceToBatchND BatchToSpaceND Dilation2D"),
    (_grid, "ScaleAndTranslate CropAndResize"),
    (_grid, "MaxPoolWithArgmax FractionalMaxPool FractionalAvgPool ImageProjectiveTransformV3"),
    (_pad, "Pad PadV2 MirrorPad"),
    (_part, "Split SplitV"),
    (_tile, "Tile"),
    (_transpose, "Transpose"),
    (_reshape, "Reshape Squeeze ExpandDims"),
    (_reduce, "Mean Sum Max Min Prod Any All EuclideanNorm"),
    (_product, "MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3"),
    (_einsum, "Einsum"),
    (_concat, "ConcatV2"),
    (_slice, "Slice"),
    (_strided_slice, "StridedSlice"),
    (_gather, "GatherV2"),
    (_pack, "Pack"),
    (_unpack, "Unpack"),
    (_turned, "ReverseV2"),
    (_rolled, "Roll"),
    (_lost, "Shape ShapeN Size Rank Range Fill GatherNd ScatterNd TopKV2 ArgMax ArgMin While"),
    (_lost, "StatelessWhile PartitionedCall StatefulPartitionedCall TensorListStack"),
)

RULES = {kind: rule for rule, kinds in _GROUPS for kind in kinds.split()}
"""By operation type; types that are not listed go element by element (``like_inputs``)."""
