"""A traced graph becomes, for every tensor, which of its axes are the image's rows and columns.

The image's rows and columns are followed from the input through every operation. That shows a
feature map beside an attention matrix of the same rank, channels first or last, and in which order
the tokens of a transformer lie on the image, with class tokens before or after them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from gradcam_cli.isolation import tf
from gradcam_cli.network.axis import Atom, Layout, pixels, place_of, size_of
from gradcam_cli.network.axis_rules import RULES, like_inputs, part_of
from gradcam_cli.network.operations import sizes_of
from gradcam_cli.network.places import Place

Axes = dict[str, Layout | None]
"""By tensor name: its layout, or None where the image arrives but its axes are lost."""


@dataclass(frozen=True, slots=True)
class Features:
    """How a tensor holds a feature map.

    ``grid`` is ``(u, v)``, ``channels`` K. ``order`` are the tensor's axes as images, rows,
    columns, channels, or for ``tokens`` as images, cells, channels; ``before`` and ``after``
    count the tokens that are not cells, and columns come first where ``by_columns``. ``places`` say
    where rows and columns lie in the network's input, None where that is not known.
    """

    grid: tuple[int, int]
    channels: int
    order: tuple[int, ...]
    tokens: bool = False
    before: int = 0
    after: int = 0
    by_columns: bool = False
    places: tuple[Place | None, Place | None] = (None, None)

    def transposed(self) -> Features:
        """Return the same layout with rows for columns."""
        if self.tokens:
            turned = replace(self, by_columns=not self.by_columns)
        else:
            pictures, rows, columns, channels = self.order
            turned = replace(self, order=(pictures, columns, rows, channels))
        return replace(turned, grid=self.grid[::-1], places=self.places[::-1])

    def fold(self, tensor: Any) -> Any:
        """Return a tensor of this layout as float32 ``[N, u, v, K]``, without further tokens."""
        tensor = tf.transpose(tf.cast(tensor, tf.float32), self.order)
        if not self.tokens:
            return tensor
        u, v = self.grid
        cells = tensor[:, self.before : self.before + u * v]
        sizes = (v, u) if self.by_columns else (u, v)
        grid = tf.reshape(cells, (-1, *sizes, self.channels))
        return tf.transpose(grid, (0, 2, 1, 3)) if self.by_columns else grid

    def unfold(self, grid: Any, tensor: Any) -> Any:
        """Return ``[N, u, v, K]`` in this layout and dtype, with the further tokens of ``tensor``.

        The opposite of ``fold``: ``unfold(fold(tensor), tensor)`` is ``tensor``.
        """
        back = tuple(self.order.index(axis) for axis in range(len(self.order)))
        grid = tf.cast(grid, tensor.dtype)
        if not self.tokens:
            return tf.transpose(grid, back)
        u, v = self.grid
        cells = tf.transpose(grid, (0, 2, 1, 3)) if self.by_columns else grid
        cells = tf.reshape(cells, (-1, u * v, self.channels))
        own = tf.transpose(tensor, self.order)
        before, after = own[:, : self.before], own[:, self.before + u * v :]
        return tf.transpose(tf.concat([before, cells, after], axis=1), back)


def follow(picture: Any) -> Axes:
    """Return the axes of every tensor computed from ``picture``, a symbolic ``[N, h, w, K]``."""
    sizes = sizes_of(picture)
    axes: Axes = {picture.name: None}
    if sizes:
        axes[picture.name] = tuple(map(pixels, "nuv?", sizes))
    for operation in picture.graph.get_operations():
        if not any(value.name in axes for value in operation.inputs):
            continue
        layout, inputs = None, [axes.get(value.name) for value in operation.inputs]
        if operation.outputs and sizes_of(operation.outputs[0]) is not None:
            layout = RULES.get(operation.type, like_inputs)(operation, inputs)
        for output, value in enumerate(operation.outputs):
            if output and operation.type in ("Split", "SplitV"):
                layout = part_of(operation, inputs, output)
            fits = layout is not None and [size_of(axis) for axis in layout] == sizes_of(value)
            axes[value.name] = layout if fits else None
    return axes


def features_of(tensor: Any, axes: Axes) -> Features | None:
    """Return how a tensor holds a feature map, or None when it holds none (or none is known)."""
    layout = axes.get(tensor.name)
    if layout is None or not tensor.dtype.is_floating or not 3 <= len(layout) <= 4:
        return None
    if [atom.letter for atom in layout[0]] != ["n"]:
        return None
    sizes = [int(size) for size in tensor.shape]
    letters = ["".join(atom.letter for atom in axis if atom.letter != "?") for axis in layout]
    kinds = sorted(letters[1:])
    if kinds == ["", "u", "v"]:
        u, v = letters.index("u"), letters.index("v")
        k = 6 - u - v
        if layout[u][0].letter == "u" and layout[v][0].letter == "v":
            places = (place_of(layout[u]), place_of(layout[v]))
            return Features((sizes[u], sizes[v]), sizes[k], (0, u, v, k), places=places)
    if kinds in (["", "uv"], ["", "vu"], ["", "t"]):
        t = 1 if letters[1] else 2
        return _tokens(layout[t], sizes[3 - t], (0, t, 3 - t))
    return None


def _tokens(axis: tuple[Atom, ...], channels: int, order: tuple[int, ...]) -> Features | None:
    if [atom.letter for atom in axis] == ["t"]:
        cells = axis[0]
        places = (cells.places[0], cells.places[1]) if cells.places else (None, None)
        return Features(cells.grid, channels, order, True, cells.before, cells.after, places=places)
    if len(axis) != 2:
        return None
    flip = axis[0].letter == "v"
    u, v = reversed(axis) if flip else axis
    places = (place_of((u,)), place_of((v,)))
    return Features((u.size, v.size), channels, order, True, by_columns=flip, places=places)


def guess_features(tensor: Any, layer: Any) -> Features | None:
    """Return how a tensor whose axes are lost most likely holds a feature map, or None.

    For a layer that the user named: rank 4 is a grid, channels where the layer's ``data_format``
    says; rank 3 is a grid of tokens, as high as wide, after one class token or none.
    """
    sizes = sizes_of(tensor)
    if sizes is None or not tensor.dtype.is_floating:
        return None
    if len(sizes) == 4:
        if getattr(layer, "data_format", None) == "channels_first":
            return Features((sizes[2], sizes[3]), sizes[1], (0, 2, 3, 1))
        return Features((sizes[1], sizes[2]), sizes[3], (0, 1, 2, 3))
    if len(sizes) == 3:
        for before in (0, 1):
            side = math.isqrt(max(sizes[1] - before, 0))
            if side > 1 and side * side == sizes[1] - before:
                return Features((side, side), sizes[2], (0, 1, 2), True, before)
    return None
