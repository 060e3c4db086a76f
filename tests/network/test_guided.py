"""Guided backpropagation, against a backward pass written out in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.network.functions import Functions, LayerCall
from gradcam_cli.network.ports import find_ports

L = keras.layers
Array = NDArray[Any]
Slope = Callable[[Array], Array]

SLOPES: dict[str, tuple[Callable[[], Any], Slope]] = {
    "relu": (lambda: L.Activation("relu"), lambda z: (z > 0) * 1.0),
    "relu6": (lambda: L.ReLU(6.0), lambda z: ((z > 0) & (z < 6)) * 1.0),
    "leaky": (lambda: L.LeakyReLU(0.3), lambda z: np.where(z > 0, 1.0, 0.3)),
    "prelu": (
        lambda: L.PReLU(keras.initializers.Constant(0.3)),
        lambda z: np.where(z > 0, 1.0, 0.3),
    ),
    "elu": (lambda: L.Activation("elu"), lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0)))),
    "scaled elu": (
        lambda: L.ELU(0.5),
        lambda z: np.where(z > 0, 1.0, 0.5 * np.exp(np.minimum(z, 0))),
    ),
}
"""A rectifier, and its own slope."""


def network(act: Callable[[], Any]) -> Any:
    keras.utils.set_random_seed(5)
    layers = [
        L.Conv2D(4, 3, name="one", bias_initializer="normal"),
        act(),
        L.Conv2D(5, 2, name="two", bias_initializer="normal"),
        act(),
        L.Flatten(),
        L.Dense(7, name="three", bias_initializer="normal"),
        act(),
        L.Dense(3, name="four"),
        L.Softmax(),
    ]
    return keras.Sequential([keras.Input((6, 7, 3)), *layers])


def convolved(x: Array, kernel: Array, bias: Array) -> Array:
    a, b = kernel.shape[:2]
    h, w = x.shape[0] - a + 1, x.shape[1] - b + 1
    result = np.zeros((h, w, kernel.shape[3]))
    for i in range(h):
        for j in range(w):
            result[i, j] = np.einsum("abk,abkl->l", x[i : i + a, j : j + b], kernel) + bias
    return result


def back_through(slope: Array, kernel: Array) -> Array:
    a, b = kernel.shape[:2]
    h, w = slope.shape[:2]
    result = np.zeros((h + a - 1, w + b - 1, kernel.shape[2]))
    for i in range(h):
        for j in range(w):
            result[i : i + a, j : j + b] += np.einsum("l,abkl->abk", slope[i, j], kernel)
    return result


def by_hand(net: Any, act: Callable[[Array], Array], own: Slope, x: Array, weights: Array) -> Array:
    """Springenberg et al. 2014: behind each rectifier, what is negative of the slope is dropped."""
    one, two, three, four = (
        [np.asarray(value, float) for value in net.get_layer(name).get_weights()]
        for name in ("one", "two", "three", "four")
    )
    first = convolved(x, *one)
    second = convolved(act(first), *two)
    third = act(second).ravel() @ three[0] + three[1]
    slope = four[0] @ weights
    slope = np.maximum(slope, 0) * own(third)
    slope = (three[0] @ slope).reshape(second.shape)
    slope = back_through(np.maximum(slope, 0) * own(second), two[0])
    return back_through(np.maximum(slope, 0) * own(first), one[0])


@pytest.mark.parametrize("name", SLOPES)
def test_a_network_of_rectifiers_equals_its_backward_pass(name: str) -> None:
    make, own = SLOPES[name]
    net = network(make)
    rng = np.random.default_rng(1)
    x = rng.normal(0, 3, (2, 6, 7, 3)).astype(np.float32)
    weights = rng.normal(size=(2, 3)).astype(np.float32)
    layer = make()
    layer.build((None, 7))

    def act(z: Array) -> Array:
        if name == "prelu":
            return np.where(z > 0, z, 0.3 * z)
        return np.asarray(layer(tf.constant(z, tf.float32)), float)

    made = Functions(net, find_ports(net), 3)
    found = made.guided(tf.constant(x), tf.constant(weights))
    expected = [by_hand(net, act, own, *each) for each in zip(x, weights, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    plain = made.guided(tf.constant(x), tf.constant(weights), "probability")
    assert plain.shape == x.shape


def test_positive_weights_alone_leave_the_gradient_as_it_is() -> None:
    net = network(lambda: L.Activation("relu"))
    for variable in net.weights:
        variable.assign(abs(variable.numpy()))
    x = tf.random.stateless_uniform((2, 6, 7, 3), (1, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = keras.Sequential(net.layers[:-1])(x)
        score = tf.reduce_sum(logits[:, 1])
    found = Functions(net, find_ports(net), 2).guided(x, tf.one_hot([1, 1], 3))
    np.testing.assert_allclose(found, tape.gradient(score, x), rtol=1e-4)


def test_the_gradients_of_other_functions_are_not_guided() -> None:
    net = network(lambda: L.Activation("relu"))
    x = tf.random.stateless_normal((2, 6, 7, 3), (1, 2))
    made, other = (Functions(net, find_ports(net), 2) for _ in range(2))
    guided = made.guided(x, tf.one_hot([1, 1], 3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        first = net.get_layer("one")(x)
        score = tf.reduce_sum(keras.Sequential(net.layers[1:-1])(first)[:, 1])
    assert np.abs(guided - tape.gradient(score, x)).max() > 0.01
    other_slope = tape.gradient(score, first)
    for each in (made, other):
        np.testing.assert_allclose(
            each.gradients(x, tf.constant([[1], [1]]), LayerCall("one"))[2][0],
            other_slope,
            atol=1e-6,
        )


@pytest.mark.parametrize("name", ["swish", "gelu", "hard_swish", "tanh", "linear"])
def test_a_network_without_rectifiers_is_refused(name: str) -> None:
    net = network(lambda: L.Activation(name))
    with pytest.raises(ModelError, match="ReLU") as refused:
        Functions(net, find_ports(net), 1).guided(tf.zeros((1, 6, 7, 3)), tf.zeros((1, 3)))
    assert "gradcam" in refused.value.hint


def test_a_gate_keeps_its_own_gradient() -> None:
    """Hard swish beside a ReLU: only the ReLU is guided."""
    keras.utils.set_random_seed(5)
    x = keras.Input((4, 4, 3))
    first = L.Conv2D(3, 3, name="first")(x)
    last = L.Dense(3, name="last")(L.Flatten()(L.Activation("hard_swish")(first)))
    net = keras.Model(x, L.Dense(2, name="end")(L.ReLU()(last)))
    pixels = tf.random.stateless_normal((1, 4, 4, 3), (3, 4))
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        inner = net.get_layer("first")(pixels)
        gated = inner * tf.clip_by_value(inner / 6 + 0.5, 0, 1)
        z = net.get_layer("last")(tf.reshape(gated, (1, -1)))
        slope = net.get_layer("end").kernel[:, 1][None]
        passed = tf.stop_gradient(tf.where(z > 0, tf.maximum(slope, 0), 0))
        score = tf.reduce_sum(z * passed)
    found = Functions(net, find_ports(net), 1).guided(pixels, tf.one_hot([1], 2))
    np.testing.assert_allclose(found, tape.gradient(score, pixels), atol=1e-5)


def test_float16_loses_nothing_to_small_numbers() -> None:
    """A slope of 1e-7 does not fit into float16, unless the score is scaled."""

    def built(dtype: str) -> Any:
        keras.utils.set_random_seed(6)
        layers = [L.Conv2D(4, 3, dtype=dtype), L.ReLU(dtype=dtype), L.Flatten(dtype=dtype)]
        small = keras.initializers.RandomUniform(1e-7, 3e-7)
        return keras.Sequential(
            [keras.Input((6, 6, 3)), *layers, L.Dense(2, kernel_initializer=small, dtype="float32")]
        )

    x = tf.random.stateless_uniform((2, 6, 6, 3), (5, 6))
    low, high = (
        Functions(net, find_ports(net), 2).guided(x, tf.one_hot([0, 1], 2)).numpy()
        for net in (built("mixed_float16"), built("float32"))
    )
    assert np.abs(low - high).max() < 0.02 * np.abs(high).max()
