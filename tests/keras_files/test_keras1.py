"""Files as Keras 1 wrote them, against a network of its definitions in NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.file import open_network
from gradcam_cli.keras_files.repair import repair

Array = NDArray[np.float32]
RNG = np.random.default_rng(0)


def write(path: Path, layers: list[Any], weights: dict[str, list[Array]]) -> Path:
    """Write a Sequential model in the layout of Keras 1.2: no backend, a bare list of layers."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        config = {"class_name": "Sequential", "config": layers}
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [one["config"]["name"].encode() for one in layers]
        for one in layers:
            name = one["config"]["name"]
            there = group.create_group(name)
            arrays = weights.get(name, [])
            names = [f"{name}_{place}" for place in range(len(arrays))]
            there.attrs["weight_names"] = [one.encode() for one in names]
            for label, array in zip(names, arrays, strict=True):
                there[label] = array
    return path


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


TRAINING = {
    "init": "glorot_uniform",
    "W_regularizer": None,
    "b_regularizer": None,
    "activity_regularizer": None,
    "W_constraint": None,
    "b_constraint": None,
}


def convolution(**config: Any) -> dict[str, Any]:
    size = {"nb_filter": 3, "nb_row": 3, "nb_col": 2, "subsample": [1, 1], "border_mode": "valid"}
    rest = {"activation": "relu", "bias": True, **TRAINING}
    return layer("Convolution2D", "conv", **size, **rest, **config)


def dense(units: int) -> dict[str, Any]:
    settings = {"output_dim": units, "activation": "linear", "bias": True, "input_dim": None}
    return layer("Dense", "dense", **settings, **TRAINING)


def correlate(x: Array, kernel: Array) -> Array:
    """Valid correlation of rows x columns x channels, written out."""
    rows, columns = (x.shape[axis] - kernel.shape[axis] + 1 for axis in (0, 1))
    out = np.zeros((rows, columns, kernel.shape[3]), np.float32)
    for i in range(rows):
        for j in range(columns):
            patch = x[i : i + kernel.shape[0], j : j + kernel.shape[1]]
            out[i, j] = np.tensordot(patch, kernel, 3)
    return out


def test_a_convolutional_network(tmp_path: Path) -> None:
    kernel, bias, scale, units = (
        RNG.uniform(-1, 1, shape).astype("f") for shape in ((3, 2, 2, 3), (3,), (4, 3), (60, 2))
    )
    scale[3] = np.abs(scale[3]) + 0.5
    first = convolution(
        dim_ordering="tf", batch_input_shape=[None, 10, 11, 2], input_dtype="float32"
    )
    pool = {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "tf"}
    norm = {"mode": 0, "axis": -1, "momentum": 0.99, "epsilon": 0.01, "beta_init": "zero"}
    layers = [
        first,
        layer("MaxPooling2D", "pool", **pool),
        layer("BatchNormalization", "norm", **norm, gamma_init="one", gamma_regularizer=None),
        layer("Dropout", "drop", p=0.5),
        layer("Flatten", "flat"),
        dense(2),
    ]
    stored = {
        "conv": [kernel, bias],
        "norm": list(scale),
        "dense": [units, np.zeros(2, np.float32)],
    }
    image = RNG.uniform(-1, 1, (10, 11, 2)).astype("f")
    x = np.maximum(correlate(image, kernel) + bias, 0)
    x = x[:8, :10].reshape(4, 2, 5, 2, 3).max((1, 3))
    x = (x - scale[2]) / np.sqrt(scale[3] + 0.01) * scale[0] + scale[1]
    opened = open_network(write(tmp_path / "a.h5", layers, stored))
    np.testing.assert_allclose(opened.network(image[None])[0], x.ravel() @ units, atol=1e-4)
    assert "renamed the arguments of 5 layers of Keras 1" in opened.repaired


def test_kernels_of_theano_ordering(tmp_path: Path) -> None:
    kernel = RNG.uniform(-1, 1, (3, 2, 3, 2)).astype("f")  # filters, channels, rows, columns
    bias = RNG.uniform(-1, 1, 3).astype("f")
    first = convolution(dim_ordering="th", batch_input_shape=[None, 2, 10, 11])
    path = write(tmp_path / "a.h5", [first], {"conv": [kernel, bias]})
    config = open_network(path).network
    image = RNG.uniform(-1, 1, (10, 11, 2)).astype("f")
    expected = np.maximum(correlate(image, kernel.transpose(2, 3, 1, 0)) + bias, 0)
    found = np.asarray(config(image.transpose(2, 0, 1)[None])[0])
    np.testing.assert_allclose(found.transpose(1, 2, 0), expected, atol=1e-5)


