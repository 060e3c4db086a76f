from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gradcam_cli.explain import Explainer, Question
from gradcam_cli.models.classes import ClassChoice, Labels
from gradcam_cli.models.load import Model
from gradcam_cli.models.scaling import SCALINGS
from gradcam_cli.network.freeze import freeze
from gradcam_cli.network.ports import single_input
from gradcam_cli.network.tap import trace


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


def test_freezing_changes_no_number() -> None:
    model = Model(
        name="net",
        network=normalised_net(),
        weights="",
        ports=single_input((16, 16)),
        scaling=SCALINGS["unit"],
        inside="nothing",
        labels=Labels((), ()),
        classes=5,
    )
    pixels = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    explainer = Explainer(model, Question(ClassChoice(2, (4,))), 4)
    before = explainer._function
    first = explainer(pixels)
    for _ in range(4):
        later = explainer(pixels)
    assert explainer._function is not before, "a small network is frozen after a few batches"
    for one, other in zip(first, later, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        assert [e.slot for e in one.explanations] == [e.slot for e in other.explanations]
        for left, right in zip(one.explanations, other.explanations, strict=True):
            span = float(np.ptp(left.raw))
            np.testing.assert_allclose(left.raw, right.raw, atol=1e-5 * span)


def test_large_networks_are_left_alone() -> None:
    kernel = tf.Variable(tf.zeros((9000, 8000)))

    def run(values: Any) -> dict[str, Any]:
        return {"product": values @ kernel}

    assert freeze(trace(run, tf.TensorSpec((1, 9000)))) is None
