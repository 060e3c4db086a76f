"""A network is traced once: inputs become predictions, and the maps that one pass gives."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from gradcam_cli.cam.answer import Facts, LayerFacts
from gradcam_cli.cam.methods import METHODS
from gradcam_cli.cam.similarity import cosine_similarity
from gradcam_cli.cam.targets import contrast, target_class
from gradcam_cli.errors import GradcamError
from gradcam_cli.explaining.checks import check_classes, check_pooled, check_target
from gradcam_cli.explaining.passes import counted
from gradcam_cli.explaining.request import Request
from gradcam_cli.explaining.tokens import layer_cautions
from gradcam_cli.images.fit import Cells, Span
from gradcam_cli.isolation import keras, tf
from gradcam_cli.network.anatomy import Anatomy, FeatureMap, dissect, find_map
from gradcam_cli.network.dense import is_dense, weights_in_order
from gradcam_cli.network.freeze import weights_as_constants
from gradcam_cli.network.gradient import gradients, gradients_and_products
from gradcam_cli.network.guided import check_rectified
from gradcam_cli.network.head import Head
from gradcam_cli.network.places import Place
from gradcam_cli.network.precision import trunk
from gradcam_cli.network.tap import trace


class Traced(NamedTuple):
    """A network's functions for batches of N images, float32 unless said otherwise.

    ``predict`` takes uint8 pixels ``[N, h, w, channels]`` and returns a dict: ``scores`` and
    ``probabilities`` ``[N, C]``, and, where something is explained, ``classes`` int32 ``[N, T]``
    and the maps of the methods that take one pass. ``explain`` takes pixels as float32 and such
    classes, and returns these maps; ``slopes`` returns activations and gradients themselves.
    Maps are ``maps``, by method a list with ``[N, T, u, v]`` a layer, beside ``flat``, booleans
    ``[N, T]`` that tell whose gradient is zero everywhere.

    ``facts`` are what tracing told, ``lowered`` the layers that may compute in bfloat16.
    """

    predict: Any
    explain: Any
    slopes: Any
    facts: Facts
    lowered: list[Any]


def trace_request(request: Request, freeze: bool) -> Traced:
    """Trace what a request needs; raises ModelError for what the model does not allow.

    With ``freeze`` weights become constants, unless the network changes some of them.
    """
    try:
        return _trace_request(request, freeze)
    except GradcamError:
        if not freeze:
            raise
        return _trace_request(request, freeze=False)  # or it says why not


def _trace_request(request: Request, freeze: bool) -> Traced:
    model, spec = request.model, request.spec
    shape = (request.batch_size, *model.ports.size, model.ports.channels)
    told: list[_Whole] = []

    def whole(pixels: Any) -> _Whole:
        with weights_as_constants(model.network) if freeze else nullcontext():
            found = _whole(request, tf.cast(pixels, tf.float32))
        told.append(found)
        return found

    def predict(pixels: Any) -> dict[str, Any]:
        return _predicted(request, whole(pixels), with_maps=not (spec and spec.smooth))

    def explain(pixels: Any, classes: Any) -> dict[str, Any]:
        return _maps(request, whole(pixels), classes)

    def slopes(pixels: Any, classes: Any) -> dict[str, Any]:
        return _slopes(request, whole(pixels), classes)

    pixels = tf.TensorSpec(shape, tf.float32)
    function = trace(predict, tf.TensorSpec(shape, tf.uint8))
    facts, lowered = _facts(request, told[-1]), _lowered(told[-1])
    smooth, noise = bool(spec and spec.smooth), bool(request.of_kinds("noise"))
    if not (smooth or noise):
        return Traced(function, None, None, facts, lowered)
    classes = tf.TensorSpec(function.structured_outputs["classes"].shape, tf.int32)
    return Traced(
        function,
        trace(explain, pixels, classes) if smooth else None,
        trace(slopes, pixels, classes) if noise else None,
        facts,
        lowered,
    )


@dataclass(frozen=True, slots=True)
class _Whole:
    """A network in a traced graph: its parts, its head, and the feature maps to explain."""

    anatomy: Anatomy
    head: Head
    chosen: tuple[FeatureMap, ...]


def _whole(request: Request, pixels: Any) -> _Whole:
    model, spec = request.model, request.spec
    binary = len(model.labels.names) == 2
    with weights_in_order():
        anatomy = dissect(model.network, model.ports, model.scaling.apply(pixels), binary=binary)
    head = anatomy.head
    if request.reference is not None:
        score = cosine_similarity(head.logits, request.reference, keras.ops)[:, None]
        head = Head("similarity", 1, score, score, head.source, found=False)
    if spec is None:
        return _Whole(anatomy, head, ())
    if request.of_kinds("pixels"):
        check_rectified(head.source)
    chosen = tuple(find_map(anatomy, each, spec.call) for each in request.layers)
    for name in request.methods:
        if METHODS[name].needs_pooled_head:
            check_pooled(anatomy, chosen, spec.score, METHODS[name])
        if METHODS[name].target is not None:
            check_target(head, METHODS[name])
    return _Whole(anatomy, head, chosen)


def _facts(request: Request, whole: _Whole) -> Facts:
    layers = tuple(
        LayerFacts(
            each.path,
            each.features.grid,
            _cells(each.features.places),
            each.features.channels,
            each.features.tokens,
        )
        for each in whole.chosen
    )
    return Facts(
        request.batch_size,
        whole.head.kind,
        whole.head.found,
        precision=str(whole.chosen[0].step.tensor.dtype.name) if whole.chosen else "",
        layers=layers,
        passes=counted(request, layers),
        cautions=layer_cautions(request, whole.anatomy, whole.chosen),
    )


def _lowered(whole: _Whole) -> list[Any]:
    """Return the layers that may be lowered for the sake of every layer that is explained."""
    trunks = [trunk(whole.anatomy, each) for each in whole.chosen]
    if not trunks:
        return []
    shared = set.intersection(*({id(layer) for layer in each} for each in trunks))
    return [layer for layer in trunks[0] if id(layer) in shared]


def _predicted(request: Request, whole: _Whole, with_maps: bool) -> dict[str, Any]:
    head = whole.head
    tensors = {"probabilities": head.output, "scores": head.logits}
    if request.spec is None:
        return tensors
    if head.cells is not None and request.spec.score == "logit":
        tensors["won"] = tf.reduce_sum(head.own, axis=1)
    tensors["classes"] = classes = _classes(request, head)
    return {**tensors, **_maps(request, whole, classes)} if with_maps else tensors


def _classes(request: Request, head: Head) -> Any:
    """Return the class indices to explain, int32 ``[n, T]``: the likeliest, then the fixed."""
    top, fixed = request.classes.top, request.classes.fixed
    check_classes(top, fixed, head.classes)
    parts = []
    if top:
        ranked = head.output if head.cells is not None else head.logits
        parts.append(tf.math.top_k(ranked, top).indices)
    if fixed:
        parts.append(tf.tile(tf.constant([fixed], tf.int32), [request.batch_size, 1]))
    return tf.concat(parts, axis=1)


def _maps(request: Request, whole: _Whole, classes: Any) -> dict[str, Any]:
    """Return the maps of one pass, by method and layer, and which have no gradient."""
    A = [each.fold(each.step.tensor) for each in whole.chosen]
    groups = _groups(request.of_kinds("gradient", "curvature"))

    def explained(hot: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"maps": {}, "flat": {}}
        for group in groups:
            slopes = _differentiated(request, whole, hot, group[0])
            for name in group:
                compute = METHODS[name].compute
                found["maps"][name] = [
                    compute(each, *more, keras.ops) for each, more in zip(A, slopes, strict=True)
                ]
                found["flat"][name] = [tf.reduce_all(G == 0, axis=(1, 2, 3)) for G, *_ in slopes]
        return found

    found = _of_every_class(request, whole, explained, classes) if groups else {}
    maps, flat = found.get("maps", {}), found.get("flat", {})
    for name in request.of_kinds("activations"):
        alike = [METHODS[name].compute(each, keras.ops) for each in A]
        maps[name] = [tf.tile(each[:, None], (1, classes.shape[1], 1, 1)) for each in alike]
        flat[name] = [tf.zeros(classes.shape, tf.bool) for _ in A]
    return {"maps": maps, "flat": flat}


def _of_every_class(request: Request, whole: _Whole, explained: Any, classes: Any) -> Any:
    """Return tensors ``[n, ...]`` that are explained of one class as ``[n, T, ...]`` of all."""
    hots = tf.one_hot(tf.transpose(classes), whole.head.classes)
    if hots.shape[0] > 1 and is_dense(hots.graph) and not request.of_kinds("curvature"):
        every = tf.vectorized_map(explained, hots)
    else:
        each = [explained(hot) for hot in tf.unstack(hots)]
        every = tf.nest.map_structure(lambda *parts: tf.stack(parts), *each)
    return tf.nest.map_structure(
        lambda tensor: tf.transpose(tensor, (1, 0, *range(2, tensor.shape.rank))), every
    )


def _groups(methods: Sequence[str]) -> list[list[str]]:
    """Return the methods in groups that share a gradient: of one score, in one need."""
    groups: dict[Any, list[str]] = {}
    for name in methods:
        row = METHODS[name]
        groups.setdefault((row.needs, row.target, row.score), []).append(name)
    return list(groups.values())


def _differentiated(request: Request, whole: _Whole, hot: Any, name: str) -> list[list[Any]]:
    """Return each layer's G, and HA behind it for a method that needs it."""
    tensors = [each.step.tensor for each in whole.chosen]
    score = _score(request, whole.head, hot, name)
    if METHODS[name].needs == "curvature":
        found = [list(each) for each in gradients_and_products(score, tensors)]
    else:
        found = [[slope] for slope in gradients(score, tensors)]
    return [
        [each.fold(part) for part in parts] for each, parts in zip(whole.chosen, found, strict=True)
    ]


