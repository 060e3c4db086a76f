from __future__ import annotations

import keras
import numpy as np
import pytest

from gradcam_cli.network.precision import in_bfloat16


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


def test_policies_come_back_after_an_error() -> None:
    layer = keras.layers.Dense(2)
    with pytest.raises(KeyError), in_bfloat16([layer]):
        raise KeyError
    assert layer.compute_dtype == "float32"
