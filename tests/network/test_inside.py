from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from gradcam_cli.network.inside import OF_ITS_OWN, read_scaling
from gradcam_cli.network.ports import find_ports
from gradcam_cli.network.survey import survey

L = keras.layers
applications = keras.applications


def inside(front: Callable[[Any], Any], shape: tuple[int, ...] = (12, 12, 3)) -> str:
    """What is read of a network that begins with ``front``."""
    inputs = keras.Input(shape)
    x = L.Conv2D(4, 3, name="conv")(front(inputs))
    network = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    return survey(network, find_ports(network)).inside


def nested(x: Any) -> Any:
    inner = keras.Input((12, 12, 3))
    model = keras.Model(inner, L.Conv2D(3, 1)(L.Rescaling(1 / 127.5, -1)(inner)))
    return model(keras.Sequential([L.RandomFlip(), L.RandomRotation(0.5), L.RandomZoom(0.3)])(x))


FRONTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "nothing": (lambda x: x, "nothing"),
    "only augmentation": (L.RandomFlip(), "nothing"),
    "rescaling": (L.Rescaling(1 / 255), "0..1"),
    "rescaling with an offset": (L.Rescaling(1 / 127.5, -1), "-1..1"),
    "arithmetic": (lambda x: x / 255.0, "0..1"),
    "lambda": (L.Lambda(lambda x: (x - 127.5) / 127.5), "-1..1"),
    "mean and deviation": (
        L.Normalization(mean=[100, 120, 140], variance=[3600] * 3),
        "-2.33..2.58",
    ),
    "twice": (lambda x: L.Normalization(mean=0.5, variance=0.25)(L.Rescaling(1 / 255)(x)), "-1..1"),
    "nested, behind augmentation": (nested, "-1..1"),
    "resized first": (lambda x: L.Rescaling(1 / 255)(L.Resizing(8, 8)(x)), "0..1"),
    "tf": (lambda x: applications.mobilenet_v2.preprocess_input(x), "-1..1"),
    "torch": (lambda x: applications.densenet.preprocess_input(x), "-2.12..2.64"),
    "caffe": (lambda x: applications.vgg16.preprocess_input(x), "-123.68..151.06"),
    "nothing to do": (lambda x: applications.efficientnet.preprocess_input(x), "nothing"),
    "batch normalisation": (L.BatchNormalization(), "nothing"),
    "scaling, then batch normalisation": (
        lambda x: L.BatchNormalization()(L.Rescaling(1 / 255)(x)),
        "0..1",
    ),
    "no scaling of a known kind": (lambda x: keras.ops.sqrt(x), ""),
    "each picture by itself": (
        lambda x: x / keras.ops.max(x, (1, 2, 3), keepdims=True),
        OF_ITS_OWN,
    ),
    "standardised behind a scaling": (
        lambda x: L.LayerNormalization(axis=(1, 2, 3), center=False, scale=False)(
            L.Rescaling(1 / 255)(x)
        ),
        OF_ITS_OWN,
    ),
    "flipped, then scaled": (lambda x: L.Rescaling(1 / 255)(keras.ops.flip(x, 2)), "0..1"),
    "scaled, then flipped": (lambda x: keras.ops.flip(L.Rescaling(1 / 255)(x), 1), "0..1"),
    "rolled, then scaled": (lambda x: L.Rescaling(1 / 255)(keras.ops.roll(x, 3, 2)), "0..1"),
    "all the same": (lambda x: x * 0, ""),
}


@pytest.mark.parametrize("name", FRONTS)
def test_scaling_inside_is_measured(name: str) -> None:
    front, expected = FRONTS[name]
    assert inside(front) == expected


def test_an_adapted_normalisation_is_read_by_channel() -> None:
    inputs = keras.Input((12, 12, 3))
    pixels = np.random.default_rng(0).uniform(0, 255, (32, 12, 12, 3))
    layer = L.Normalization()
    layer.adapt(pixels)
    x = L.Conv2D(4, 3, name="conv")(layer(inputs))
    network = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    mean, deviation = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    ends = (np.array([[0.0], [255.0]]) - mean) / deviation
    low, high = (float(end) for end in survey(network, find_ports(network)).inside.split(".."))
    assert low == pytest.approx(ends.min(), abs=0.01)
    assert high == pytest.approx(ends.max(), abs=0.01)


def test_patches_are_traced_back_to_the_picture() -> None:
    inputs = keras.Input((8, 8, 3))
    x = L.Reshape((2, 4, 2, 12))(L.Rescaling(1 / 127.5, -1)(inputs))
    x = L.Dense(6)(L.Reshape((4, 48))(L.Permute((1, 3, 2, 4))(x)))
    network = keras.Model(inputs, L.Dense(2)(L.Flatten()(x)))
    assert survey(network, find_ports(network)).inside == "-1..1"


def test_channels_first_and_grey_pictures_are_read() -> None:
    inputs = keras.Input((3, 12, 16))
    x = L.Conv2D(4, 3, data_format="channels_first")(L.Rescaling(1 / 255)(inputs))
    network = keras.Model(inputs, L.Dense(2)(L.Flatten()(x)))
    assert survey(network, find_ports(network)).inside == "0..1"
    assert inside(L.Rescaling(1 / 255), (12, 12, 1)) == "0..1"
    assert inside(lambda x: keras.ops.repeat(x / 255.0, 3, -1), (12, 12, 1)) == "0..1"


def test_ranges_are_named_plainly() -> None:
    def read(low: float, middle: float, high: float) -> str:
        return read_scaling(np.array([[low], [middle], [high]], np.float32))

    assert read(0, 127.5, 255) == "nothing"
    assert read(0, 0.5, 1) == "0..1"
    assert read(-1, 0, 1) == "-1..1"
    assert read(1, 0.5, 0) == "0..1"
    assert read(-103.939, 23.561, 151.061) == "-103.94..151.06"
    assert read(0, 0.2, 1) == ""
    assert read(0, 1275, 2550) == ""
    assert read(float("nan"), 0, 1) == ""
