"""One trace of a network becomes its layers in call order, its default layer, its scaling inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError, suggestion
from gradcam_cli.models.tap import Step

__all__ = [
    "ancestors",
    "default_step",
    "feature_grid",
    "feature_steps",
    "find_step",
    "first_weights_input",
    "named_operations",
    "read_scaling",
    "resolve_layer",
]

_WEIGHTED = ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2", "Einsum")
_NO_FEATURES = (
    "Pool",
    "Dropout",
    "Pad",
    "Reshape",
    "Permute",
    "Transpose",
    "Rescaling",
    "Resizing",
    "Cropping",
    "Flatten",
)


def named_operations(network: Any) -> dict[str, Any]:
    """Return every layer and operation inside a network by its path, outer layers first.

    A path is the names from the outside in, ``base/block5_conv3``; the network's own name is left
    out. Names are never split. A layer that is reached in two ways has the first path; two
    different layers with one path are told apart as ``name#2``.
    """
    found: dict[str, Any] = {}
    seen: set[int] = {id(network)}

    def visit(parent: Any, prefix: str) -> None:
        for child in _children(parent):
            if id(child) in seen or type(child).__name__ == "InputLayer":
                continue
            seen.add(id(child))
            path, number = prefix + child.name, 1
            while path in found:
                number += 1
                path = f"{prefix}{child.name}#{number}"
            found[path] = child
            visit(child, path + "/")

    visit(network, "")
    return found


def _children(layer: Any) -> Iterable[Any]:
    operations = getattr(layer, "operations", None)
    if operations is not None:
        return list(operations)
    flatten = getattr(layer, "_flatten_layers", None)
    return list(flatten(include_self=False, recursive=False)) if flatten else []


def resolve_layer(typed: str, paths: Iterable[str]) -> str:
    """Return the path that ``typed`` names: a whole path, or an end of just one path.

    Raises ModelError with the nearest paths when nothing fits, or the paths when several do.
    """
    paths = list(paths)
    if typed in paths:
        return typed
    ends = [path for path in paths if path.endswith("/" + typed)]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ModelError(
            f"several layers are called {typed!r}", f"give the path: {', '.join(ends[:6])}"
        )
    last = {path.rsplit("/", 1)[-1]: path for path in paths}
    known = paths + [name for name in last if name not in paths]
    raise ModelError(
        f"the model has no layer {typed!r}",
        suggestion(typed, known, "`gradcam layers MODEL` lists them"),
    )


def feature_grid(step: Step) -> tuple[int, int, int] | None:
    """Return a step's grid and channels ``(u, v, K)``, or None when its output is no feature map.

    Channels lie first where the layer says so (``data_format``).
    """
    shape = step.tensor.shape
    if shape.rank != 4 or not step.tensor.dtype.is_floating:
        return None
    sizes = [int(size) if size is not None else 0 for size in shape[1:]]
    if channels_first(step):
        sizes = [sizes[1], sizes[2], sizes[0]]
    return sizes[0], sizes[1], sizes[2]


def channels_first(step: Step) -> bool:
    """Tell whether a step's channels lie before its grid, by the layer that made it."""
    return getattr(step.layer, "data_format", None) == "channels_first"


def ancestors(tensor: Any) -> set[str]:
    """Return the names of all operations that a symbolic tensor is computed from."""
    names: set[str] = set()
    waiting = [tensor.op]
    while waiting:
        operation = waiting.pop()
        if operation.name not in names:
            names.add(operation.name)
            waiting.extend(value.op for value in operation.inputs)
    return names


def feature_steps(steps: Sequence[Step], score: Any) -> list[Step]:
    """Return the steps that can be explained: feature maps made by weights, on the score's way."""
    behind = ancestors(score)
    weighted = _made_by_weights(score.graph)
    chosen: list[Step] = []
    tensors: set[int] = set()
    for step in steps:
        grid, name = feature_grid(step), step.tensor.op.name
        if grid is None or grid[0] * grid[1] == 1 or name not in behind or name not in weighted:
            continue
        if id(step.tensor) not in tensors:
            tensors.add(id(step.tensor))
            chosen.append(step)
    return chosen


