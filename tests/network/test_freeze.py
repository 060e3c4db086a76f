from __future__ import annotations

from typing import Any

import keras
import numpy as np

from gradcam_cli.cam.answer import Answer
from gradcam_cli.explainer import Explainer, traced
from gradcam_cli.keras_files.blank import blank_weights
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.load import Model
from gradcam_cli.models.scaling import SCALINGS
from gradcam_cli.network.freeze import can_freeze
from gradcam_cli.network.ports import single_input
from tests.asking import ask


def normalised_net() -> Any:
    keras.utils.set_random_seed(5)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False)(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.DepthwiseConv2D(3)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU(6.0, name="last")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(x))
    rng = np.random.default_rng(0)
    network.get_layer("norm").set_weights([rng.uniform(0.5, 2, 8) for _ in range(4)])
    return network


def explained(network: Any, freeze: bool) -> tuple[Explainer, list[Answer]]:
    model = Model(
        name="net",
        network=network,
        weights="",
        ports=single_input((16, 16)),
        scaling=SCALINGS["unit"],
        labels=Labels((), ()),
        classes=5,
    )
    pixels = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    explainer = traced(model, ask(2, (4,)), 4, freeze=freeze)
    return explainer, explainer(pixels)


def reads(explainer: Explainer) -> int:
    return sum(
        op.type == "ReadVariableOp" for op in explainer.traced.predict.graph.get_operations()
    )


def test_freezing_changes_no_number() -> None:
    network = normalised_net()
    plain, first = explained(network, freeze=False)
    frozen, later = explained(network, freeze=True)
    assert reads(plain)
    assert not reads(frozen)
    for one, other in zip(first, later, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        assert [e.slot for e in one.maps] == [e.slot for e in other.maps]
        for left, right in zip(one.maps, other.maps, strict=True):
            span = float(np.ptp(left.raw))
            np.testing.assert_allclose(left.raw, right.raw, atol=1e-5 * span)


def test_weights_are_frozen_as_they_are_when_traced() -> None:
    network = normalised_net()
    kernel = network.layers[-1].kernel
    kernel.assign(kernel * 2)
    _, plain = explained(network, freeze=False)
    _, frozen = explained(network, freeze=True)
    np.testing.assert_allclose(plain[0].scores, frozen[0].scores, atol=1e-5)


class Counting(keras.layers.Layer):  # type: ignore[misc]
    """Counts its calls in a weight, and adds the count to its input."""

    def build(self, _: Any) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.count.assign(self.count + 1)
        return x + self.count


def test_networks_that_change_their_weights_are_not_frozen() -> None:
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, name="last")(inputs)
    counting = Counting()
    x = keras.layers.GlobalAveragePooling2D()(counting(x))
    network = keras.Model(inputs, keras.layers.Dense(5)(x))
    explainer, _ = explained(network, freeze=True)
    assert reads(explainer)
    before = float(counting.count.numpy())
    explainer(np.zeros((4, 16, 16, 3), np.uint8))
    assert float(counting.count.numpy()) == before + 1


def test_large_networks_are_left_alone() -> None:
    inputs = keras.Input((9000,))
    with blank_weights():
        outputs = keras.layers.Dense(8000)(inputs)
    assert not can_freeze(keras.Model(inputs, outputs))
    assert can_freeze(normalised_net())