def test_the_twelve_arrays_of_an_lstm(tmp_path: Path) -> None:
    """The gates lie in the order input, cell, forget, output; hard_sigmoid is 0.2 x + 0.5."""
    arrays = [
        RNG.uniform(-2, 2, shape).astype("f") for _ in range(4) for shape in ((3, 4), (4, 4), (4,))
    ]
    settings = {
        "output_dim": 4,
        "activation": "tanh",
        "inner_activation": "hard_sigmoid",
        "inner_init": "orthogonal",
        "consume_less": "cpu",
        "U_regularizer": None,
        "dropout_W": 0.0,
        "dropout_U": 0.0,
        "return_sequences": False,
        "batch_input_shape": [None, 5, 3],
    }
    layers = [layer("LSTM", "lstm", **settings, forget_bias_init="one", **TRAINING)]
    steps = RNG.uniform(-2, 2, (5, 3)).astype("f")
    h, c = np.zeros(4, np.float32), np.zeros(4, np.float32)
    for step in steps:
        i, new, f, o = (
            step @ arrays[3 * gate] + h @ arrays[3 * gate + 1] + arrays[3 * gate + 2]
            for gate in range(4)
        )
        i, f, o = (np.clip(0.2 * gate + 0.5, 0, 1) for gate in (i, f, o))
        c = f * c + i * np.tanh(new)
        h = o * np.tanh(c)
    network = open_network(write(tmp_path / "a.h5", layers, {"lstm": arrays})).network
    np.testing.assert_allclose(network(steps[None])[0], h, atol=1e-5)


def test_merges_of_functional_models() -> None:
    merge = {"mode": "concat", "concat_axis": 3, "dot_axes": -1, "layers": []}
    config = {
        "class_name": "Model",
        "config": {
            "name": "m",
            "layers": [
                layer("InputLayer", "a", batch_input_shape=[None, 4, 4, 1], input_dtype="float32"),
                layer("Merge", "both", **merge),
            ],
        },
    }
    repaired, _ = repair(config, "1.2.2")
    assert repaired["config"]["layers"][1]["class_name"] == "Concatenate"
    assert repaired["config"]["layers"][1]["config"] == {
        "name": "both",
        "trainable": True,
        "axis": 3,
    }


def test_a_functional_model_with_a_merge(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", [layer("Activation", "both", activation="linear")], {})
    start = layer("InputLayer", "a", batch_input_shape=[None, 4], input_dtype="float32")
    merge = layer("Merge", "both", mode="sum", mode_type="raw", arguments={})
    layers = [
        {**start, "name": "a", "inbound_nodes": []},
        {**merge, "name": "both", "inbound_nodes": [[["a", 0, 0], ["a", 0, 0]]]},
    ]
    ports = {"input_layers": [["a", 0, 0]], "output_layers": [["both", 0, 0]]}
    config = {"class_name": "Model", "config": {"name": "m", "layers": layers, **ports}}
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
    values = RNG.uniform(-1, 1, (1, 4)).astype("f")
    np.testing.assert_allclose(open_network(path).network(values), 2 * values)


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (layer("BatchNormalization", "norm", mode=2, beta_init="zero"), "mode 1 or 2"),
        (layer("Convolution2D", "c", border_mode="full", nb_filter=1), "border mode `full`"),
        (layer("Merge", "m", mode="cos", layers=[]), "merges by 'cos'"),
    ],
)
def test_what_keras_3_has_no_layer_for(one: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        repair({"class_name": "Sequential", "config": [one]}, "1.2.2")


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ('{"name": "Sequential", "layers": []}', "was written by Keras 0", "build the model anew"),
        ("backend: theano\nclass_name: Sequential\n", "is YAML", "yaml.full_load"),
    ],
)
def test_architectures_of_another_age(tmp_path: Path, text: str, says: str, hint: str) -> None:
    weights = tmp_path / "w.h5"
    with h5py.File(weights, "w") as file:
        file.attrs["nb_layers"] = 0
    architecture = tmp_path / "a.json"
    architecture.write_text(text)
    with pytest.raises(ModelError, match=says) as caught:
        open_network(weights, architecture=architecture)
    assert hint in caught.value.hint
