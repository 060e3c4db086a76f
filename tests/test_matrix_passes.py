"""Methods of many passes, of noise and of pixels, through every structure of the zoo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer
from gradcam_cli.cam.methods import METHODS
from gradcam_cli.cam.smoothing import noisy
from gradcam_cli.errors import ModelError
from gradcam_cli.explainer import traced
from gradcam_cli.network.ports import find_ports
from tests import oracles, oracles_passes
from tests.asking import ask
from tests.test_matrix import made
from tests.zoo import CASES, EACH_KIND, Built, Case

Array = NDArray[Any]

NO_RECTIFIER = {
    *("transformer", "transformer-token", "transformer-wide", "transformer-reshaped", "mixer"),
}

CALLED_TWICE = {"residual", "holding-layer"}
"""Both halves call the first layer, so that its ReLU does not see the sum of two gradients."""

MANY = ("ablationcam", "reciprocam", "scorecam", "smoothgradcampp")
GUIDED = ("guidedbackprop", "guidedgradcam", "gradcam")
SAMPLES = 2


@tf.RegisterGradient("TestsGuided")  # type: ignore[untyped-decorator]
def _guided(operation: Any, slope: Any) -> Any:
    return tf.where((operation.outputs[0] > 0) & (slope > 0), slope, tf.zeros_like(slope))


class Halves:
    """A case's two halves as functions of one image."""

    def __init__(self, built: Built, case: Case, pixels: Array) -> None:
        self.built, self.index, self.size = built, case.classes[-1], case.batch or 1
        self.x = np.asarray(pixels[:1], np.float32)
        self.A = np.asarray(self.features(self.x), np.float32)
        cells = np.arange(self.A.size).reshape(self.A.shape)
        self.where = np.asarray(built.fold(cells.astype(np.float32))).astype(int)[0]

    def features(self, x: Array) -> Any:
        return self.built.features(tf.constant(np.repeat(x, self.size, axis=0)))[:1]

    def folded(self) -> Array:
        return np.asarray(self.A.ravel()[self.where])

    def rest(self, features: Array) -> float:
        """The score when the layer gives ``[u, v, K]``, further tokens being as they are."""
        A = self.A.copy()
        A.ravel()[self.where] = features
        return float(self.built.head(tf.constant(A), tf.constant(self.x))[0, self.index])

    def network(self, x: Array) -> float:
        x = np.asarray(x[None], np.float32)
        return float(self.built.head(self.features(x), tf.constant(x))[0, self.index])

    def slope(self, x: Array) -> Array:
        A = self.features(x)
        with tf.GradientTape() as tape:
            tape.watch(A)
            score = self.built.head(A, tf.constant(x))[0, self.index]
        G: Array = np.asarray(self.built.fold(np.asarray(tape.gradient(score, A))))[0]
        return G

    def guided(self) -> Array:
        """The gradient in the pixels, stopped at every ReLU where it is negative."""

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def function(x: Any) -> Any:
            graph = tf.compat.v1.get_default_graph()
            with graph.gradient_override_map({"Relu": "TestsGuided"}):
                many = tf.repeat(x, self.size, axis=0)
                score = self.built.head(self.built.features(many)[:1], x)[0, self.index]
            return tf.gradients(score, x)[0]

        found: Array = np.asarray(function(tf.constant(self.x)))[0]
        return found


def one(answer: Answer, method: str) -> Array:
    (found,) = (each.raw for each in answer.maps if each.method == method)
    return found


def pixels_of(ports: Any) -> Array:
    shape = (ports.batch or 2, *ports.size, ports.channels)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(each, marks=() if each.name in EACH_KIND else pytest.mark.long)
        for each in CASES
    ],
    ids=lambda case: case.name,
)
def test_every_structure(case: Case) -> None:
    keras.utils.set_random_seed(7)
    built = case.build()
    ports = find_ports(built.network, case.size, case.constants, case.output)
    pixels, model = pixels_of(ports), made(built.network, ports, case)
    rectified = case.name not in NO_RECTIFIER

    def explained(methods: tuple[str, ...]) -> Any:
        asked = {"layer": case.layer, "call": case.call, "samples": SAMPLES}
        spec = ask(0, case.classes[-1:], methods=methods, **asked)
        return traced(model, spec, len(pixels))

    if not rectified:
        with pytest.raises(ModelError, match="no ReLU") as caught:
            explained(GUIDED)
        assert "--method gradcam" in caught.value.hint
    explainer = explained(MANY + GUIDED * rectified)
    every = explainer.request.methods
    answer = explainer(pixels, [every] + [()] * (len(pixels) - 1))[0]
    halves = Halves(built, case, pixels)
    cells = explainer.facts.layers[0].cells
    spans = [(each.first, each.step) for each in cells] if cells else None
    expected: dict[str, Callable[[], Array]] = {
        "ablationcam": lambda: oracles_passes.ablation_cam(halves.folded(), halves.rest),
        "reciprocam": lambda: oracles_passes.recipro_cam(halves.folded(), halves.rest),
        "scorecam": lambda: oracles_passes.score_cam(
            halves.folded(), halves.x[0], halves.network, spans
        ),
        "smoothgradcampp": lambda: smooth(halves, pixels),
        "guidedbackprop": lambda: np.abs(halves.guided()).max(-1),
        "guidedgradcam": lambda: oracles_passes.guided_grad_cam(
            one(answer, "gradcam"), halves.guided(), spans
        ),
    }
    for name in MANY + GUIDED[:2] * rectified:
        right = expected[name]()
        if name.startswith("guided") and case.name in CALLED_TWICE:
            continue
        apart = np.abs(one(answer, name) - right).max() / (np.abs(right).max() or 1)
        assert apart <= 10 * case.tolerance, name


def smooth(halves: Halves, pixels: Array) -> Array:
    copies = [noisy(pixels, sample, 0.1, 0)[:1] for sample in range(SAMPLES)]
    G = np.stack([halves.slope(each) for each in copies]).astype(np.float64)
    means = [(G**power).mean(0)[None] for power in (1, 2, 3)]
    heat: Array = oracles.smooth_grad_cam_plus_plus(halves.folded()[None], *means)[0]
    return heat


def test_a_transposed_network_is_one_behind_a_permutation() -> None:
    """Every method: of a network that takes columns for rows, and of one that turns by itself."""
    keras.utils.set_random_seed(7)
    wide = next(case for case in CASES if case.name == "wide")
    network = wide.build().network
    turned = find_ports(network).turned()
    outer = keras.Input((*turned.size, 3))
    behind = keras.Model(outer, network(keras.layers.Permute((2, 1, 3))(outer)))
    pixels = np.random.default_rng(1).integers(0, 256, (1, *turned.size, 3), dtype=np.uint8)
    methods = tuple(METHODS)
    found = []
    for each, ports, layer in (
        (network, turned, "conv"),
        (behind, find_ports(behind), f"{network.name}/conv"),
    ):
        spec = ask(0, (2,), layer=layer, methods=methods, samples=SAMPLES)
        (answer,) = traced(made(each, ports, wide), spec, 1)(pixels)
        found.append({name: one(answer, name) for name in methods})
    for name in methods:
        left, right = (each[name] for each in found)
        assert left.shape == right.shape
        assert np.abs(left - right).max() <= 1e-4 * np.abs(right).max(), name
