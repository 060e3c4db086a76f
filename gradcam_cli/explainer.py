"""A batch of network inputs becomes predictions and maps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer, ClassMap, Facts, LayerFacts
from gradcam_cli.cam.maps import why_empty
from gradcam_cli.cam.methods import METHODS, Method
from gradcam_cli.errors import GradcamError, ModelError, OutOfMemory
from gradcam_cli.images.fit import Cells, Span
from gradcam_cli.isolation import keras, tf
from gradcam_cli.keras_files.refusal import blaming
from gradcam_cli.models.classes import ClassChoice, parse_classes
from gradcam_cli.models.load import Model
from gradcam_cli.network.anatomy import Anatomy, FeatureMap, dissect, find_map
from gradcam_cli.network.dense import is_dense, weights_in_order
from gradcam_cli.network.footprint import free_bytes, on_gpu, working_bytes
from gradcam_cli.network.freeze import can_freeze, weights_as_constants
from gradcam_cli.network.gradient import gradient
from gradcam_cli.network.head import Head, pooled_features
from gradcam_cli.network.paths import named_operations, resolve_layer
from gradcam_cli.network.places import Place
from gradcam_cli.network.precision import has_bfloat16, in_bfloat16, keep_float32, trunk
from gradcam_cli.network.survey import is_pooled, survey
from gradcam_cli.network.tap import trace
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spelling import suggestion

__all__ = ["Explainer", "traced"]

_BY_CELLS = ("segmentation", "sequence")

_SPARE = 2
"""Times the estimated memory: measured on eight networks, batches took 0.3 to 1.7 times that."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """A model traced for batches of one fixed shape, and what tracing told of it.

    Calling it with uint8 pixels ``[n, h, w, channels]``, n up to the batch size, gives one Answer
    an image; smaller batches are padded, so that nothing is traced again.
    """

    model: Model
    classes: ClassChoice
    function: Any
    facts: Facts
    method: str = ""

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Answer]:
        """Return what the model says of each image, in order."""
        count, size = len(pixels), self.facts.batch_size
        if count < size:
            pad = np.zeros((size - count, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, pad])
        with blaming(self.model.name, "run", self.model.own):
            found = self.function(tf.constant(pixels))
            values = {key: value.numpy() for key, value in found.items()}
        return [_answer(self, values, row) for row in range(count)]

    def many(self, inputs: Sequence[NDArray[np.uint8]]) -> Iterator[Answer]:
        """Yield what the model says of any number of uint8 ``[h, w, channels]`` inputs."""
        size = self.facts.batch_size
        for first in range(0, len(inputs), size):
            yield from self(np.stack(inputs[first : first + size]))

    def fits(self, sparing: bool = True) -> bool:
        """Return whether the machine has the memory for a batch; a GPU is tried out.

        What a system without memory left does is to end the process, without a word. Where there
        is no smaller batch, ``sparing`` is false: what may just fit is tried.
        """
        if on_gpu():
            try:
                self.seconds()
            except OutOfMemory:
                return False
            return True
        free = free_bytes()
        needed = (_SPARE if sparing else 1) * working_bytes(self.function.graph)
        return free is None or needed <= free

    def seconds(self) -> float:
        """Return the time of a batch, behind one that does not count; nothing is remembered."""
        with blaming(self.model.name, "run", self.model.own):
            return _seconds(self.function)


def traced(
    model: Model, spec: ExplainSpec | None, batch_size: int, freeze: bool = False
) -> Explainer:
    """Trace a model for what is asked of every image; without ``spec``, for predictions only.

    ``freeze`` makes constants of a small network's weights, which takes longer to trace and less to
    run; the last bits are then others. A precision of ``bfloat16`` holds up to the layer, not
    behind it, and only where the machine has it; ``auto`` keeps the faster of the two.

    Raises ModelError for a layer, class or method that the model does not allow and for a file
    whose network fails, OutOfMemory for a batch that does not fit.
    """
    if spec is not None and spec.method not in METHODS:
        raise GradcamError(f"unknown method {spec.method!r}", suggestion(spec.method, METHODS))
    keep_float32()
    classes = ClassChoice()
    if spec is not None:
        classes = parse_classes(spec.classes, model.labels, max(model.classes, 2))
    batch_size = model.ports.batch or batch_size
    layer = "" if spec is None else _layer(model, spec.layer)
    tracing = _Tracing(model, spec, classes, layer, batch_size)
    freeze = freeze and can_freeze(model.network)
    with blaming(model.name, "traced", model.own):
        function, facts, lowered = _trace(tracing, freeze)
        if spec is not None and spec.precision != "float32" and lowered and has_bfloat16():
            with in_bfloat16(lowered):
                other, other_facts, _ = _trace(tracing, freeze)
            if spec.precision == "bfloat16" or _seconds(other) < _seconds(function):
                function, facts = other, replace(other_facts, precision="bfloat16")
    return Explainer(model, classes, function, facts, spec.method if spec else "")


@dataclass(frozen=True, slots=True)
class _Tracing:
    """What is needed to trace."""

    model: Model
    spec: ExplainSpec | None
    classes: ClassChoice
    layer: str
    batch_size: int

    def __call__(self, pixels: Any) -> tuple[dict[str, Any], tuple[Facts, list[Any]]]:
        """Return an answer's tensors for uint8 pixels, the facts, and what bfloat16 is for."""
        model = self.model
        inputs = model.scaling.apply(tf.cast(pixels, tf.float32))
        with weights_in_order():
            anatomy = dissect(
                model.network, model.ports, inputs, binary=len(model.labels.names) == 2
            )
        head = anatomy.head
        tensors = {"probabilities": head.output, "scores": head.logits}
        if self.spec is None:
            return tensors, (Facts(self.batch_size, head.kind, head.found), [])
        if head.cells is not None and self.spec.score == "logit":
            tensors["won"] = tf.reduce_sum(head.own, axis=1)
        chosen = find_map(anatomy, self.layer, self.spec.call)
        method = METHODS[self.spec.method]
        if method.needs_pooled_head:
            _check_pooled(anatomy, chosen, self.spec.score, method)
        tensors |= _maps(self, head, chosen)
        facts = Facts(
            self.batch_size,
            head.kind,
            head.found,
            precision=str(chosen.step.tensor.dtype.name),
            layers=(LayerFacts(self.layer, chosen.features.grid, _cells(chosen.features.places)),),
        )
        return tensors, (facts, trunk(anatomy, chosen))


