"""Methods that run the network many times for each image, or go back to its pixels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import LayerFacts
from gradcam_cli.cam.methods import METHODS
from gradcam_cli.cam.passes import Passes, occlusion_cells
from gradcam_cli.cam.similarity import cosine_similarity, cosine_slope
from gradcam_cli.cam.smoothing import variations
from gradcam_cli.cam.targets import contrast
from gradcam_cli.explaining.found import Found
from gradcam_cli.explaining.request import Request
from gradcam_cli.images.fit import Cells, Span
from gradcam_cli.isolation import tf
from gradcam_cli.network.functions import Functions, LayerCall, ScoreKind
from gradcam_cli.network.sweep import sweep

Tick = Callable[[int, int], None]
"""Told how many passes of how many an image has behind it."""

Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """Images that the network was run on, and what it said of them.

    ``inputs`` are as scaled for the network, float32 ``[N, h, w, channels]``; ``scores`` are of the
    kind that is explained, ``[N, C]``; ``classes`` are int32 ``[N, T]``.
    """

    request: Request
    functions: Functions
    layers: tuple[LayerFacts, ...]
    inputs: Any
    scores: Numbers
    classes: NDArray[np.int32]

    @property
    def kind(self) -> ScoreKind:
        """Return which score of a class is explained."""
        return self.request.spec.score if self.request.spec else "logit"

    def weights(self) -> Numbers:
        """Return the weights ``[N, T, C]`` of the scores that are explained."""
        spec = self.request.spec
        hot = np.eye(self.scores.shape[1], dtype=np.float32)[self.classes]
        if self.request.contrast is not None:
            change = contrast(self.request.contrast)
            hot = np.stack([change(each, self.scores, np) for each in hot.swapaxes(0, 1)], axis=1)
        return -hot if spec and spec.counterfactual else hot


def counted(request: Request, layers: Iterable[LayerFacts]) -> dict[str, int]:
    """Return how many passes through the network each method takes for an image at most."""
    spec = request.spec
    if spec is None:
        return {}
    layers = list(layers)
    size, top = request.model.ports.size, request.classes
    count: dict[str, int] = {}
    for name in request.methods:
        row = METHODS[name]
        if row.passes is not None:
            grids = _placed(row, layers, size)
            count[name] = sum(row.passes.count(*each.grid, each.channels) for each in grids)
        elif row.needs == "noise":
            count[name] = spec.samples + 1
        elif row.needs == "pixels":
            count[name] = top.top + len(top.fixed)
        elif spec.smooth:
            count[name] = len(variations(spec.smooth))
    return count


def swept(
    batch: Batch, wanted: Sequence[Collection[str]], tick: Tick | None
) -> dict[str, list[Found]]:
    """Return the maps of the methods of many passes, of each image by those that are ``wanted``.

    The others are zero.
    """
    request = batch.request
    rows_of = {name: METHODS[name] for name in request.methods}
    methods = {name: each.passes for name, each in rows_of.items() if each.passes is not None}
    if not methods:
        return {}
    size = request.model.ports.size
    features, before = _untouched(batch)
    weights = batch.weights()
    shape = batch.classes.shape
    found = {
        name: [
            Found(each, np.zeros((*shape, *each.grid), np.float32), np.zeros(shape, bool))
            for each in _placed(METHODS[name], batch.layers, size)
        ]
        for name in methods
    }
    for row, names in enumerate(wanted):
        sweeps = [
            _needed(passes, each, features[at][row] if each.layer.path else None)
            for name, passes in methods.items()
            if name in names
            for at, each in enumerate(found[name])
        ]
        total, done = sum(len(each.numbers) for each in sweeps), 0
        for each in sweeps:
            ticking = partial(_ahead, tick, done, total) if tick else None
            scores = _scores(batch, each, row, before[row], ticking)
            done += len(each.numbers)
            for t, weight in enumerate(weights[row]):
                each.found.maps[row, t] = each.passes.combine(
                    each.A.numpy(), before[row] @ weight, scores @ weight, np
                )
    return found


class _Sweep(NamedTuple):
    """A method's passes over one image: what is altered, how many there are, which have to run."""

    passes: Passes
    found: Found
    A: Any
    total: int
    numbers: NDArray[np.intp]


