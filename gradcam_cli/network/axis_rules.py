"""An operation and the axes of its inputs become the axes of its outputs; the RULES table.

An axis is a product of factors: after ``[N, u, v, K]`` was reshaped to ``[N, u * v, K]``, the
second axis is rows times columns, and a later reshape can take them apart again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradcam_cli.isolation import tf

__all__ = ["RULES", "Atom", "Axis", "Inputs", "Layout", "like_inputs", "size_of", "sizes_of"]


class Atom(NamedTuple):
    """A factor of an axis: ``n`` pictures, ``u`` rows, ``v`` columns, ``t`` cells, or ``?``.

    ``t`` is all cells of ``grid``, row by row, with ``before`` and ``after`` further tokens.
    """

    letter: str
    size: int
    before: int = 0
    after: int = 0
    grid: tuple[int, int] = (0, 0)


Axis = tuple[Atom, ...]
Layout = tuple[Axis, ...]
Inputs = Sequence[Layout | None]


def sizes_of(tensor: Any) -> list[int] | None:
    """Return a tensor's shape, or None when it is not known to the last axis."""
    shape = tensor.shape
    if shape.rank is None or any(size is None for size in shape):
        return None
    return [int(size) for size in shape]


def like_inputs(operation: Any, layouts: Inputs) -> Layout | None:
    """Element by element, with broadcasting: an axis is what it is in an input of that size."""
    sizes = _output(operation)
    result = [_unknown(size) for size in sizes]
    for value, layout in zip(operation.inputs, layouts, strict=True):
        have = sizes_of(value)
        if layout is None or have is None or len(have) > len(sizes):
            continue
        for place, axis in enumerate(layout, len(sizes) - len(have)):
            if size_of(axis) == sizes[place] and not _known(result[place]):
                result[place] = axis
    return tuple(result) if any(map(_known, result)) else None


def _output(operation: Any) -> list[int]:
    return sizes_of(operation.outputs[0]) or []


def size_of(axis: Axis) -> int:
    """Return how many entries an axis has."""
    return math.prod(atom.size for atom in axis)


def _known(axis: Axis) -> bool:
    return any(atom.letter != "?" for atom in axis)


def _unknown(size: int) -> Axis:
    return (Atom("?", size),)


def _attribute(operation: Any, name: str) -> Any:
    try:
        return operation.get_attr(name)
    except ValueError:
        return None


def _numbers(tensor: Any) -> list[int] | None:
    """Return a constant tensor's integers."""
    value = _constant(tensor)
    return None if value is None else [int(number) for number in np.ravel(value)]


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Sub": np.subtract,
    "AddV2": np.add,
    "Mul": np.multiply,
    "Range": np.arange,
    "Pack": lambda *parts: np.stack(parts),
    "ConcatV2": lambda *parts: np.concatenate(parts[:-1]),
}


def _constant(tensor: Any) -> Any | None:
    """Return a tensor's value where the graph fixes it, through arithmetic with axes as well."""
    value = tf.get_static_value(tensor)
    if value is not None or tensor.op.type not in _ARITHMETIC:
        return value
    parts = [_constant(part) for part in tensor.op.inputs]
    return None if any(p is None for p in parts) else _ARITHMETIC[tensor.op.type](*parts)


def _resized(axis: Axis, size: int) -> Axis:
    """Return an axis that was cut or lengthened: rows stay rows, anything else is unknown."""
    if size_of(axis) == size:
        return axis
    letters = [atom.letter for atom in axis if atom.letter != "?"]
    return (Atom(letters[0], size),) if letters in (["u"], ["v"]) else _unknown(size)


def _grid(operation: Any, layouts: Inputs) -> Layout | None:
    """Convolution, pooling, resizing: rows stay rows and columns columns, of other sizes."""
    layout, sizes = layouts[2 if operation.type == "Conv2DBackpropInput" else 0], _output(operation)
    if len(sizes) != 4:
        return None
    u, v, k = (2, 3, 1) if _attribute(operation, "data_format") == b"NCHW" else (1, 2, 3)
    result = [_unknown(size) for size in sizes]
    if layout is None:  # the axes were lost before; a convolution says again what is what
        if sizes[u] > 1 and sizes[v] > 1:
            for letter, axis in (("n", 0), ("u", u), ("v", v)):
                result[axis] = (Atom(letter, sizes[axis]),)
        return tuple(result)
    for axis in (0, u, v):
        result[axis] = _resized(layout[axis], sizes[axis])
        if sizes[axis] == _cells(layout[axis]) and not _known(result[axis]):
            # a convolution over tokens that were padded for it
            result[axis] = (Atom("u", layout[axis][0].grid[0]), Atom("v", layout[axis][0].grid[1]))
    if operation.type == "BatchToSpaceND":  # the way back from a dilated convolution
        result[0] = (Atom("n", sizes[0]),)
    result[k] = _unknown(sizes[k])
    return tuple(result)


def _cut(operation: Any, layouts: Inputs) -> Layout | None:
    """Cut or lengthen the axes that have another size than before."""
    layout = next((layout for layout in layouts if layout is not None), None)
    sizes = _output(operation)
    if layout is None or len(layout) != len(sizes):
        return None
    return tuple(_resized(axis, size) for axis, size in zip(layout, sizes, strict=True))


