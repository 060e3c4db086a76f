"""A model and a layer become self-tests: gradients, batches and maps, held against themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.explain import Explainer, Question, gradient
from gradcam_cli.models.classes import ClassChoice
from gradcam_cli.models.load import Model
from gradcam_cli.network.anatomy import dissect, find_map
from gradcam_cli.network.head import find_head, pooled_features
from gradcam_cli.network.paths import named_operations
from gradcam_cli.network.ports import run
from gradcam_cli.network.survey import is_pooled
from gradcam_cli.network.tap import Step, recording, trace

__all__ = ["Check", "check_gradient", "self_test"]

_STEPS = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
_DIRECTIONS = 3
_ROUNDED = 0.2
"""How much of a direction may be lost in rounding before a step is too short to tell anything."""
_FLOAT32 = (2e-2, 1e-3)
_LOW = {tf.float16: (5e-2, 2e-2), tf.bfloat16: (1e-1, 1e-1)}
"""Relative errors allowed for differences of the score, and for sums that must agree."""

Score = Callable[[NDArray[Any]], float]


@dataclass(frozen=True, slots=True)
class Check:
    """One self-test: what was compared, how far apart it was, and whether that is close enough."""

    name: str
    passed: bool
    error: float
    detail: str


@dataclass(frozen=True, slots=True)
class _Look:
    """A layer on a test picture: activations and gradient as they are and folded, and the score.

    ``score`` runs the network on other activations of that layer. ``pooled`` tells that the head
    takes the layer's average over the grid; ``tolerances`` are those of its precision.
    """

    index: int
    value: float
    activations: NDArray[Any]
    gradient: NDArray[np.float32]
    maps: tuple[NDArray[np.float32], NDArray[np.float32]]
    score: Score
    pooled: bool
    tolerances: tuple[float, float]


def self_test(model: Model, layer: str, seed: int = 0) -> list[Check]:
    """Return what a model says when its explanations at ``layer`` are held against themselves.

    The gradient must be that of central differences, a batch must give what its pictures give one
    by one, and where the head is a global average into a dense layer, the maps must add up to the
    logit. The pictures are noise from ``seed``. Raises ModelError when the layer cannot be
    explained.
    """
    look = _look(model, layer, seed)
    checks = [
        _against_differences(look, True, seed),
        _against_differences(look, False, seed),
        _against_singles(model, layer, look, seed),
    ]
    return checks + (_sums(look) if look.pooled else [])


def check_gradient(model: Model, layer: str, seed: int = 0) -> Check:
    """Compare the gradient at ``layer`` with central differences of the score; see self_test."""
    return _against_differences(_look(model, layer, seed), True, seed)


def _noise(model: Model, count: int, seed: int) -> NDArray[np.uint8]:
    shape = (count, *model.ports.size, model.ports.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _look(model: Model, layer: str, seed: int) -> _Look:
    """Run the network on a test picture, and make it run with the layer's output put in."""
    facts: dict[str, Any] = {}
    pictures = model.scaling.apply(tf.cast(_noise(model, model.ports.batch or 1, seed), tf.float32))

    def whole(x: Any) -> Any:
        anatomy = dissect(model.network, model.ports, x, _binary(model))
        chosen, head = find_map(anatomy, layer), anatomy.head
        pooled = pooled_features(head)
        facts["pooled"] = pooled is not None and is_pooled(chosen, pooled)
        facts["chosen"], facts["class axis"] = chosen, anatomy.class_axis
        index = tf.argmax(head.logits[0])
        own = tf.ones((1, head.classes)) if head.own is None else head.own[0]
        value, A = head.logits[0, index], chosen.step.tensor
        G = gradient(value, A)
        return index, value, own, A, G, chosen.fold(A)[0], chosen.fold(G)[0]

    index, value, own, A, *rest = trace(whole, _spec(pictures))(pictures)
    chosen = facts["chosen"]
    weights = tf.one_hot(index, own.shape[-1]) * own
    feed = _put_in(model, chosen.step, facts["class axis"], weights, (_spec(pictures), _spec(A)))
    G, *maps = (part.numpy() for part in rest)
    return _Look(
        index=int(index),
        value=float(value),
        activations=A.numpy(),
        gradient=G,
        maps=(maps[0], maps[1]),
        score=lambda other: float(feed(pictures, tf.constant(other, A.dtype))),
        pooled=facts["pooled"],
        tolerances=_tolerances(model.network, A.dtype),
    )


def _put_in(model: Model, step: Step, class_axis: int, weights: Any, specs: tuple[Any, Any]) -> Any:
    """Trace the first picture's score as a function of the pictures and of a layer's output.

    ``weights`` ``[M, C]`` say what of the logits of M cells makes the score: a map of classes keeps
    the cells that the class won at first, since a sum over others would jump.
    """

    def score(pictures: Any, activations: Any) -> Any:
        def change(path: str, call: int, tensor: Any) -> Any:
            here = (path, call) == (step.path, step.call)
            return activations if here and tensor.shape == activations.shape else tensor

        with recording(named_operations(model.network), change):
            output = run(model.network, model.ports, pictures)
        head = find_head(output, _binary(model), class_axis)
        cells = head.logits[:1] if head.cells is None else head.cells[0]
        return tf.reduce_sum(cells * weights)

    return trace(score, *specs)