def _trace(tracing: _Tracing, freeze: bool) -> tuple[Any, Facts, list[Any]]:
    """Return the traced function, what tracing told, and the layers that bfloat16 is for."""
    model = tracing.model
    shape = (tracing.batch_size, *model.ports.size, model.ports.channels)
    signature = tf.TensorSpec(shape, tf.uint8)
    told: list[tuple[Facts, list[Any]]] = []

    def function(pixels: Any) -> dict[str, Any]:
        with weights_as_constants(model.network) if freeze else nullcontext():
            tensors, facts = tracing(pixels)
        told.append(facts)
        return tensors

    try:
        traced = trace(function, signature)
    except GradcamError:
        if not freeze:
            raise
        # as it stands it may still be traced, or says why not
        return _trace(tracing, freeze=False)
    return traced, *told[-1]


def _layer(model: Model, typed: str) -> str:
    """Return the path of the layer that is asked for."""
    if typed != "auto":
        return resolve_layer(typed, named_operations(model.network))
    if model.layer:
        return model.layer
    found = survey(model.network, model.ports)
    if not found.default:
        raise ModelError(found.reason, "Grad-CAM needs a layer with a grid larger than 1 x 1")
    return found.default


def _maps(tracing: _Tracing, head: Head, chosen: FeatureMap) -> dict[str, Any]:
    """Return the maps, float32 ``[n, T, u, v]``, their classes, and which have no gradient."""
    assert tracing.spec is not None  # noqa: S101  nobody asks for maps without saying which
    classes = _classes(tracing, head)
    targets = head.output if tracing.spec.score == "probability" else head.logits
    method = METHODS[tracing.spec.method]
    A = chosen.fold(chosen.step.tensor)

    def explained(hot: Any) -> tuple[Any, Any]:
        G = chosen.fold(gradient(tf.reduce_sum(targets * hot), chosen.step.tensor))
        return method.compute(A, G, keras.ops), tf.reduce_all(G == 0, axis=(1, 2, 3))

    hots = tf.one_hot(tf.transpose(classes), head.classes)
    if hots.shape[0] > 1 and is_dense(targets.graph):
        maps, flat = tf.vectorized_map(explained, hots)
    else:
        each = [explained(hot) for hot in tf.unstack(hots)]
        maps, flat = tf.stack([one[0] for one in each]), tf.stack([one[1] for one in each])
    return {
        "classes": classes,
        "maps": tf.transpose(maps, (1, 0, 2, 3)),
        "flat": tf.transpose(flat),
    }


