from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.network.anatomy import dissect, find_map
from gradcam_cli.network.ports import single_input
from gradcam_cli.network.precision import in_bfloat16, trunk
from gradcam_cli.network.tap import trace


def test_layers_compute_in_bfloat16_only_inside() -> None:
    layer = keras.layers.Conv2D(2, 3)
    layer.build((None, 8, 8, 3))
    x = np.ones((1, 8, 8, 3), np.float32)
    weights = [w.copy() for w in layer.get_weights()]
    config = layer.get_config()
    exact = layer(x)
    with in_bfloat16([layer]):
        assert layer(x).dtype == "bfloat16"
        assert layer.kernel.dtype == "float32"
    assert layer.get_config() == config
    for before, after in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(layer(x), exact)


def test_only_large_products_behind_the_first_one_are_lowered() -> None:
    L = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(4, 3, name="first")(L.Rescaling(1 / 255)(inputs))
    x = L.BatchNormalization()(x)
    x = L.Conv2D(4, 3, name="second")(x)
    x = L.MaxPooling2D(name="pool")(x)
    x = L.DepthwiseConv2D(3, padding="same")(x)
    x = L.Add()([x, L.Conv2D(4, 1, name="third")(x)])
    x = L.Conv2D(4, 1, name="behind")(L.ReLU(name="looked_at")(x))
    network = keras.Model(inputs, L.Dense(2, activation="softmax")(L.Flatten()(x)))
    names: list[str] = []

    def traced(pixels: Any) -> Any:
        anatomy = dissect(network, single_input((16, 16)), pixels, binary=False)
        chosen = find_map(anatomy, "looked_at")
        names.extend(layer.name for layer in trunk(anatomy, chosen))
        return anatomy.head.output

    trace(traced, tf.TensorSpec((1, 16, 16, 3)))
    assert names == ["second", "pool", "third"]


def test_policies_come_back_after_an_error() -> None:
    layer = keras.layers.Dense(2)
    with pytest.raises(KeyError), in_bfloat16([layer]):
        raise KeyError
    assert layer.compute_dtype == "float32"
