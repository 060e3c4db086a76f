from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.keras_files.memory import aligned_zeros, shared, sharing


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


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "int8", "int64"])
@pytest.mark.parametrize("stored", ["<f4", ">f4", "<f2", "<i8"])
def test_a_variable_takes_what_is_read_in_its_own_type(
    dtype: str, stored: str, tmp_path: Path
) -> None:
    values = np.arange(24).reshape(4, 6)
    variable = keras.Variable(np.zeros((4, 6)), dtype=dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file, sharing():
        file["a"] = values.astype(stored)
        variable.assign(file["a"])
    assert keras.backend.standardize_dtype(variable.dtype) == dtype
    np.testing.assert_array_equal(np.asarray(variable.numpy(), np.float64), values)


def test_variables_do_not_share_an_array_that_they_are_given() -> None:
    array = counted(1000)
    one, other = (keras.Variable(np.zeros(1000, np.float32)) for _ in range(2))
    with sharing(), sharing():
        one.assign(array)
        other.assign(array)
    array[:] = -1
    one.value.assign_add(tf.ones(1000))
    np.testing.assert_array_equal(one.numpy(), np.arange(1000) + 1)
    np.testing.assert_array_equal(other.numpy(), np.arange(1000))


def test_what_does_not_fit_is_refused_and_afterwards_all_is_as_before() -> None:
    plain, own = keras.Variable.assign, "assign" in vars(keras.Variable)
    variable = keras.Variable(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="shape"), sharing():
        variable.assign(np.ones((3, 2), np.float32))
    assert keras.Variable.assign is plain
    assert ("assign" in vars(keras.Variable)) is own


def test_a_network_with_every_kind_of_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    layers = keras.layers
    normalize = layers.Normalization()
    normalize.adapt(np.random.default_rng(0).normal(3, 2, (40, 8, 8, 3)))
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            normalize,
            layers.Conv2D(4, 3),
            layers.BatchNormalization(moving_variance_initializer="random_uniform"),
            layers.GaussianNoise(0.1),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(5, dtype="mixed_bfloat16"),
            layers.Dense(4),
        ]
    )
    network.layers[-1].quantize("int8")
    network.save(tmp_path / "a.keras")
    network.save_weights(tmp_path / "a.weights.h5")
    with sharing():
        read = keras.saving.load_model(tmp_path / "a.keras")
        again = keras.models.clone_model(read)
        again.load_weights(tmp_path / "a.weights.h5")
    for other in (read, again):
        for mine, its in zip(network.variables, other.variables, strict=True):
            assert mine.dtype == its.dtype
            if "seed_generator" in mine.path:  # not in the file of weights
                continue
            np.testing.assert_array_equal(mine.numpy(), its.numpy(), err_msg=mine.path)