def _cells(places: tuple[Place | None, Place | None]) -> Cells | None:
    """Return where a grid's rows and columns lie in the network's input, where that is known."""
    down, across = places
    if down is None or across is None:
        return None
    return Cells(*(Span(each.first, each.step, each.low, each.high) for each in (down, across)))


def _classes(tracing: _Tracing, head: Head) -> Any:
    """Return the class indices to explain, int32 ``[n, T]``: the likeliest, then the fixed."""
    top, fixed = tracing.classes.top, tracing.classes.fixed
    _check_classes(top, fixed, head.classes)
    parts = []
    if top:
        ranked = head.output if head.cells is not None else head.logits
        parts.append(tf.math.top_k(ranked, top).indices)
    if fixed:
        parts.append(tf.tile(tf.constant([fixed], tf.int32), [tracing.batch_size, 1]))
    return tf.concat(parts, axis=1)


def _answer(explainer: Explainer, values: dict[str, Any], row: int) -> Answer:
    facts = explainer.facts
    scores, outputs = values["scores"][row], values["probabilities"][row]
    known = facts.logits_found or facts.head == "binary" or _is_distribution(outputs)
    ranks = outputs if facts.head in _BY_CELLS else scores
    probabilities = outputs if known else None
    maps: dict[int, ClassMap] = {}
    for place, index in enumerate(values["classes"][row].tolist() if facts.layers else ()):
        if index in maps:
            continue
        raw = values["maps"][row, place]
        won = "won" not in values or bool(values["won"][row, index] > 0)
        maps[index] = ClassMap(
            slot=f"top{place + 1}" if place < explainer.classes.top else f"class{index}",
            index=index,
            probability=float(outputs[index]) if known else None,
            score=float(scores[index]),
            raw=raw,
            empty_reason=why_empty(raw, bool(values["flat"][row, place]), won),
            method=explainer.method,
            layer=facts.layers[0].path,
            cells=facts.layers[0].cells,
        )
    order = np.argsort(-ranks, kind="stable")
    return Answer(facts, probabilities, scores, order, tuple(maps.values()))


def _is_distribution(values: NDArray[np.float32]) -> bool:
    """Return whether a head without a visible softmax gives probabilities all the same."""
    return len(values) > 1 and bool(values.min() >= 0 and abs(values.sum() - 1) < 1e-3)


def _counted(classes: int) -> str:
    """Return a number of classes in plain words."""
    return f"{classes} class{'es' * (classes != 1)}"


def _check_classes(top: int, fixed: tuple[int, ...], classes: int) -> None:
    if top > classes:
        raise ModelError(
            f"top{top} was asked for, but the model has {_counted(classes)}", f"use top{classes}"
        )
    outside = [index for index in fixed if not 0 <= index < classes]
    if outside:
        raise ModelError(
            f"class {outside[0]} was asked for, but the model has {_counted(classes)}",
            f"indices run from 0 to {classes - 1}" if classes > 1 else "its only index is 0",
        )


def _check_pooled(anatomy: Anatomy, chosen: FeatureMap, score: str, method: Method) -> None:
    pooled = pooled_features(anatomy.head)
    feeding = [each.path for each in anatomy.maps if pooled is not None and is_pooled(each, pooled)]
    if not feeding:
        raise ModelError(
            f"{method.title} is not defined for this model: no global average pooling straight "
            "into its last dense layer",
            "use --method gradcam, which works for every differentiable head",
        )
    if not is_pooled(chosen, pooled):
        raise ModelError(
            f"{method.title} is defined only at the layer that is pooled, not at {chosen.path!r}",
            f"--layer {feeding[0]}",
        )
    if score != "logit":
        raise ModelError(f"{method.title} explains the logit", "leave out --score probability")


def _seconds(function: Any) -> float:
    """Return the time of a call behind one that does not count, of fast ones the best of two."""
    signature = function.structured_input_signature[0][0]
    pixels = tf.zeros(signature.shape, signature.dtype)
    times: list[float] = []
    while len(times) < 2 or (len(times) < 3 and times[-1] < 1):
        start = time.perf_counter()
        function(pixels)["scores"].numpy()
        times.append(time.perf_counter() - start)
    return min(times[1:])
