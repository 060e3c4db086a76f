from __future__ import annotations

import gc
import weakref
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.opening.memory import aligned_zeros, shared


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5, 7), (0, 4)])
def test_zeros_lie_where_tensorflow_can_share_them(shape: tuple[int, ...], dtype: str) -> None:
    array = aligned_zeros(shape, dtype)
    assert array.shape == shape
    assert array.dtype == np.dtype(dtype)
    assert not array.any()
    assert array.ctypes.data % 64 == 0 or array.size == 0
    tensor = shared(array)
    assert tensor.shape == shape
    assert tensor.dtype == tf.as_dtype(dtype)
    np.testing.assert_array_equal(tensor.numpy(), array)


def counted(size: int) -> Any:
    array = aligned_zeros((size,))
    array[...] = np.arange(size)
    return array


def test_a_tensor_and_a_variable_lie_in_the_arrays_memory() -> None:
    with tf.device("CPU"):
        array = counted(1000)
        tensor = shared(array)
        variable = keras.Variable(np.zeros(1000, np.float32))
        variable.assign(tensor)
    array[7] = -1  # seen by both only if nothing was copied
    assert tensor.numpy()[7] == variable.numpy()[7] == -1


def test_changing_one_of_two_variables_changes_nothing_else() -> None:
    array = counted(1000)
    tensor = shared(array)
    one, other = (keras.Variable(np.zeros(1000, np.float32)) for _ in range(2))
    one.assign(tensor)
    other.assign(tensor)
    one.value.assign_add(tf.ones(1000))  # in place, where TensorFlow may do so
    one.value[3].assign(77.0)
    expected = np.arange(1000) + 1.0
    expected[3] = 77
    np.testing.assert_array_equal(one.numpy(), expected)
    for untouched in (other.numpy(), tensor.numpy(), array):
        np.testing.assert_array_equal(untouched, np.arange(1000))
    other.assign(np.full(1000, 5, np.float32))
    assert set(other.numpy().tolist()) == {5.0}
    np.testing.assert_array_equal(tensor.numpy(), np.arange(1000))


def test_values_outlive_the_arrays_and_the_memory_is_given_back() -> None:
    variables, traces = [], []
    with tf.device("CPU"):
        for place in range(20):
            array = counted(50_000)
            array += place
            variable = keras.Variable(np.zeros(50_000, np.float32))
            variable.assign(shared(array))
            variables.append(variable)
            traces.append(weakref.ref(array.base))
            del array
    gc.collect()
    for _ in range(40):
        np.full(50_000, -1, np.float32)  # would land in memory that had been freed
    for place, variable in enumerate(variables):
        np.testing.assert_array_equal(variable.numpy(), np.arange(50_000) + place)
    assert all(trace() is not None for trace in traces)
    del variable
    variables.clear()
    gc.collect()
    assert all(trace() is None for trace in traces)