def _pad(operation: Any, layouts: Inputs) -> Layout | None:
    """Lengthen axes: padded rows stay rows, what is put before or behind cells is a token."""
    widths, layout = _numbers(operation.inputs[1]), layouts[0]
    if layout is None or widths is None:
        return _cut(operation, layouts)
    parts = zip(layout, widths[::2], _output(operation), strict=True)
    return tuple(
        _with_tokens(axis, before, size) if _cells(axis) else _resized(axis, size)
        for axis, before, size in parts
    )


def _cells(axis: Axis) -> int:
    """Return how many cells lie behind each other on an axis, 0 where it has none."""
    if len(axis) == 1 and axis[0].letter == "t":
        return math.prod(axis[0].grid)
    return size_of(axis) if [atom.letter for atom in axis] == ["u", "v"] else 0


def _transpose(operation: Any, layouts: Inputs) -> Layout | None:
    order, layout = _numbers(operation.inputs[1]), layouts[0]
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
                    return tuple(result) + tuple(_unknown(s) for s in sizes[len(result) :])
                waiting.insert(0, Atom("?", atom.size // wanted))
                atom = Atom("?" if atom.letter == "t" else atom.letter, wanted)
            axis.append(atom)
        if size > 1 and waiting and waiting[0] == Atom("v", 1) and axis[-1].letter == "u":
            axis.append(waiting.pop(0))  # one column: it goes with its rows
        result.append(tuple(axis) or _unknown(size))
    return tuple(result)


def _reduce(operation: Any, layouts: Inputs) -> Layout | None:
    over, layout = _numbers(operation.inputs[1]), layouts[0]
    if layout is None or over is None:
        return None
    gone = {axis % len(layout) for axis in over}
    if _attribute(operation, "keep_dims"):
        return tuple(_unknown(1) if at in gone else axis for at, axis in enumerate(layout))
    return tuple(axis for at, axis in enumerate(layout) if at not in gone)


def _product(operation: Any, layouts: Inputs) -> Layout | None:
    """Rows of the left factor and columns of the right one; leading axes element by element."""
    sizes = _output(operation)
    names = ("transpose_a", "transpose_b") if operation.type == "MatMul" else ("adj_x", "adj_y")
    flipped = [bool(_attribute(operation, name)) for name in names]
    result = [_unknown(size) for size in sizes]
    for layout, place, axis in (
        (layouts[0], -2, -1 if flipped[0] else -2),
        (layouts[1], -1, -2 if flipped[1] else -1),
    ):
        if layout is None:
            continue
        result[place] = layout[axis]
        for at in range(-len(layout), -2):
            if not _known(result[at]) and size_of(layout[at]) == sizes[at]:
                result[at] = layout[at]
    return tuple(result) if any(map(_known, result)) else None


def _einsum(operation: Any, layouts: Inputs) -> Layout | None:
    """Sum over indices: an axis is what its letter stands for in an input."""
    left, right = operation.get_attr("equation").decode().replace(" ", "").split("->")
    sizes = _output(operation)
    found: dict[str, Axis] = {}
    for letters, layout in zip(left.split(","), layouts, strict=True):
        for letter, axis in zip(_spelt(letters, len(layout or ())), layout or (), strict=True):
            if _known(axis):
                found.setdefault(letter, axis)
    spelt = _spelt(right, len(sizes))
    return tuple(found.get(le, _unknown(size)) for le, size in zip(spelt, sizes, strict=True))


def _spelt(letters: str, rank: int) -> str:
    """Return an einsum operand's letters with digits for its dots, numbered from the right."""
    if not rank:
        return ""
    free = rank - len(letters.replace("...", ""))
    return letters.replace("...", "".join(str(at) for at in reversed(range(free))))


def _concat(operation: Any, layouts: Inputs) -> Layout | None:
    """One behind the other: channels join channels, class tokens join cells."""
    at, sizes = _numbers(operation.inputs[-1]), _output(operation)
    parts = [sizes_of(value) for value in operation.inputs[:-1]]
    if at is None or None in parts:
        return None
    axis = at[0] % len(sizes)
    result = [_unknown(size) for size in sizes]
    cells: list[tuple[int, Axis]] = []
    before = 0
    for part, layout in zip(parts, layouts[:-1], strict=True):
        for place, have in enumerate(layout or ()):
            if place != axis and not _known(result[place]):
                result[place] = have
        if layout is not None and _known(layout[axis]):
            cells.append((before, layout[axis]))
        before += (part or [])[axis]
    if len(cells) == 1:  # two sets of cells behind each other are no grid
        result[axis] = _with_tokens(*cells[0][::-1], sizes[axis])
    return tuple(result)


def _with_tokens(axis: Axis, before: int, size: int) -> Axis:
    """Return cells with ``before`` tokens in front of them, and as many behind as fill ``size``."""
    after = size - before - size_of(axis)
    if not before and not after:
        return axis
    if [atom.letter for atom in axis] == ["u", "v"]:
        return (Atom("t", size, before, after, (axis[0].size, axis[1].size)),)
    if len(axis) == 1 and axis[0].letter == "t":
        cells = axis[0]
        return (Atom("t", size, cells.before + before, cells.after + after, cells.grid),)
    return _unknown(size)


def _without_tokens(axis: Axis, first: int, size: int) -> Axis:
    """Return what is left of an axis when ``size`` entries from ``first`` on are kept."""
    if size == size_of(axis) or len(axis) != 1 or axis[0].letter != "t":
        return _resized(axis, size)
    before, cells = axis[0].before, math.prod(axis[0].grid)
    after = size - (before - first) - cells
    if first > before or after < 0:
        return _unknown(size)
    if first == before and after == 0:
        u, v = axis[0].grid
        return (Atom("u", u), Atom("v", v))
    return (Atom("t", size, before - first, after, axis[0].grid),)


def _slice(operation: Any, layouts: Inputs) -> Layout | None:
    begin, layout = _numbers(operation.inputs[1]), layouts[0]
    if layout is None or begin is None:
        return None
    parts = zip(layout, begin, _output(operation), strict=True)
    return tuple(_without_tokens(axis, first, size) for axis, first, size in parts)


def _strided_slice(operation: Any, layouts: Inputs) -> Layout | None:
    """Return the axes of ``x[begin:end:stride, ..., None, 0]``, spelt in TensorFlow's bit masks."""
    begin, strides = _numbers(operation.inputs[1]), _numbers(operation.inputs[3])
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
            result.append(_unknown(1))
        elif masks["shrink_axis"] >> at & 1:
            axis += 1
        else:
            start = 0 if masks["begin"] >> at & 1 else first
            size = sizes[len(result)]
            whole = strides[at] == 1 and start >= 0
            have = layout[axis]
            if strides[at] < 0:
                result.append(_unknown(size) if _known(have) else have)
            else:
                result.append(_without_tokens(have, start, size) if whole else _resized(have, size))
            axis += 1
    return tuple(result) + layout[axis:]


def _gather(operation: Any, layouts: Inputs) -> Layout | None:
    axis, layout = _numbers(operation.inputs[2]), layouts[0]
    if layout is None or axis is None or _attribute(operation, "batch_dims"):
        return None
    at, sizes = axis[0] % len(layout), _output(operation)
    picked = _numbers(operation.inputs[1])
    if picked and len(sizes) == len(layout) and picked == [*range(picked[0], picked[-1] + 1)]:
        kept = _without_tokens(layout[at], picked[0], len(picked))
        return (*layout[:at], kept, *layout[at + 1 :])
    extra = len(sizes) - len(layout) + 1
    return (*layout[:at], *map(_unknown, sizes[at : at + extra]), *layout[at + 1 :])


def _pack(operation: Any, layouts: Inputs) -> Layout | None:
    layout = next((layout for layout in layouts if layout is not None), None)
    if layout is None:
        return None
    at = operation.get_attr("axis") % (len(layout) + 1)
    return (*layout[:at], _unknown(len(operation.inputs)), *layout[at:])


def _unpack(operation: Any, layouts: Inputs) -> Layout | None:
    if layouts[0] is None:
        return None
    at = operation.get_attr("axis") % len(layouts[0])
    return (*layouts[0][:at], *layouts[0][at + 1 :])


def _shuffled(operation: Any, layouts: Inputs) -> Layout | None:
    """Reversed or rolled axes are no longer what they were; the others are."""
    axes, layout = _numbers(operation.inputs[-1]), layouts[0]
    if layout is None or axes is None:
        return None
    moved = {axis % len(layout) for axis in axes}
    return tuple(_unknown(size_of(a)) if at in moved else a for at, a in enumerate(layout))


def _tile(operation: Any, layouts: Inputs) -> Layout | None:
    if layouts[0] is None:
        return None
    parts = zip(layouts[0], _output(operation), strict=True)
    return tuple(axis if size_of(axis) == size else _unknown(size) for axis, size in parts)


def _lost(operation: Any, layouts: Inputs) -> Layout | None:  # noqa: ARG001  a row of RULES
    return None


_GROUPS: tuple[tuple[Callable[[Any, Inputs], Layout | None], str], ...] = (
    (_grid, "Conv2D Conv2DBackpropInput DepthwiseConv2dNative MaxPool AvgPool ExtractImagePatches"),
    (_grid, "ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea ScaleAndTranslate"),
    (_grid, "SpaceToDepth DepthToSpace SpaceToBatchND BatchToSpaceND"),
    (_pad, "Pad PadV2 MirrorPad"),
    (_cut, "Split SplitV"),
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
    (_shuffled, "ReverseV2 Roll"),
    (_lost, "Shape ShapeN Size Rank Range Fill GatherNd ScatterNd TopKV2 ArgMax ArgMin While"),
    (_lost, "StatelessWhile PartitionedCall StatefulPartitionedCall TensorListStack"),
)

RULES = {kind: rule for rule, kinds in _GROUPS for kind in kinds.split()}
"""By operation type; types that are not listed go element by element (``like_inputs``)."""
