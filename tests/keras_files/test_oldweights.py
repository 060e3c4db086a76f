"""Arrays as Theano, cuDNN and older versions of Keras held them, against their definitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from gradcam_cli.keras_files.assign import assign_weights
from gradcam_cli.keras_files.file import open_network
from tests.keras_files.rewriting import Json, assert_same, layers, noise, rewrite, save, set_weights

L = keras.layers


def by_theano(path: Path) -> Path:
    """Turn the kernels in a file by 180 degrees and say that Theano is the backend."""

    def turn(_: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.ndim < 3:
            return
        values = item[()]
        for axis in range(values.ndim - 2):
            values = np.take(values, range(values.shape[axis])[::-1], axis)
        item[...] = values

    with h5py.File(path, "r+") as file:
        file["model_weights"].visititems(turn)
        file.attrs["backend"] = b"theano"
        file["model_weights"].attrs["backend"] = b"theano"
    return path


def model(*body: Any, size: tuple[int, ...] = (8, 9, 3)) -> Any:
    network = keras.Sequential([L.Input(size), *body])
    set_weights(network)
    return network


@pytest.mark.parametrize(
    ("body", "turned"),
    [
        ((L.Conv2D(4, (2, 3)), L.DepthwiseConv2D(2), L.Conv2DTranspose(2, 3)), 3),
        ((L.SeparableConv2D(3, 2), L.BatchNormalization(), L.Flatten(), L.Dense(2)), 1),
        ((L.Reshape((2, 4, 9, 3)), L.ConvLSTM2D(2, 2), L.TimeDistributed(L.Conv1D(2, 3))), 3),
        ((L.Reshape((2, 4, 9, 3)), L.Conv3D(2, 2), L.Conv3DTranspose(2, 2)), 2),
        ((keras.Sequential([L.Conv2D(2, 2), L.BatchNormalization()]), L.Conv2D(2, 2)), 2),
    ],
)
def test_kernels_of_theano_are_turned(tmp_path: Path, body: Any, turned: int) -> None:
    network = model(*body)
    path = by_theano(save(network, tmp_path / "m.h5"))
    rewrite(path, lambda _: None, "2.1.6")
    opened = open_network(path)
    assert opened.repaired[-1] == (
        f"turned {turned} kernel{'s' * (turned > 1)} of Theano by 180 degrees"
    )
    assert_same(opened.network, network, noise(2, 8, 9, 3))


def test_a_convolution_of_theano_is_one(tmp_path: Path) -> None:
    network = model(L.Conv2D(1, 3, use_bias=False), size=(6, 7, 1))
    path = save(network, tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        file["model_weights"].attrs["backend"] = "theano"
    kernel = np.asarray(network.weights[0])[:, :, 0, 0]
    image = noise(6, 7)
    expected = np.array(
        [
            [
                sum(image[i + 2 - a, j + 2 - b] * kernel[a, b] for a in range(3) for b in range(3))
                for j in range(5)
            ]
            for i in range(4)
        ]
    )
    found = open_network(path).network(image[None, :, :, None])[0, :, :, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_weights_of_a_named_model_by_theano(tmp_path: Path) -> None:
    network = model(L.Conv2D(4, 3), L.Dense(2))
    expected = np.asarray(network(noise(2, 8, 9, 3)))
    path = by_theano(save(network, tmp_path / "m.h5"))
    for weight in network.weights:
        weight.assign(np.zeros(weight.shape))
    assign_weights(network, path, "mine")
    np.testing.assert_allclose(network(noise(2, 8, 9, 3)), expected, atol=1e-6)


def lstm(steps: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """Two sets of biases; each gate's matrix lies there as cuDNN has it, units x inputs."""
    h, c = np.zeros(4), np.zeros(4)
    for step in steps:
        gates = []
        for gate in range(4):
            there = slice(4 * gate, 4 * gate + 4)
            w = kernel[:, there].ravel().reshape(4, 3)
            u = recurrent[:, there].ravel().reshape(4, 4)
            gates.append(w @ step + u @ h + bias[there] + bias[16:][there])
        i, f, o = (1 / (1 + np.exp(-gates[gate])) for gate in (0, 1, 3))
        c = f * c + i * np.tanh(gates[2])
        h = o * np.tanh(c)
    return h


def gru(steps: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    h = np.zeros(4)
    for step in steps:
        parts = []
        for gate in range(3):
            there = slice(4 * gate, 4 * gate + 4)
            w = kernel[:, there].ravel().reshape(4, 3)
            u = recurrent[:, there].ravel().reshape(4, 4)
            parts.append((w @ step + bias[there], u @ h + bias[12:][there]))
        z, r = (1 / (1 + np.exp(-sum(parts[gate]))) for gate in (0, 1))
        h = z * h + (1 - z) * np.tanh(parts[2][0] + r * parts[2][1])
    return h


@pytest.mark.parametrize(("kind", "gates", "definition"), [("LSTM", 4, lstm), ("GRU", 3, gru)])
def test_layers_of_cudnn(
    tmp_path: Path, kind: str, gates: int, definition: Callable[..., Any]
) -> None:
    network = model(getattr(L, kind)(4, name="cell"), size=(5, 3))
    path = save(network, tmp_path / "m.h5")
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-1, 1, s).astype("f") for s in ((3, 4 * gates), (4, 4 * gates))]
    arrays.append(rng.uniform(-1, 1, 8 * gates).astype("f"))

    def old(config: Json) -> None:
        one = layers(config)[1]
        kept = ("name", "units", "return_sequences", "go_backwards", "stateful")
        one["class_name"] = f"CuDNN{kind}"
        one["config"] = {key: one["config"][key] for key in kept}

    rewrite(path, old, "2.2.4")
    with h5py.File(path, "r+") as file:
        group = file["model_weights/cell"]
        names = list(group.attrs["weight_names"])
        for name, array in zip(names, arrays, strict=True):
            del group[name]
            group[name] = array
    opened = open_network(path)
    assert f"read 1 layer CuDNN{kind} as {kind}" in opened.repaired
    steps = noise(5, 3)
    np.testing.assert_allclose(
        opened.network(steps[None])[0], definition(steps, *arrays), atol=1e-5
    )


@pytest.mark.parametrize("theano", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_normalization_works_with_what_was_read(tmp_path: Path, nested: bool, theano: bool) -> None:
    """It computes with copies of its mean and variance, which have to be made anew."""
    inner = L.Normalization()
    inner.adapt(np.random.default_rng(0).normal(5, 3, (40, 8, 9, 3)))
    first = keras.Sequential([L.Input((8, 9, 3)), inner]) if nested else inner
    network = keras.Sequential([L.Input((8, 9, 3)), first, L.Conv2D(4, 3)])
    images = np.random.default_rng(1).normal(5, 3, (2, 8, 9, 3)).astype(np.float32)
    expected = np.asarray(network(images))
    path = save(network, tmp_path / "m.h5")
    if theano:
        rewrite(by_theano(path), lambda _: None, "2.3.1")
    np.testing.assert_allclose(open_network(path).network(images), expected, atol=1e-5)
