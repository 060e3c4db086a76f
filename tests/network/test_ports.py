from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.errors import ModelError
from gradcam_cli.network.ports import find_ports, output_names, run, single_input

L = keras.layers


def simple(*shapes: tuple[int | None, ...], names: list[str] | None = None, **options: Any) -> Any:
    names = names or [f"in{place}" for place in range(len(shapes))]
    inputs = [keras.Input(shape, name=n, **options) for shape, n in zip(shapes, names, strict=True)]
    flat = [L.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x for x in inputs]
    x = L.Concatenate()(flat) if len(flat) > 1 else flat[0]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], L.Dense(2, name="out")(x))


def test_the_picture_input_is_found_by_its_shape() -> None:
    ports = find_ports(simple((20, 30, 3)))
    assert (ports.size, ports.channels, ports.batch, ports.output) == ((20, 30), 3, 0, "")
    assert find_ports(simple((20, 30, 1))).channels == 1
    first = find_ports(simple((3, 20, 30)))
    assert (first.size, first.channels, first.channels_first) == ((20, 30), 3, True)
    both = find_ports(simple((5,), (20, 30, 3)), constants={"in0": np.zeros(5)})
    assert both.size == (20, 30)
    assert [value is None for value in both.constants] == [False, True]


def test_grey_pictures_may_come_without_a_channel_axis() -> None:
    inputs = keras.Input((28, 20))
    network = keras.Model(inputs, L.Dense(2)(L.Flatten()(inputs)))
    ports = find_ports(network)
    assert (ports.size, ports.channels, ports.no_channels) == ((28, 20), 1, True)
    assert run(network, ports, tf.zeros((2, 28, 20, 1))).shape == (2, 2)
    sequence = keras.Input((28, 4))
    with pytest.raises(ModelError, match=r"takes no picture: .* 28x4"):
        find_ports(keras.Model(sequence, L.Dense(2)(L.Flatten()(sequence))))


def test_any_size_has_to_be_chosen_and_a_fixed_one_kept() -> None:
    network = simple((None, None, 3))
    with pytest.raises(ModelError, match="any size") as caught:
        find_ports(network)
    assert "--input-size" in caught.value.hint
    assert find_ports(network, (40, 50)).size == (40, 50)
    with pytest.raises(ModelError, match=r"--input-size 40x50 does not fit: .* 20x30"):
        find_ports(simple((20, 30, 3)), (40, 50))
    half = simple((None, 30, 3))
    assert find_ports(half, (40, 30)).size == (40, 30)
    with pytest.raises(ModelError, match="anyx30"):
        find_ports(half, (40, 50))


def test_a_batch_size_counts_only_where_a_layer_counts_on_it() -> None:
    free = keras.Sequential([L.Flatten(), L.Dense(2)])
    free(np.zeros((5, 12, 12, 3), np.float32))
    assert free.inputs[0].shape == (5, 12, 12, 3)
    assert find_ports(free).batch == 0
    inputs = keras.Input(batch_shape=(4, 12, 12, 3))
    by_four = L.Lambda(lambda x: tf.reshape(x, (4, 432)))(inputs)
    assert find_ports(keras.Model(inputs, L.Dense(2)(by_four))).batch == 4
    inputs = keras.Input(batch_shape=(4, 12, 12, 3))
    kept = L.Lambda(lambda x: tf.reduce_sum(tf.reshape(x, (4, -1, 3)), 1))(inputs)
    assert find_ports(keras.Model(inputs, kept)).batch == 4


def test_further_inputs_have_to_be_given() -> None:
    network = simple((12, 12, 3), (5,), (1,), names=["photo", "table", "age"])
    with pytest.raises(ModelError, match=r"also needs its input 'table' \(5\)") as caught:
        find_ports(network)
    assert "--input table=FILE.npy" in caught.value.hint
    with pytest.raises(ModelError, match="no input 'tabel'") as caught:
        find_ports(network, constants={"tabel": np.zeros(5)})
    assert caught.value.hint == "did you mean table?"
    with pytest.raises(ModelError, match="no input 'zzz'") as caught:
        find_ports(network, constants={"zzz": np.zeros(5)})
    assert "photo, table, age" in caught.value.hint
    for wrong in (np.zeros(4), np.zeros((2, 5)), np.array(["a"] * 5)):
        with pytest.raises(ModelError, match="the model wants 5"):
            find_ports(network, constants={"table": wrong, "age": np.zeros(1)})


