"""What Keras 2 meant: models of tf_keras, which is Keras 2, must answer here as they do there."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from gradcam_cli.keras_files.file import open_network, save_repaired
from gradcam_cli.keras_files.meanings import before_keras_3, not_reproduced

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tf_keras

    logging.getLogger("tensorflow").setLevel(logging.ERROR)

pytestmark = pytest.mark.filterwarnings("ignore")  # of tf_keras, about its own HDF5 files

L = tf_keras.layers
SIZE = (8, 9, 3)


def rows() -> Any:
    return L.Reshape((8, 27))


def branches(image: Any) -> Any:
    tokens = L.Reshape((18, 12))(image)
    tokens = L.MultiHeadAttention(2, 4, value_dim=3)(tokens, tokens)
    tokens = L.Attention(use_scale=True)([tokens, tokens])
    tokens = L.AdditiveAttention()([tokens, tokens])
    return L.Dot(axes=(2, 2), normalize=True)([tokens, tokens])


def merged(image: Any) -> Any:
    two = [L.Conv2D(3, 1, groups=3, activation="mish")(image), image]
    kinds = (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)
    return L.Concatenate(axis=1)([kind()(two) for kind in kinds])


def chain(*layers: Any) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return call


MODELS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "activations": lambda: chain(
        L.Conv2D(4, 3, activation="hard_sigmoid"),
        L.Activation("hard_sigmoid"),
        L.Dense(4, activation=L.LeakyReLU(0.2)),
        L.Dense(4, activation="gelu"),
        L.ReLU(6.0, 0.1, 0.2),
        L.LeakyReLU(),
        L.ELU(0.5),
        L.PReLU(shared_axes=[1, 2]),
        L.ThresholdedReLU(0.1),
        L.Dense(3, activation="softplus"),
        L.Dense(3, activation="softsign"),
        L.Softmax(axis=[1, 2]),
    ),
    "recurrent": lambda: chain(
        rows(),
        L.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True),
        L.GRU(3, reset_after=False, return_sequences=True),
        L.GRU(3, recurrent_activation="hard_sigmoid", return_sequences=True),
        L.LSTM(3, activation="hard_sigmoid", return_sequences=True),
        L.Bidirectional(
            L.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True), merge_mode="mul"
        ),
        L.RNN([L.LSTMCell(3, recurrent_activation="hard_sigmoid"), L.GRUCell(2)]),
    ),
    "convlstm": lambda: chain(
        L.Reshape((2, 4, 9, 3)), L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)
    ),
    "convolutions": lambda: chain(
        L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
        L.SeparableConv2D(5, (2, 3), dilation_rate=2, padding="same"),
        L.Conv2DTranspose(4, (2, 3), strides=3, padding="same"),
        L.Conv2DTranspose(4, 3, strides=2, output_padding=1),
        L.AveragePooling2D(3, strides=2, padding="same"),
        L.MaxPooling2D(2, padding="same"),
        L.ZeroPadding2D(((1, 0), (2, 3))),
        L.Cropping2D(((1, 0), (0, 2))),
        L.GlobalAveragePooling2D(keepdims=True),
    ),
    "norms": lambda: chain(
        L.BatchNormalization(axis=2, epsilon=0.1),
        L.LayerNormalization(axis=[1, 2], epsilon=0.1),
        L.Conv2D(4, 1),
        L.GroupNormalization(2),
        L.UnitNormalization(),
        L.Permute((3, 1, 2)),
        L.Flatten(data_format="channels_first"),
    ),
    "resizing": lambda: chain(
        L.Normalization(mean=[1.0, 2, 3], variance=[4.0, 5, 6], invert=True),
        L.UpSampling2D((2, 3), interpolation="bilinear"),
        L.CenterCrop(12, 13),
        L.Resizing(7, 15, interpolation="bicubic", crop_to_aspect_ratio=True),
        L.RandomFlip(),
        L.RandomZoom(0.1),
        L.RandomCrop(5, 6),
        L.Rescaling(0.5, 1),
    ),
    "attention": lambda: branches,
    "merged": lambda: merged,
}


@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize("name", MODELS)
def test_models_of_keras_2_answer_as_in_keras_2(tmp_path: Path, name: str, ending: str) -> None:
    tf_keras.backend.clear_session()
    image = tf_keras.Input(SIZE)
    model = tf_keras.Model(image, MODELS[name]()(image))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 0.7, weight.shape))
    images = rng.uniform(-2, 2, (2, *SIZE)).astype("f")
    expected = model(images, training=False).numpy()
    path = tmp_path / f"m.{ending}"
    model.save(path)
    network = open_network(path).network
    scale = np.abs(expected).max()
    np.testing.assert_allclose(network(images, training=False), expected, atol=1e-5 * scale)


def test_a_repaired_file_keeps_the_old_function(tmp_path: Path) -> None:
    model = tf_keras.Sequential([L.Input((3,)), L.Activation("hard_sigmoid")])
    model.save(tmp_path / "m.h5")
    opened = open_network(tmp_path / "m.h5")
    save_repaired(opened.network, tmp_path / "new.keras", tmp_path / "m.h5")
    again = open_network(tmp_path / "new.keras")
    assert again.repaired == ()
    np.testing.assert_allclose(again.network(np.array([[-2.5, 1, 2.6]])), [[0, 0.7, 1]], atol=1e-6)


def test_hard_sigmoid_of_keras_3_stays(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    outputs = keras.layers.Activation("hard_sigmoid")(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "m.keras")
    network = open_network(tmp_path / "m.keras").network
    np.testing.assert_allclose(network(np.array([[-3.0, 1.2, 3.0]])), [[0, 0.7, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("build", "keys"),
    [
        (
            lambda: L.GRU(3, reset_after=False, recurrent_activation="hard_sigmoid"),
            ["reset_after", "recurrent_activation"],
        ),
        (lambda: L.LSTM(3, recurrent_activation="hard_sigmoid"), ["recurrent_activation"]),
        (lambda: L.ConvLSTM1D(3, 2), ["recurrent_activation"]),
    ],
)
def test_a_missing_argument_has_its_old_default(tmp_path: Path, build: Any, keys: Any) -> None:
    first = rows() if "1D" not in type(build()).__name__ else L.Activation("linear")
    model = tf_keras.Sequential([L.Input(SIZE), first, build()])
    images = np.random.default_rng(0).uniform(-2, 2, (2, *SIZE)).astype("f")
    path = tmp_path / "m.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for key in keys:
            del config["config"]["layers"][-1]["config"][key]
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.0.8"
    network = open_network(path).network
    np.testing.assert_allclose(network(images), model(images).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("version", "config", "old"),
    [
        ("1.2.2", {}, True),
        ("2.2.4-tf", {}, True),
        ("2.21.0", {"module": "keras"}, True),
        ("3.0.0", {}, False),
        ("0.1.7", {}, False),
        ("", {"class_name": "Sequential"}, True),
        ("", {"module": "keras"}, False),
    ],
)
def test_which_files_are_old(version: str, config: dict[str, Any], old: bool) -> None:
    assert before_keras_3(config, version) is old


def layers_of(*kinds: Any) -> dict[str, Any]:
    model = keras.Sequential([keras.Input((8, 8, 3)), *kinds])
    return dict(json.loads(model.to_json()))


def test_padding_of_theano_is_named() -> None:
    k = keras.layers
    config = layers_of(
        k.Conv2D(2, 3, padding="same"),
        k.Conv2D(2, 3, strides=2, padding="same"),
        k.Conv2D(2, 2, padding="same"),
        k.MaxPooling2D(2),
    )
    sentence = "padded 2 layers ('same', strided or even) as TensorFlow, not as Theano"
    assert not_reproduced(config, "2.1.6", theano=True) == (sentence,)
    assert not_reproduced(config, "2.1.6", theano=False) == ()


@pytest.mark.parametrize(("version", "named"), [("2.2.4", 1), ("2.2.4-tf", 0), ("2.4.3", 0)])
def test_bilinear_upsampling_from_corners_is_named(version: str, named: int) -> None:
    config = layers_of(keras.layers.UpSampling2D(interpolation="bilinear"))
    assert len(not_reproduced(config, version, theano=False)) == named
