"""A batch of network squares becomes predictions and maps. The only place gradients are taken."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS, Method
from gradcam_cli.errors import GradcamError, ModelError, suggestion
from gradcam_cli.isolation import keras, tf
from gradcam_cli.models.classes import ClassChoice
from gradcam_cli.models.load import Model
from gradcam_cli.network.anatomy import Anatomy, FeatureMap, dissect, find_map
from gradcam_cli.network.dense import is_dense, weights_in_order
from gradcam_cli.network.footprint import free_bytes, on_gpu, working_bytes
from gradcam_cli.network.freeze import can_freeze, weights_as_constants
from gradcam_cli.network.head import Head, pooled_features
from gradcam_cli.network.paths import named_operations, resolve_layer
from gradcam_cli.network.places import Place
from gradcam_cli.network.precision import has_bfloat16, in_bfloat16, keep_float32, trunk
from gradcam_cli.network.survey import is_pooled, survey
from gradcam_cli.network.tap import trace
from gradcam_cli.opening.refusal import blaming

__all__ = [
    "WORTH_FREEZING",
    "Explained",
    "Explainer",
    "Explanation",
    "Question",
    "gradient",
    "heat",
]

_CELLS = ("segmentation", "sequence")

WORTH_FREEZING = 96
"""Pictures; freezing takes a few tenths of a second, which fewer of them do not save."""

_ROOM = 2
"""Times the estimated memory: measured on eight networks, batches took 0.3 to 1.7 times that."""
_FLOAT16_SCALE = 1024.0
"""Keeps float16 gradients above the smallest number that float16 can hold."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every picture: which classes, seen at which layer, by which method.

    ``call`` picks one call of a layer that is called several times (0: the last). ``score`` is
    ``logit`` or ``probability``. An empty ``classes`` asks for predictions only.
    """

    classes: ClassChoice
    layer: str = "auto"
    call: int = 0
    method: str = "gradcam"
    score: str = "logit"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where one picture speaks for one class.

    ``slot`` says why the class was chosen and names its files: ``top1``, ``top2``, ``class281``.
    ``raw`` is the signed map, float32 ``[u, v]``, before ReLU and scaling. ``empty_reason`` is
    empty when the map has something positive to show.
    """

    slot: str
    index: int
    probability: float | None
    score: float
    raw: NDArray[np.float32]
    empty_reason: str


@dataclass(frozen=True, slots=True)
class Explained:
    """What a network says of one picture: values a class, float32 ``[C]``, and the maps.

    ``probabilities`` is None when the head gives none (a linear output that is no distribution).
    ``order`` ranks the classes, likeliest first.
    """

    probabilities: NDArray[np.float32] | None
    scores: NDArray[np.float32]
    order: NDArray[np.intp]
    explanations: tuple[Explanation, ...]

    def ranked(self, count: int) -> list[int]:
        """Return the indices of the ``count`` likeliest classes, best first."""
        return [int(index) for index in self.order[:count]]

    def probability(self, index: int) -> float | None:
        """Return a class's probability in 0..1, or None."""
        return None if self.probabilities is None else float(self.probabilities[index])

    def score(self, index: int) -> float:
        """Return a class's logit."""
        return float(self.scores[index])


