from __future__ import annotations

import functools
import threading
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.errors import GradcamError, ModelError
from gradcam_cli.network.paths import named_operations
from gradcam_cli.network.tap import Step, recording, trace

L = keras.layers
SPEC = tf.TensorSpec((2, 6, 6, 3), tf.float32)


def network() -> Any:
    inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(2, 3, name="conv")(inputs)
    return keras.Model(inputs, L.Flatten(name="flat")(L.ReLU(name="relu")(x)))


def recorded(model: Any, change: Any = None, spec: Any = SPEC) -> tuple[list[Step], Any]:
    steps: list[Step] = []

    def run(x: Any) -> Any:
        with recording(named_operations(model), change) as found:
            output = model(x, training=False)
        steps.extend(found)
        return output, [step.tensor for step in found]

    return steps, trace(run, spec)


def test_outputs_come_in_the_order_of_the_calls() -> None:
    model = network()
    steps, run = recorded(model)
    assert [step.path for step in steps] == ["conv", "relu", "flat"]
    x = np.random.default_rng(0).normal(size=SPEC.shape).astype(np.float32)
    output, (conv, relu, flat) = run(tf.constant(x))
    expected = model.get_layer("conv")(x)
    np.testing.assert_allclose(conv, expected, atol=1e-6)
    np.testing.assert_allclose(relu, np.maximum(expected, 0), atol=1e-6)
    np.testing.assert_array_equal(flat, output)


def test_calls_are_counted() -> None:
    inputs, twice = keras.Input((6, 6, 3)), L.Conv2D(3, 1, name="twice")
    steps, _ = recorded(keras.Model(inputs, twice(L.ReLU()(twice(inputs)))))
    assert [(step.path, step.call) for step in steps if step.path == "twice"] == [
        ("twice", 1),
        ("twice", 2),
    ]


def test_an_output_can_be_replaced() -> None:
    model = network()

    def change(path: str, call: int, tensor: Any) -> Any:
        return tensor * 0 - call if path == "conv" else tensor

    _, run = recorded(model, change)
    output, (conv, relu, _) = run(tf.ones(SPEC.shape))
    assert (conv.numpy() == -1).all()
    assert (relu.numpy() == 0).all()
    assert (output.numpy() == 0).all()


def test_a_call_of_the_users_own_on_the_instance_comes_back() -> None:
    model = network()
    conv = model.get_layer("conv")

    def mine(x: Any) -> Any:
        return x[..., :2] * 7

    vars(conv)["call"] = mine
    _, run = recorded(model)
    assert vars(conv)["call"] is mine
    x = tf.ones(SPEC.shape)
    np.testing.assert_array_equal(run(x)[1][0], x[..., :2] * 7)


def test_nothing_stays_behind_an_error() -> None:
    model = network()
    function = type(tf.function(lambda: None))
    compiled = function.__call__

    def fails(x: Any) -> Any:
        with recording(named_operations(model)):
            model(x)
            raise ValueError("in the middle")

    with pytest.raises(ModelError, match="in the middle"):
        trace(fails, SPEC)
    assert function.__call__ is compiled
    assert not any("call" in vars(layer) for layer in model.layers)


class Gate(L.Layer):  # type: ignore[misc,name-defined]
    """Calls a tf.function helper that branches on a value and holds a layer."""

    def __init__(self) -> None:
        super().__init__(name="gate")
        self.inner = L.Conv2D(2, 1, name="inner")

    def build(self, shape: Any) -> None:
        self.inner.build(shape)

    @tf.function  # type: ignore[untyped-decorator]
    def helped(self, x: Any) -> Any:
        y = self.inner(x)
        if tf.reduce_sum(x) > 0:
            return y * 2
        return y * 3

    def call(self, x: Any) -> Any:
        return self.helped(x)


def test_layers_inside_a_tf_function_are_seen_and_its_branches_kept() -> None:
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, Gate()(inputs))
    steps, run = recorded(model)
    assert [step.path for step in steps] == ["gate/inner", "gate"]
    for sign, factor in ((1, 2), (-1, 3)):
        output, (inner, _) = run(tf.ones(SPEC.shape) * sign)
        np.testing.assert_allclose(output, inner * factor, rtol=1e-6)


def doubled(function: Any) -> Any:
    @functools.wraps(function)
    def both(*args: Any) -> Any:
        return function(*args) * 2

    return both


class Decorated(L.Layer):  # type: ignore[misc,name-defined]
    """Its compiled call has a decorator of the user's own beneath."""

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    @doubled
    def call(self, x: Any) -> Any:
        return x + 1


def test_decorators_beneath_a_tf_function_take_part() -> None:
    inputs = keras.Input((6, 6, 3))
    steps, run = recorded(keras.Model(inputs, Decorated(name="decorated")(inputs)))
    assert [step.path for step in steps] == ["decorated"]
    output, _ = run(tf.ones(SPEC.shape))
    assert (output.numpy() == 4).all()


def test_another_thread_is_left_alone() -> None:
    model = network()
    helper = tf.function(lambda x: x + 1)
    x = np.ones((1, 6, 6, 3), np.float32)
    alone = model(x).numpy()
    seen: dict[str, Any] = {}

    def meanwhile() -> None:
        seen["predicted"] = model(x).numpy()
        seen["compiled"] = helper(tf.constant(1.0))
        seen["traces"] = helper.experimental_get_tracing_count()

    def run(pictures: Any) -> Any:
        with recording(named_operations(model)) as steps:
            thread = threading.Thread(target=meanwhile)
            thread.start()
            thread.join()
            seen["recorded"] = list(steps)
            return model(pictures)

    trace(run, SPEC)
    np.testing.assert_array_equal(seen["predicted"], alone)
    assert seen["recorded"] == []
    assert seen["compiled"] == 2
    assert seen["traces"] == 1


def test_errors_say_what_is_wrong_in_one_line() -> None:
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, L.GlobalMaxPooling2D()(L.Conv2D(2, 9)(inputs)))
    with pytest.raises(ModelError) as caught:
        recorded(model)
    assert "Negative dimension size" in caught.value.message
    assert "\x1b" not in caught.value.message
    assert caught.value.hint


def test_errors_of_ours_pass_unchanged() -> None:
    error = GradcamError("mine", "hint")

    def fails(x: Any) -> Any:  # noqa: ARG001  the signature of a traced function
        raise error

    with pytest.raises(GradcamError) as caught:
        trace(fails, SPEC)
    assert caught.value is error