def _needed(passes: Passes, found: Found, A: Any) -> _Sweep:
    """Return a method's passes over an image with activations A, or None without a layer."""
    layer = found.layer
    A = tf.zeros((*layer.grid, 1)) if A is None else A
    count = passes.count(*layer.grid, layer.channels)
    idle = False if passes.needless is None else passes.needless(A.numpy(), np)
    return _Sweep(passes, found, A, count, np.flatnonzero(~np.broadcast_to(idle, count)))


def _untouched(batch: Batch) -> tuple[list[Any], Numbers]:
    """Return the layers' activations and the scores ``[N, C]``, computed as the passes are."""
    request, kind = batch.request, batch.kind
    calls = [_call(request, each) for each in batch.layers]
    scores, features = (
        batch.functions.features(batch.inputs, calls) if calls else (None, list[Any]())
    )
    if kind == "probability" or scores is None:
        scores = batch.functions.scores(batch.inputs, kind)
    return features, _compared(request, scores.numpy())


def _compared(request: Request, scores: Numbers) -> Numbers:
    """Return scores, or what is explained in their place: their similarity with a reference."""
    if request.reference is None:
        return scores
    alike: Numbers = cosine_similarity(scores, request.reference, np)
    return alike[:, None]


def _ahead(tick: Tick, done: int, total: int, more: int, _: int) -> None:
    tick(done + more, total)


def _scores(batch: Batch, each: _Sweep, row: int, before: Numbers, tick: Tick | None) -> Numbers:
    """Return the scores of all of a method's passes over an image, ``[P, C]``.

    Those that are not run get the score ``before`` anything is altered.
    """
    functions, image = batch.functions, batch.inputs[row]
    passes, A, layer = each.passes, each.A, each.found.layer

    def run(at: Any) -> Any:
        if passes.whole:
            return functions.altered_scores(image, A, at, passes.alter, layer.cells, batch.kind)
        call = _call(batch.request, layer)
        return functions.altered_rest(image, A, at, call, passes.alter, batch.kind)

    scores = np.repeat(before[None], each.total, axis=0)
    if len(each.numbers):
        found = sweep(run, each.numbers, functions.passes, tick)
        scores[each.numbers] = _compared(batch.request, found)
    return scores


def _call(request: Request, layer: LayerFacts) -> LayerCall:
    return LayerCall(layer.path, request.spec.call if request.spec else 0)


def _placed(row: Any, layers: Iterable[LayerFacts], size: tuple[int, int]) -> list[LayerFacts]:
    """Return the grids that a method of many passes has: the layers', or one of its own."""
    if row.needs != "input":
        return list(layers)
    grid, cells = occlusion_cells(size)
    return [LayerFacts("", grid, cells, 1)]


def of_pixels(batch: Batch, found: dict[str, list[Found]]) -> dict[str, list[Found]]:
    """Return the maps of the methods that go back to the pixels, on the network input's grid.

    ``found`` has the maps of other methods, which some are multiplied with.
    """
    request = batch.request
    methods = request.of_kinds("pixels")
    if not methods:
        return {}
    size, weights = request.model.ports.size, batch.weights()
    if request.reference is not None:
        outputs = batch.functions.scores(batch.inputs).numpy()
        weights = weights * cosine_slope(outputs, request.reference, np)[:, None]
    slopes = [
        batch.functions.guided(batch.inputs, tf.constant(weights[:, t]), batch.kind).numpy()
        for t in range(weights.shape[1])
    ]
    pixels = Cells(*(Span(0.5, 1.0, 0.0, float(side)) for side in size))
    flat = np.stack([(slope == 0).all(axis=(1, 2, 3)) for slope in slopes], axis=1)

    def maps(name: str, of: Found | None) -> Numbers:
        compute = METHODS[name].compute
        each = [
            compute(g, np) if of is None else compute(of.maps[:, t], g, of.layer.cells, np)
            for t, g in enumerate(slopes)
        ]
        return np.stack(each, axis=1).astype(np.float32)

    def every(name: str) -> list[Found]:
        other = METHODS[name].times
        if not other:
            return [Found(LayerFacts("", size, pixels), maps(name, None), flat)]
        return [
            Found(LayerFacts(each.layer.path, size, pixels), maps(name, each), flat | each.flat)
            for each in found[other]
        ]

    return {name: every(name) for name in methods}
