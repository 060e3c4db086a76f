from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gradcam_cli.models.load import load
from gradcam_cli.models.preprocessor import own_preprocessor
from gradcam_cli.spec.model import ModelSpec

HUB = """
    import keras

    class Converter:
        image_size, scale, offset = (20, 24), [1 / 50, 1 / 100, 1 / 200], -0.25
        crop_to_aspect_ratio, pad_to_aspect_ratio = True, False

    class Preprocessor:
        image_converter = Converter()

    @keras.saving.register_keras_serializable("hub")
    class Classifier(keras.Model):
        @property
        def preprocessor(self):
            return Preprocessor()
"""


def test_a_model_brings_its_own_preprocessor(tmp_path: Path) -> None:
    """KerasHub's classifiers are functional models with a preprocessor beside."""
    library = tmp_path / "hub_of_tests.py"
    library.write_text(textwrap.dedent(HUB))
    mine = tmp_path / "mine.py"
    mine.write_text("import hub_of_tests\n")
    scope: dict[str, Any] = {"__name__": "hub_of_tests"}
    exec(textwrap.dedent(HUB), scope)
    picture = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(picture))
    network = scope["Classifier"](picture, keras.layers.Dense(2, activation="softmax")(x))
    path = tmp_path / "m.keras"
    network.save(path)
    found = load(ModelSpec(str(path), custom_objects=mine))
    assert found.ports.size == (20, 24)
    pixels = np.array([[[[0.0, 100, 255]]]])
    expected = pixels * [1 / 50, 1 / 100, 1 / 200] - 0.25
    np.testing.assert_allclose(found.scaling.apply(pixels), expected, rtol=1e-6)
    assert "the model's own preprocessor resizes as --resize crop does" in found.notes
    told = load(ModelSpec(str(path), custom_objects=mine, preprocess="unit", input_size=(9, 9)))
    assert (told.scaling.name, told.ports.size) == ("unit", (9, 9))


def test_other_models_have_none() -> None:
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    assert own_preprocessor(network) is None