def heat(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the map in 0..1: negative evidence dropped (ReLU), then divided by the maximum.

    ``raw`` is float ``[u, v]``. A map with nothing positive, or with numbers that are not finite,
    is zero everywhere.
    """
    if not np.isfinite(raw).all():
        return np.zeros_like(raw)
    positive = np.maximum(raw, 0)
    peak = positive.max()
    return positive / peak if peak > 0 else positive


class Explainer:
    """A model traced once, for batches of one fixed shape.

    Calling it with uint8 pixels ``[n, h, w, channels]``, n up to ``batch_size``, gives one
    Explained a picture; smaller batches are padded, so that nothing is traced again. After the
    first trace ``layer``, ``grid`` and ``head_kind`` say what was explained, and ``places`` where
    the grid's rows and columns lie in the network's input (None where that is not known); ``layer``
    is empty when only predictions were asked for. ``precision`` is ``float32``, ``bfloat16`` (where
    the machine has it: then up to the layer, not behind it) or ``auto``, the faster of the two; the
    attribute says what the layer was computed in. ``freeze`` makes constants of a small network's
    weights, which pays from ``WORTH_FREEZING`` pictures on; the last bits are then others.

    Raises ModelError for a layer, class or method that the model does not allow and for a file
    whose network fails, OutOfMemory for a batch that does not fit.
    """

    def __init__(
        self,
        model: Model,
        question: Question,
        batch_size: int,
        precision: str = "float32",
        freeze: bool = False,
    ) -> None:
        if question.method not in METHODS:
            raise GradcamError(
                f"unknown method {question.method!r}", suggestion(question.method, METHODS)
            )
        keep_float32()
        self.model = model
        self.question = question
        self.batch_size = model.ports.batch or batch_size
        self.grid = (0, 0)
        self.places: tuple[Place | None, Place | None] = (None, None)
        self.head_kind = ""
        self.precision = ""
        self._found = False
        self._freeze = freeze and can_freeze(model.network)
        self._depth = question.classes.top
        self._fixed = question.classes.fixed
        self._explains = bool(self._depth or self._fixed)
        self.layer = self._layer() if self._explains else ""
        shape = (self.batch_size, *model.ports.size, model.ports.channels)
        self._shape = tf.TensorSpec(shape, tf.uint8)
        self._trunk: list[Any] = []
        with blaming(model.name, "traced", model.own):
            self._function = self._traced()
            if precision != "float32" and self._trunk and has_bfloat16():
                self._lower(measure=precision == "auto")
        self._graph = self._function.graph

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Explained]:
        """Return what the model says of each picture, in order."""
        count = len(pixels)
        if count < self.batch_size:
            pad = np.zeros((self.batch_size - count, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, pad])
        with blaming(self.model.name, "run", self.model.own):
            found = self._function(tf.constant(pixels))
            answers = {key: value.numpy() for key, value in found.items()}
        return [self._explained(answers, row) for row in range(count)]

    def fits(self, sparing: bool = True) -> bool:
        """Tell whether the machine has the memory for a batch; a GPU says so by itself, too late.

        What a system without memory left does is to end the process, without a word. Where there
        is no smaller batch, ``sparing`` is false: what may just fit is tried.
        """
        free = free_bytes()
        if free is None or on_gpu():
            return True
        return (_ROOM if sparing else 1) * working_bytes(self._graph) <= free

    def seconds(self) -> float:
        """Return the time of a batch, behind one that does not count; nothing is remembered."""
        with blaming(self.model.name, "run", self.model.own):
            return _seconds(self._function, self._shape)

    def many(self, squares: Sequence[NDArray[np.uint8]]) -> Iterator[Explained]:
        """Yield what the model says of any number of uint8 ``[h, w, channels]`` squares."""
        for first in range(0, len(squares), self.batch_size):
            yield from self(np.stack(squares[first : first + self.batch_size]))

    def _explained(self, answers: dict[str, Any], row: int) -> Explained:
        scores, values = answers["scores"][row], answers["probabilities"][row]
        known = self._found or self.head_kind == "binary" or _is_distribution(values)
        ranks = values if self.head_kind in _CELLS else scores
        explained = Explained(
            probabilities=values if known else None,
            scores=scores,
            order=np.argsort(-ranks, kind="stable"),
            explanations=(),
        )
        if not self._explains:
            return explained
        found: dict[int, Explanation] = {}
        for place, index in enumerate(answers["classes"][row].tolist()):
            raw = answers["maps"][row, place]
            won = "won" not in answers or answers["won"][row, index] > 0
            if index not in found:
                found[index] = Explanation(
                    slot=f"top{place + 1}" if place < self._depth else f"class{index}",
                    index=index,
                    probability=explained.probability(index),
                    score=explained.score(index),
                    raw=raw,
                    empty_reason=_why_empty(raw, bool(answers["flat"][row, place]), bool(won)),
                )
        return replace(explained, explanations=tuple(found.values()))

    def _lower(self, measure: bool) -> None:
        """Trace again in bfloat16, and keep that; with ``measure`` only if it is faster."""
        with in_bfloat16(self._trunk):
            precision, lower = self.precision, self._traced()
        if not measure or _seconds(lower, self._shape) < _seconds(self._function, self._shape):
            self._function, self.precision = lower, "bfloat16"
        else:
            self.precision = precision

    def _traced(self) -> Any:
        if self._freeze:
            try:
                return trace(self._trace, self._shape)
            except GradcamError:  # as it stands it may still be traced, or says why not
                self._freeze = False
        return trace(self._trace, self._shape)

    def _trace(self, pixels: Any) -> dict[str, Any]:
        model = self.model
        frozen = weights_as_constants(model.network) if self._freeze else nullcontext()
        pictures = model.scaling.apply(tf.cast(pixels, tf.float32))
        two = len(model.labels.names) == 2
        with frozen, weights_in_order():
            anatomy = dissect(model.network, model.ports, pictures, binary=two)
        head = anatomy.head
        self.head_kind, self._found = head.kind, head.found
        answer = {"probabilities": head.output, "scores": head.logits}
        if head.cells is not None and self.question.score == "logit":
            answer["won"] = tf.reduce_sum(head.own, axis=1)
        if self._explains:
            answer |= self._maps(head, self._feature_map(anatomy))
        return answer

    def _layer(self) -> str:
        """Return the path of the layer that is asked for."""
        typed = self.question.layer
        if typed != "auto":
            return resolve_layer(typed, named_operations(self.model.network))
        if self.model.layer:
            return self.model.layer
        found = survey(self.model.network, self.model.ports)
        if not found.default:
            raise ModelError(found.reason, "Grad-CAM needs a layer with a grid larger than 1 x 1")
        return found.default

    def _feature_map(self, anatomy: Anatomy) -> FeatureMap:
        chosen = find_map(anatomy, self.layer, self.question.call)
        self.grid, self.places = chosen.features.grid, chosen.features.places
        self._trunk = trunk(anatomy, chosen)
        self.precision = str(chosen.step.tensor.dtype.name)
        method = METHODS[self.question.method]
        if method.needs_pooled_head:
            _check_pooled(anatomy, chosen, self.question.score, method)
        return chosen

    def _maps(self, head: Head, chosen: FeatureMap) -> dict[str, Any]:
        classes = self._classes(head)
        targets = head.output if self.question.score == "probability" else head.logits
        method = METHODS[self.question.method]
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

    def _classes(self, head: Head) -> Any:
        """Return the class indices to explain, int32 ``[n, T]``: the likeliest, then the fixed."""
        _check_classes(self._depth, self._fixed, head.classes)
        parts = []
        if self._depth:
            ranked = head.output if head.cells is not None else head.logits
            parts.append(tf.math.top_k(ranked, self._depth).indices)
        if self._fixed:
            parts.append(tf.tile(tf.constant([self._fixed], tf.int32), [self.batch_size, 1]))
        return tf.concat(parts, axis=1)


def _counted(classes: int) -> str:
    """Return a number of classes in plain words."""
    return f"{classes} class{'es' * (classes != 1)}"


def _check_classes(depth: int, fixed: tuple[int, ...], classes: int) -> None:
    if depth > classes:
        raise ModelError(
            f"top{depth} was asked for, but the model has {_counted(classes)}", f"use top{classes}"
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


def _seconds(function: Any, shape: Any) -> float:
    """Return the time of a call behind one that does not count, of fast ones the best of two."""
    pixels = tf.zeros(shape.shape, shape.dtype)
    times: list[float] = []
    while len(times) < 2 or (len(times) < 3 and times[-1] < 1):
        start = time.perf_counter()
        function(pixels)["scores"].numpy()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def gradient(score: Any, activations: Any) -> Any:
    """Return ``d score / d A`` of a layer's output, symbolic float32 of the same shape.

    ``score`` is the sum over the pictures, so that each picture's gradient is its own. Raises
    ModelError when the score does not depend on the activations.
    """
    scale = _FLOAT16_SCALE if activations.dtype == tf.float16 else 1.0
    slope = tf.gradients(score * scale, activations)[0]
    if slope is None:
        raise ModelError(
            "no gradient reaches the layer: something behind it cannot be differentiated",
            "choose a later layer; `gradcam layers MODEL` lists them",
        )
    return tf.cast(tf.convert_to_tensor(slope), tf.float32) / scale


def _is_distribution(values: NDArray[np.float32]) -> bool:
    """Tell whether a head without a visible softmax gives probabilities all the same."""
    return len(values) > 1 and bool(values.min() >= 0 and abs(values.sum() - 1) < 1e-3)


def _why_empty(raw: NDArray[np.float32], flat: bool, won: bool) -> str:
    if not np.isfinite(raw).all():
        return "not finite"
    if raw.max() > 0:
        return ""
    if flat:
        return "zero gradient" if won else "no cell won"
    return "all negative" if raw.min() < 0 else "zero everywhere"
