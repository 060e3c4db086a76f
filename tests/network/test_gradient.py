"""Gradients and Hessian products, against central differences where the head is smooth."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.network.functions import Functions, LayerCall
from gradcam_cli.network.ports import find_ports

L = keras.layers
LAYER = LayerCall("layer")


def network(act: str, dtype: str = "float32") -> Any:
    keras.utils.set_random_seed(8)
    layers = [
        L.Conv2D(4, 3, activation="tanh", name="layer"),
        L.Conv2D(5, 2, activation=act),
        L.AveragePooling2D(2),
        L.Flatten(),
        L.Dense(6, activation=act),
    ]
    for layer in layers:
        layer.dtype_policy = keras.DTypePolicy(dtype)
    return keras.Sequential([keras.Input((8, 7, 3)), *layers, L.Dense(3), L.Softmax()])


def given() -> tuple[Any, Any]:
    x = tf.random.stateless_normal((2, 8, 7, 3), (1, 2))
    return x, tf.constant([[1.0, -0.5, 0.0], [0.0, 0.25, 2.0]])


@pytest.mark.parametrize("act", ["softplus", "tanh", "sigmoid", "gelu"])
@pytest.mark.parametrize("kind", ["logit", "probability"])
def test_smooth_heads(act: str, kind: Any) -> None:
    net = network(act)
    made = Functions(net, find_ports(net), 2)
    x, weights = given()
    A, G, product = made.curvature(x, weights, LAYER, kind)
    rng, step = np.random.default_rng(3), 1e-2

    def score(features: Any) -> Any:
        return tf.reduce_sum(made.rest(x, features, LAYER, kind) * weights, axis=1).numpy()

    for _ in range(4):
        D = rng.normal(size=A.shape).astype(np.float32)
        slope = (score(A + step * D) - score(A - step * D)) / (2 * step)
        expected = np.sum(G * D, axis=(1, 2, 3))
        np.testing.assert_allclose(expected, slope, rtol=2e-2, atol=2e-3 * np.abs(G).max())
    head = keras.Sequential(
        [keras.Input(A.shape[1:]), *net.layers[1 : None if kind != "logit" else -1]]
    )

    def gradient(features: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(features)
            total = tf.reduce_sum(head(features) * weights)
        return tape.gradient(total, features)

    np.testing.assert_allclose(G, gradient(A), atol=1e-5)
    moved = (gradient(A * (1 + step)) - gradient(A * (1 - step))) / (2 * step)
    np.testing.assert_allclose(product, moved, atol=1e-3 * np.abs(product).max() + 1e-6)
    assert np.abs(product).max() > 1e-4


@pytest.mark.parametrize("act", ["relu", "leaky_relu", "linear"])
def test_heads_that_are_linear_in_pieces_do_not_curve(act: str) -> None:
    net = network(act)
    x, weights = given()
    _, G, product = Functions(net, find_ports(net), 2).curvature(x, weights, LAYER)
    assert np.abs(G).max() > 0
    assert not np.any(product)


def test_float16_is_near_its_float32_twin() -> None:
    high, low = network("softplus"), network("softplus", "mixed_float16")
    low.set_weights(high.get_weights())
    x, weights = given()
    expected, found = (
        Functions(net, find_ports(net), 2).curvature(x, weights * 1e-4, LAYER)
        for net in (high, low)
    )
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == tf.float32
        assert np.abs(one - other).max() < 0.03 * np.abs(one).max()