def _binary(model: Model) -> bool:
    return len(model.labels.names) == 2


def _tolerances(network: Any, dtype: Any) -> tuple[float, float]:
    operations = named_operations(network).values()
    if any(getattr(each, "quantization_mode", None) for each in operations):
        dtype = tf.bfloat16  # 8 bits or less; gradients go straight through the rounding
    return _LOW.get(dtype, _FLOAT32)


def _spec(tensor: Any) -> Any:
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _against_differences(look: _Look, rising: bool, seed: int) -> Check:
    """Move A along random directions D and compare the score's change with ``sum(G * D)``.

    D is in proportion to A, so that zeros, which max pooling may have to choose between, stay. The
    score ``rising`` along D gives differences that no cancellation blurs; any D tells whether
    something is missing from the gradient, but five times less exactly. The best of several step
    lengths counts, since low precision is coarse at short ones and ReLUs bend at long ones; the
    worst of the directions does.
    """
    rng = np.random.default_rng(seed)
    A, G = look.activations.astype(np.float64), look.gradient.astype(np.float64)
    usual = float(np.sqrt(np.sum((G * A) ** 2)))  # of slopes along any random direction
    worst = 0.0 if np.isfinite(usual) else np.inf  # max() would let NaN pass
    for _ in range(_DIRECTIONS):
        direction = rng.normal(size=A.shape) * A
        if rising:
            direction = np.where(G == 0, direction, np.abs(direction) * np.sign(G))
        worst = max(worst, min(_error(look, direction, length, usual) for length in _STEPS))
    if not np.isfinite(look.value):
        raise ModelError("the score is not finite on a test picture", "check the model's weights")
    return Check(
        f"gradient along {'rising' if rising else 'random'} directions",
        worst < look.tolerances[0] * (1 if rising else 5),
        worst,
        f"central differences, {_DIRECTIONS} directions"
        if usual
        else "the score does not change with the layer",
    )


def _error(look: _Look, direction: NDArray[Any], length: float, usual: float) -> float:
    A = look.activations.astype(np.float64)
    above, below = (
        (A + sign * length * direction).astype(look.activations.dtype) for sign in (1, -1)
    )
    moved = (above.astype(np.float64) - below.astype(np.float64)) / (2 * length)
    if np.linalg.norm(moved - direction) > _ROUNDED * np.linalg.norm(direction):
        return np.inf
    slope = float(np.sum(look.gradient * moved))
    difference = (look.score(above) - look.score(below)) / (2 * length)
    floor = 1e-6 * max(1.0, abs(look.value))
    return abs(difference - slope) / max(abs(slope), abs(difference), usual, floor)


def _against_singles(model: Model, layer: str, look: _Look, seed: int) -> Check:
    """Compare the maps of a batch with those of its pictures alone."""
    question = Question(ClassChoice(0, (look.index,)), layer)
    count = model.ports.batch or 3
    pictures = _noise(model, count, seed)
    together = Explainer(model, question, count)
    alone = together if model.ports.batch else Explainer(model, question, 1)
    batch = np.stack([each.explanations[0].raw for each in together(pictures)])
    singles = np.stack([alone(pictures[at : at + 1])[0].explanations[0].raw for at in range(count)])
    error = float(np.abs(batch - singles).max() / max(np.abs(singles).max(), 1e-12))
    return Check(
        "batch against single pictures", error < look.tolerances[1], error, f"{count} pictures"
    )


def _sums(look: _Look) -> list[Check]:
    """Compare what the maps add up to with the logit; what is left without them is the bias.

    Zhou et al. 2016: the mean of CAM and the bias are the logit. Draelos and Carin 2020: so are
    the sum of HiResCAM, ``G * A``, and the bias; for this head it is CAM over the number of cells.
    """
    A, G = (part.astype(np.float64) for part in look.maps)
    cells = A.shape[0] * A.shape[1]
    cam, hires = A @ G.sum((0, 1)), (A * G).sum(-1)
    bias = look.score(np.zeros_like(look.activations))
    size = max(abs(look.value), abs(bias), float(np.abs(cam).max()), 1e-6)
    rows = (
        ("CAM adds up to the logit", abs(cam.mean() + bias - look.value) / size),
        ("HiResCAM adds up to the logit", abs(hires.sum() + bias - look.value) / size),
        ("HiResCAM is CAM by the cell", float(np.abs(hires * cells - cam).max()) / size),
    )
    tolerance = look.tolerances[1]
    return [
        Check(name, error < tolerance, float(error), f"logit {look.value:.4g}, {cells} cells")
        for name, error in rows
    ]