def _score(request: Request, head: Head, hot: Any, name: str) -> Any:
    """Return the sum over the images of the score that a method explains."""
    spec, row = request.spec, METHODS[name]
    assert spec is not None  # noqa: S101  nobody asks for maps without saying which
    values = head.output if spec.score == "probability" else head.logits
    weights = (row.target or target_class)(hot, values, keras.ops)
    if request.contrast is not None:
        weights = contrast(request.contrast)(hot, values, keras.ops)
    weights = tf.stop_gradient(-weights if spec.counterfactual else weights)
    if row.score is not None and head.kind == "softmax" and spec.score == "logit":
        return tf.reduce_sum(row.score(weights, values, keras.ops))
    return tf.reduce_sum(values * weights)


def _slopes(request: Request, whole: _Whole, classes: Any) -> dict[str, Any]:
    """Return each layer's activations, and the classes' gradients ``[n, T, u, v, K]``."""
    (name, *_) = request.of_kinds("noise")

    def explained(hot: Any) -> list[Any]:
        return [G for (G,) in _differentiated(request, whole, hot, name)]

    return {
        "activations": [each.fold(each.step.tensor) for each in whole.chosen],
        "gradients": _of_every_class(request, whole, explained, classes),
    }


def _cells(places: tuple[Place | None, Place | None]) -> Cells | None:
    """Return where a grid's rows and columns lie in the network's input, where that is known."""
    down, across = places
    if down is None or across is None:
        return None
    return Cells(*(Span(each.first, each.step, each.low, each.high) for each in (down, across)))
