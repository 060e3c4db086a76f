from __future__ import annotations

import keras
import numpy as np

from gradcam_cli.keras_files.blank import blank_weights


def test_nothing_is_drawn_inside_and_everything_again_outside() -> None:
    kinds = ("glorot_uniform", "he_normal", "random_normal", "truncated_normal", "orthogonal")
    with blank_weights():
        for kind in kinds:
            assert not np.any(keras.initializers.get(kind)((4, 4)))
        layer = keras.layers.Dense(3, bias_initializer="ones")
        layer.build((None, 2))
        kernel, bias = layer.get_weights()
        assert not kernel.any()
        assert bias.tolist() == [1, 1, 1]
    for kind in kinds:
        assert np.any(keras.initializers.get(kind)((4, 4)))
