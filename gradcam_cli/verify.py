"""A model and a layer become self-tests: gradients, batches and maps, held against themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.explainer import traced
from gradcam_cli.isolation import tf
from gradcam_cli.models.load import Model
from gradcam_cli.models.scaling import SCALINGS, UNKNOWN
from gradcam_cli.network.anatomy import dissect, find_map
from gradcam_cli.network.gradient import gradient
from gradcam_cli.network.head import find_head, pooled_features
from gradcam_cli.network.paths import named_operations
from gradcam_cli.network.ports import run
from gradcam_cli.network.survey import is_pooled
from gradcam_cli.network.tap import Step, recording, trace
from gradcam_cli.spec.explain import ExplainSpec

_STEPS = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
_DIRECTIONS = 3
_ALIKE = 1e-2
"""Of the usual activation: those that differ by less move together."""
_ROUNDED = 0.2
"""How much of a direction may be lost in rounding before a step is too short to show anything."""
_FLOAT32 = (2e-2, 1e-3)
_ALONE = 1e-2
"""Between a batch and its images alone: saturated layers enlarge the rounding of large sums."""
_LOW = {tf.float16: (5e-2, 2e-2), tf.bfloat16: (1e-1, 1e-1)}
"""Relative errors allowed for differences of the score, and for sums that must agree."""

Score = Callable[[NDArray[Any]], float]


@dataclass(frozen=True, slots=True)
class Check:
    """One self-test: what was compared, how far apart it was, and whether that is close enough.

    A check that could not be made on the test images is passed, but not ``clear``.
    """

    name: str
    passed: bool
    error: float
    detail: str
    clear: bool = True


@dataclass(frozen=True, slots=True)
class _Probe:
    """A layer on a test image: activations and gradient as they are and folded, and the score.

    ``score`` runs the network on other activations of that layer. ``pooled`` says that the head
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

    The gradient must be that of central differences, a batch must give what its images give one
    by one, and where the head is a global average into a dense layer, the maps must add up to the
    logit. The images are noise from ``seed``. Raises ModelError when the layer cannot be
    explained.
    """
    model = _scaled(model)
    probe = _probe(model, layer, seed)
    checks = [
        _against_differences(probe, True, seed),
        _against_differences(probe, False, seed),
        _against_singles(model, layer, probe, seed),
    ]
    return checks + (_sums(probe) if probe.pooled else [])


def check_gradient(model: Model, layer: str, seed: int = 0) -> Check:
    """Compare the gradient at ``layer`` with central differences of the score; see self_test."""
    return _against_differences(_probe(_scaled(model), layer, seed), True, seed)


def _scaled(model: Model) -> Model:
    """Scale to 0..1 where the scaling is not known: on 0..255 a network may be saturated."""
    return replace(model, scaling=SCALINGS["unit"]) if model.scaling.name == UNKNOWN.name else model


def _noise(model: Model, count: int, seed: int) -> NDArray[np.uint8]:
    shape = (count, *model.ports.size, model.ports.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _probe(model: Model, layer: str, seed: int) -> _Probe:
    """Run the network on a test image, and make it run with the layer's output put in."""
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
    return _Probe(
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
    """Trace the first image's score as a function of the images and of a layer's output.

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


def _against_differences(probe: _Probe, rising: bool, seed: int) -> Check:
    """Move A along random directions D and compare the score's change with ``sum(G * D)``.

    The score ``rising`` along D gives differences that no cancellation blurs; any D shows whether
    something is missing from the gradient, but five times less exactly. The worst of the directions
    counts. Where differences cannot show what the slope is (the score has a kink right there, or
    moves less than its own rounding), another direction is drawn; a check without any direction
    that shows something is passed, but not ``clear``.
    """
    if not np.isfinite(probe.value):
        raise ModelError(
            "the score is not finite on a test picture",
            "its weights hold infinities or NaN, or its scaling is wrong: try --preprocess",
        )
    rng = np.random.default_rng(seed)
    tolerance = probe.tolerances[0] * (1 if rising else 5)
    effects = (probe.gradient * probe.activations).astype(np.float64).ravel()
    name = f"gradient along {'rising' if rising else 'random'} directions"
    if not np.isfinite(effects).all():
        return Check(name, False, np.inf, "the gradient is not finite")
    if not effects.any():
        return Check(name, True, 0.0, "the score does not change with the layer")
    errors: list[float] = []
    for _ in range(3 * _DIRECTIONS):
        groups = _alike(probe.activations, rng.random())
        slopes = np.bincount(groups, effects)
        factors = rng.normal(size=slopes.size)
        if rising:
            factors = np.where(slopes == 0, factors, np.abs(factors) * np.sign(slopes))
        usual = float(np.linalg.norm(slopes))  # of slopes along any random direction
        error = _error(probe, factors[groups].reshape(probe.activations.shape), usual, tolerance)
        errors += [error] if error is not None else []
        if len(errors) == _DIRECTIONS:
            break
    if not errors:
        return Check(name, True, 0.0, "the score has a kink there, or is too flat", clear=False)
    detail = f"central differences, {len(errors)} directions"
    return Check(name, max(errors) < tolerance, max(errors), detail)


def _alike(activations: NDArray[Any], offset: float) -> NDArray[np.intp]:
    """Return for each activation, flat, the number of the group of nearly equal ones it is in.

    Max pooling has to choose between equal activations, as behind a ReLU and a normalisation, and
    any choice is right. Those that move together stay equal, and what is chosen does not matter.
    """
    flat = activations.astype(np.float64).ravel()
    width = _ALIKE * float(np.sqrt(np.mean(flat**2))) or 1.0
    return np.unique(np.floor(flat / width + offset), return_inverse=True)[1].ravel()


def _error(probe: _Probe, factors: NDArray[Any], usual: float, tolerance: float) -> float | None:
    """Return how far the slope along ``factors * A`` is from differences, None if they are mute.

    Zeros stay zero. The best of several step lengths counts, since low precision is coarse at short
    ones and ReLUs bend at long ones. One that is wrong needs a witness: a step to both sides of
    which the score changes alike.
    """
    A = probe.activations.astype(np.float64)
    direction = factors * A
    here, rounding = probe.score(probe.activations), _rounding(probe)
    best, seen = np.inf, False
    for length in _STEPS:
        above, below = (
            (A + sign * length * direction).astype(probe.activations.dtype) for sign in (1, -1)
        )
        moved = (above.astype(np.float64) - below.astype(np.float64)) / (2 * length)
        if np.linalg.norm(moved - direction) > _ROUNDED * np.linalg.norm(direction):
            continue
        slope = float(np.sum(probe.gradient * moved))
        up, down = ((probe.score(above) - here) / length, (here - probe.score(below)) / length)
        size = max(abs(slope), abs(up + down) / 2, usual)
        error = abs((up + down) / 2 - slope) / size
        doubt = (abs(up - down) / 2 + rounding / length) / size
        best = min(best, error)
        seen |= error > 4 * doubt
    return best if best < tolerance or seen else None


def _rounding(probe: _Probe) -> float:
    """Return how far the score moves when its activations move by their own rounding."""
    A = probe.activations
    step = 2.0 ** (-7 if A.dtype.itemsize == 2 else -23)
    near = [probe.score((A.astype(np.float64) * (1 + s * step)).astype(A.dtype)) for s in (1, -1)]
    here = probe.score(A)
    return max(abs(here) * 2.0**-23, *(abs(value - here) for value in near))


def _against_singles(model: Model, layer: str, probe: _Probe, seed: int) -> Check:
    """Compare the maps of a batch with those of its images alone."""
    spec = ExplainSpec(classes=(f"index:{probe.index}",), layers=(layer,))
    count = model.ports.batch or 3
    pictures = _noise(model, count, seed)
    together = traced(model, spec, count)
    alone = together if model.ports.batch else traced(model, spec, 1)
    batch = np.stack([each.maps[0].raw for each in together(pictures)])
    singles = np.stack([alone(pictures[at : at + 1])[0].maps[0].raw for at in range(count)])
    error = float(np.abs(batch - singles).max() / max(np.abs(singles).max(), 1e-12))
    return Check(
        "batch against single pictures",
        error < max(_ALONE, probe.tolerances[1]),
        error,
        f"{count} pictures",
    )


def _sums(probe: _Probe) -> list[Check]:
    """Compare what the maps add up to with the logit; what is left without them is the bias.

    Zhou et al. 2016: the mean of CAM and the bias are the logit. Draelos and Carin 2020: so are
    the sum of HiResCAM, ``G * A``, and the bias; for this head it is CAM over the number of cells.
    """
    A, G = (part.astype(np.float64) for part in probe.maps)
    cells = A.shape[0] * A.shape[1]
    cam, hires = A @ G.sum((0, 1)), (A * G).sum(-1)
    bias = probe.score(np.zeros_like(probe.activations))
    size = max(abs(probe.value), abs(bias), float(np.abs(cam).max()), 1e-6)
    rows = (
        ("CAM adds up to the logit", abs(cam.mean() + bias - probe.value) / size),
        ("HiResCAM adds up to the logit", abs(hires.sum() + bias - probe.value) / size),
        ("HiResCAM is CAM by the cell", float(np.abs(hires * cells - cam).max()) / size),
    )
    tolerance = probe.tolerances[1]
    return [
        Check(name, error < tolerance, float(error), f"logit {probe.value:.4g}, {cells} cells")
        for name, error in rows
    ]