def test_constants_are_repeated_for_every_picture() -> None:
    table, photo = keras.Input((3,), name="table"), keras.Input((8, 8, 3), name="photo")
    both = L.Concatenate()([table, L.GlobalAveragePooling2D()(photo)])
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    expected = [[1, 2, 3, *picture.mean((0, 1))] for picture in x]
    structures: list[Any] = [[table, photo], {"table": table, "photo": photo}]
    for structure in structures:
        network = keras.Model(structure, both)
        ports = find_ports(network, constants={"table": np.array([[1, 2, 3]])})
        np.testing.assert_allclose(run(network, ports, tf.constant(x)), expected, atol=1e-6)


def test_of_several_pictures_all_but_one_are_constant() -> None:
    network = simple((8, 8, 3), (8, 8, 3), names=["left", "right"])
    with pytest.raises(ModelError, match="several picture inputs: left 8x8x3, right 8x8x3"):
        find_ports(network)
    right = np.ones((8, 8, 3))
    assert find_ports(network, constants={"right": right}).constants[0] is None
    with pytest.raises(ModelError, match="every picture input"):
        find_ports(network, constants={"left": right, "right": right})


def test_several_outputs_need_a_choice() -> None:
    inputs = keras.Input((8, 8, 3))
    x = L.GlobalAveragePooling2D()(inputs)
    kind, age = L.Dense(3, name="kind")(x), L.Dense(1, name="age")(x)
    listed, keyed = keras.Model(inputs, [kind, age]), keras.Model(inputs, {"k": kind, "a": age})
    assert output_names(listed) == ["kind", "age"]
    assert output_names(keyed) == ["a", "k"]
    with pytest.raises(ModelError, match="several outputs: kind, age") as caught:
        find_ports(listed)
    assert "--output" in caught.value.hint
    with pytest.raises(ModelError, match="no output 'kid'") as caught:
        find_ports(listed, output="kid")
    assert caught.value.hint == "did you mean kind?"
    pictures = tf.zeros((2, 8, 8, 3))
    for network, name, classes in ((listed, "age", 1), (keyed, "k", 3)):
        assert run(network, find_ports(network, output=name), pictures).shape == (2, classes)


class Mine(keras.Model):  # type: ignore[misc]
    """Takes a list, gives a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(3)

    def call(self, inputs: list[Any]) -> tuple[Any, Any]:
        photo, table = inputs
        return self.dense(keras.ops.mean(photo, (1, 2))), table


def test_a_subclassed_model_counts_its_inputs_and_outputs() -> None:
    network = Mine()
    with pytest.raises(ModelError, match="saved before it was ever called"):
        find_ports(network)
    network([np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 5), np.float32)])
    with pytest.raises(ModelError, match=r"also needs its input '1' \(5\)"):
        find_ports(network)
    ports = find_ports(network, constants={"1": np.arange(5)})
    assert (ports.size, ports.batch) == ((8, 8), 0)
    pictures = tf.zeros((2, 8, 8, 3))
    with pytest.raises(ModelError, match="several outputs: 0, 1"):
        run(network, ports, pictures)
    with pytest.raises(ModelError, match="no output '2'"):
        run(network, find_ports(network, constants={"1": np.arange(5)}, output="2"), pictures)
    chosen = find_ports(network, constants={"1": np.arange(5)}, output="1")
    np.testing.assert_array_equal(run(network, chosen, pictures), [np.arange(5.0)] * 2)


def test_dropout_is_off_and_statistics_are_the_stored_ones() -> None:
    inputs = keras.Input((4, 4, 3))
    norm = L.BatchNormalization()
    x = L.GaussianNoise(1.0)(L.Dropout(0.9)(norm(L.RandomFlip()(inputs))))
    network = keras.Model(inputs, L.Flatten()(x))
    norm.set_weights([np.full(3, v) for v in (2.0, 0.5, 3.0, 4.0 - norm.epsilon)])
    pictures = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    output = run(network, single_input((4, 4)), tf.constant(pictures))
    np.testing.assert_allclose(output, ((pictures - 3) / 2 * 2 + 0.5).reshape(2, -1), rtol=1e-5)
