"""One traced call of a network becomes its steps, its head and the feature maps in between."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.network.axes import Axes, Features, features_of, follow, guess_features
from gradcam_cli.network.head import Head, behind_copies, find_head
from gradcam_cli.network.kinds import SHRINKING, WEIGHTED
from gradcam_cli.network.paths import named_operations
from gradcam_cli.network.ports import Ports, run
from gradcam_cli.network.tap import Step, recording


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
        """Return whether a normalisation layer made it."""
        return "Norm" in type(self.step.layer).__name__

    def fold(self, tensor: Any) -> Any:
        """Return a tensor like the step's own as float32 ``[N, u, v, K]``."""
        return self.features.fold(tensor)

    def unfold(self, grid: Any, tensor: Any) -> Any:
        """Return float ``[N, u, v, K]`` laid out as the step's own ``tensor`` is."""
        return self.features.unfold(grid, tensor)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What one trace of a network shows.

    ``steps`` are all outputs in call order, ``maps`` those among them that can be explained: made
    by weights from the image, on the way to the score, larger than 1 x 1. ``axes`` say where in
    a tensor the image's rows and columns are, ``class_axis`` where a map of classes has them;
    ``transposed`` says that the network takes the one for the other.
    """

    steps: tuple[Step, ...]
    head: Head
    maps: tuple[FeatureMap, ...]
    axes: Axes
    class_axis: int
    transposed: bool = False


def dissect(
    network: Any,
    ports: Ports,
    pictures: Any,
    binary: bool = False,
) -> Anatomy:
    """Call a network on symbolic float32 ``[n, h, w, channels]`` and record all that happens.

    For use while a function is being traced. ``binary`` says that one linear unit is a two-class
    logit. Raises ModelError when the output does not depend on the image.
    """
    with recording(named_operations(network)) as steps:
        output = run(network, ports, pictures)
    axes = follow(pictures)
    if output.name not in axes:
        raise ModelError("the output does not depend on the picture", "choose one with --output")
    class_axis = _class_axis(output, axes)
    head = find_head(output, binary, class_axis)
    wanted = ancestors(head.source) & _made_by_weights(output.graph)
    maps: dict[str, FeatureMap] = {}
    for step in steps:
        features = features_of(step.tensor, axes)
        if features and features.grid != (1, 1) and step.tensor.op.name in wanted:
            maps.setdefault(step.tensor.name, FeatureMap(step, features))
    return Anatomy(tuple(steps), head, tuple(maps.values()), axes, class_axis, ports.transposed)


def _class_axis(output: Any, axes: Axes) -> int:
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
        if operation.type in WEIGHTED or any(value.op.name in made for value in operation.inputs):
            made.add(operation.name)
    return made


def default_map(anatomy: Anatomy, alive: Collection[tuple[str, int]] | None = None) -> FeatureMap:
    """Return the last feature map before pooling, flattening or dropout take it away.

    Of a transformer these are the last normalised tokens; ``alive`` holds path and call of those
    of which more than one patch token has a gradient (None: all have). Raises ModelError when there
    is not a feature map to explain.
    """
    scores = _score_maps(anatomy.head.source)
    grids = any(not each.features.tokens for each in anatomy.maps)
    normalised = any(each.normalised for each in anatomy.maps if each.features.tokens)
    made = {each.step.tensor.name for each in anatomy.maps}
    for each in reversed(anatomy.maps):
        tensor = each.step.tensor
        original = behind_copies(tensor)
        if tensor.op.name in scores or (original is not tensor and original.name in made):
            continue
        if each.features.tokens:
            counts = each.normalised or not (grids or normalised)
            if counts and (alive is None or (each.path, each.step.call) in alive):
                return each
        elif not any(part in original.op.type for part in SHRINKING):
            return each
    if any(step.tensor.shape.rank == 4 and _is_lost(step, anatomy.axes) for step in anatomy.steps):
        raise ModelError(
            "the model's feature maps cannot be followed back to the picture: something before "
            "them rolls or reorders its rows or columns",
            "Grad-CAM needs to know which part of the picture a cell stands for",
        )
    raise ModelError(
        "the model has no convolutional feature map to explain",
        "Grad-CAM needs a layer whose output is a grid of features, larger than 1 x 1",
    )


def _score_maps(source: Any) -> set[str]:
    """Return the operations that hold the scores themselves, as they are or enlarged."""
    names, tensor = {source.op.name}, source
    while True:
        before = behind_copies(tensor)
        if before.op.type.startswith("Resize"):
            before = before.op.inputs[0]
        names |= {before.op.name}
        if before is tensor:
            return names
        tensor = before


def find_map(anatomy: Anatomy, path: str, call: int = 0) -> FeatureMap:
    """Return the feature map of a path: its last call on the way to the score, or call ``call``.

    Raises ModelError when the layer was not called (so often), has no feature map, or is not on the
    way from the image to the score; the hint names layers that can be had.
    """
    mine = [step for step in anatomy.steps if step.path == path]
    others = _alternatives(anatomy)
    if not mine:
        raise ModelError(f"layer {path!r} is never called when the model predicts", others)
    calls = mine[-1].call
    if call > calls or call < 0:
        raise ModelError(
            f"layer {path!r} is called {calls} time{'s' * (calls > 1)}, there is no call {call}",
            "calls are counted from 1; without --call the last one is taken",
        )
    found = [_as_map(step, anatomy) for step in mine if step.call == (call or step.call)]
    maps = [each for each in found if each is not None]
    if not any(step.tensor.name in anatomy.axes for step in mine):
        raise ModelError(f"layer {path!r} does not see the picture", others)
    if not maps:
        last = [step for step in mine if step.call == (call or calls)][-1]
        shape = "x".join(str(size) for size in last.tensor.shape[1:])
        raise ModelError(
            f"layer {path!r} has no feature grid: its output is {shape or 'a single number'}",
            others,
        )
    before = ancestors(anatomy.head.source)
    on_the_way = [each for each in maps if each.step.tensor.op.name in before]
    if on_the_way:
        return on_the_way[-1]
    if anatomy.head.source.op.name in ancestors(maps[-1].step.tensor):
        raise ModelError(f"layer {path!r} lies behind the score", others)
    raise ModelError(f"the score does not depend on layer {path!r}", others)


def _is_lost(step: Step, axes: Axes) -> bool:
    """Return whether a step's output is a grid of more than one cell whose axes are not known."""
    sizes = [size or 0 for size in step.tensor.shape[1:]]
    return step.tensor.name in axes and features_of(step.tensor, axes) is None and min(sizes) > 1


def _as_map(step: Step, anatomy: Anatomy) -> FeatureMap | None:
    features = features_of(step.tensor, anatomy.axes)
    if features is None and anatomy.axes.get(step.tensor.name, ()) is None:
        features = guess_features(step.tensor, step.layer)
        if features and anatomy.transposed:
            features = features.transposed()
    return FeatureMap(step, features) if features and features.grid != (1, 1) else None


def _alternatives(anatomy: Anatomy) -> str:
    paths = list(dict.fromkeys(each.path for each in reversed(anatomy.maps)))
    if not paths:
        return "the model has no layer with a feature grid"
    return f"layers to choose, last first: {', '.join(paths[:4])}; `gradcam layers MODEL` lists all"