def _made_by_weights(graph: Any) -> set[str]:
    """Return the names of the operations that a convolution or matrix product leads to."""
    made: set[str] = set()
    for operation in graph.get_operations():
        if operation.type in _WEIGHTED or any(value.op.name in made for value in operation.inputs):
            made.add(operation.name)
    return made


def default_step(steps: Sequence[Step], score: Any) -> Step:
    """Return the last feature map before pooling, flattening or dropout take it away.

    ``steps`` are those of one trace and ``score`` is the logits' own tensor. Raises ModelError when
    there is no feature map to explain.
    """
    for step in reversed(feature_steps(steps, score)):
        if step.tensor is not score and not _takes_away(step):
            return step
    raise ModelError(
        "the model has no convolutional feature map to explain",
        "Grad-CAM needs a layer whose output is a grid of features, larger than 1 x 1",
    )


def _takes_away(step: Step) -> bool:
    return any(word in type(step.layer).__name__ for word in _NO_FEATURES)


def find_step(steps: Sequence[Step], path: str, call: int = 0) -> Step:
    """Return the step of a path: its last call, or call number ``call``.

    Raises ModelError when the layer was not called (so often), or has no feature map.
    """
    mine = [step for step in steps if step.path == path]
    if not mine:
        raise ModelError(
            f"layer {path!r} is never called when the model predicts",
            "`gradcam layers MODEL` lists the layers that are",
        )
    calls = mine[-1].call
    if call > calls or call < 0:
        raise ModelError(
            f"layer {path!r} is called {calls} time{'s' * (calls > 1)}, there is no call {call}",
            "calls are counted from 1; without --call the last one is taken",
        )
    wanted = [step for step in mine if step.call == (call or calls)]
    for step in wanted:
        grid = feature_grid(step)
        if grid is not None and grid[0] * grid[1] != 1:
            return step
    shape = "x".join(str(size) for size in wanted[-1].tensor.shape[1:])
    raise ModelError(
        f"layer {path!r} has no feature grid: its output is {shape or 'a single number'}",
        "choose a layer that `gradcam layers MODEL` lists, or leave out --layer",
    )


def first_weights_input(source: Any) -> Any:
    """Return what arrives at the first convolution or matrix product behind the input.

    ``source`` is the symbolic input; the source itself is returned when there is no such place.
    """
    reached = {source.op.name}
    for operation in source.graph.get_operations():
        if any(value.op.name in reached for value in operation.inputs):
            if operation.type in _WEIGHTED:
                for value in operation.inputs:
                    if value.op.name in reached and value.shape.rank == 4:
                        return value
                return source
            reached.add(operation.name)
    return source


def read_scaling(arrived: NDArray[np.float32]) -> str:
    """Name what a network does to the pixels 0, 127.5 and 255 before its first weights.

    ``arrived`` is float ``[3, channels]``, what became of the three. Returns ``nothing``, ``0..1``,
    ``-1..1``, another range as ``a..b``, or an empty string when it is no plain scaling.
    """
    pixels = np.array([[0.0], [127.5], [255.0]], dtype=np.float32)
    if not np.isfinite(arrived).all():
        return ""
    if np.allclose(arrived, pixels, atol=1e-3):
        return "nothing"
    straight = np.allclose(arrived[1], (arrived[0] + arrived[2]) / 2, atol=1e-2)
    slopes = (arrived[2] - arrived[0]) / 255
    normalised = np.abs(slopes).max() * 255 <= 10 and np.abs(arrived).max() <= 20
    centred = np.allclose(slopes, 1, atol=1e-4) and np.abs(arrived).max() < 255
    if not straight or not (normalised or centred) or np.abs(slopes).max() < 1e-6:
        return ""
    low, high = round(float(arrived.min()), 2) + 0.0, round(float(arrived.max()), 2) + 0.0
    return f"{low:g}..{high:g}"
