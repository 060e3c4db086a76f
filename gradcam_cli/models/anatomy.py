"""One traced call of a network becomes its steps, its head and the feature maps in between."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from gradcam_cli.errors import ModelError
from gradcam_cli.models.axes import Features, features_of, follow, guess_features
from gradcam_cli.models.axis_rules import sizes_of
from gradcam_cli.models.head import Head, find_head, same_values
from gradcam_cli.models.paths import named_operations
from gradcam_cli.models.ports import Ports, run
from gradcam_cli.models.tap import Step, recording

__all__ = ["Anatomy", "FeatureMap", "default_map", "dissect", "find_map"]

_WEIGHTED = ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2", "Einsum")
_TAKES_AWAY = ("Pool", "Pad", "Slice", "Resize", "Tile", "Reverse")
_MOVES = ("Transpose", "Reshape", "Squeeze", "ExpandDims", "Identity", "Cast")


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A step whose output is a feature map, and how it lies there."""

    step: Step
    features: Features

    @property
    def path(self) -> str:
        """Return the layer's path."""
        return self.step.path

    @property
    def normalised(self) -> bool:
        """Tell whether a normalisation layer made it."""
        return "Norm" in type(self.step.layer).__name__

    def fold(self, tensor: Any) -> Any:
        """Return a tensor like the step's own as float32 ``[N, u, v, K]``."""
        return self.features.fold(tensor)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What one trace of a network shows.

    ``steps`` are all outputs in call order, ``maps`` those among them that can be explained: made by
    weights from the picture, on the way to the score, larger than 1 x 1. ``picture`` is what went
    in and ``output`` what came out, both symbolic.
    """

    picture: Any
    steps: tuple[Step, ...]
    output: Any
    head: Head
    maps: tuple[FeatureMap, ...]


def dissect(
    network: Any,
    ports: Ports,
    pictures: Any,
    binary: bool = False,
    change: Callable[[str, int, Any], Any] | None = None,
) -> Anatomy:
    """Call a network on symbolic float32 ``[n, h, w, channels]`` and look at all that happens.

    For use while a function is being traced. ``binary`` says that one linear unit is a two-class
    logit; ``change`` may replace a step's output (see ``recording``).
    """
    with recording(named_operations(network), change) as steps:
        output = run(network, ports, pictures)
    axes = follow(pictures)
    if output.name not in axes:
        raise ModelError("the output does not depend on the picture", "choose one with --output")
    head = find_head(output, binary, _class_axis(output, axes))
    behind = ancestors(head.output) | ancestors(head.source)
    weighted = _made_by_weights(output.graph)
    maps: dict[str, FeatureMap] = {}
    for step in steps:
        name = step.tensor.op.name
        features = features_of(step.tensor, axes)
        if features is None or features.grid == (1, 1) or name not in behind & weighted:
            continue
        maps.setdefault(step.tensor.name, FeatureMap(step, features))
    return Anatomy(pictures, tuple(steps), output, head, tuple(maps.values()))


def _class_axis(output: Any, axes: dict[str, Any]) -> int:
    features = features_of(output, axes)
    return features.order[-1] if features is not None and not features.tokens else -1


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


def _made_by_weights(graph: Any) -> set[str]:
    """Return the names of the operations that a convolution or matrix product leads to."""
    made: set[str] = set()
    for operation in graph.get_operations():
        if operation.type in _WEIGHTED or any(value.op.name in made for value in operation.inputs):
            made.add(operation.name)
    return made
