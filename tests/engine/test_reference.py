"""What an output is compared with: the network's own, as long as it is."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from gradcam_cli.engine.reference import reference
from gradcam_cli.errors import GradcamError
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.run import RunSpec
from tests.explaining.networks import SIZE, model_of


def test_a_single_number_has_no_direction_whatever_its_labels(tmp_path: Path) -> None:
    """Two labels make two logits of one unit, but not two numbers of the output."""
    pixels = keras.Input((*SIZE, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, activation="relu")(pixels))
    single = keras.Model(pixels, keras.layers.Dense(1)(x))
    model = model_of(single, ("no", "yes"))
    for length, message in ((1, "a single number"), (2, "the network's output has 1")):
        np.save(tmp_path / "vector.npy", np.ones(length, np.float32))
        asked = RunSpec(explain=ExplainSpec(target=tmp_path / "vector.npy"))
        with pytest.raises(GradcamError) as caught:
            reference(model, asked)
        assert message in caught.value.message
