from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.models.choice import fingerprint, is_preset
from gradcam_cli.models.load import load
from gradcam_cli.spec.model import ModelSpec

# What the program calls of the package, over a folder with a .keras file in it.
LIBRARY = {
    "__init__.py": """
        import keras
        from types import SimpleNamespace as N

        __version__ = "0"

        class Classifier(keras.Model):
            presets = {"tiny_net_imagenet": {}}
            preprocessor = N(image_converter=N(image_size=(8, 9), scale=0.5, offset=-1.0,
                crop_to_aspect_ratio=False, pad_to_aspect_ratio=False))

            @classmethod
            def from_preset(cls, preset):
                inner = keras.saving.load_model(f"{preset}/inner.keras")
                return cls(inner.inputs[0], inner.outputs[0])

        models = N(ImageClassifier=Classifier)

        from keras_hub.src.models import x
    """,
    "src/models/__init__.py": "",
    "src/models/x.py": """
        import keras

        @keras.saving.register_keras_serializable("x")
        class X(keras.Model):
            pass

        @keras.saving.register_keras_serializable("x")
        class WordTokenizer(keras.Layer):
            pass

        @keras.saving.register_keras_serializable("x")
        def download(address):
            pass
    """,
    "src/__init__.py": "",
    "src/utils/__init__.py": "",
    "src/utils/preset_utils.py": """
        import json, os

        def check_file_exists(preset, name):
            if not os.path.isdir(preset):
                raise OSError("no route to host")
            return os.path.exists(f"{preset}/{name}")

        def load_json(preset, name):
            return json.load(open(f"{preset}/{name}"))

        def get_file(preset, name):
            return f"{preset}/{name}"
    """,
}


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    folder = tmp_path / "preset"
    folder.mkdir()
    node = {"module": "keras_hub.src.models.x", "class_name": "X", "registered_name": "x>X"}
    for name in ("config.json", "task.json"):
        (folder / name).write_text(json.dumps({**node, "config": {}}))
    picture = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(picture))
    keras.Model(picture, keras.layers.Dense(3, activation="softmax")(x)).save(
        folder / "inner.keras"
    )
    with h5py.File(folder / "task.weights.h5", "w") as file:
        file["vars/0"] = [1.0]
    return folder


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in LIBRARY.items():
        path = tmp_path / "site" / "keras_hub" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    for name in [one for one in sys.modules if one.split(".")[0] == "keras_hub"]:
        del sys.modules[name]
    for name in [one for one in keras.saving.get_custom_objects() if one.startswith("x>")]:
        del keras.saving.get_custom_objects()[name]


@pytest.mark.usefixtures("library")
def test_a_preset_folder_brings_network_size_and_scaling(preset: Path) -> None:
    found = load(ModelSpec(str(preset)))
    pixels = np.full((1, 8, 9, 3), 100, np.float32)
    inner = keras.saving.load_model(preset / "inner.keras")
    np.testing.assert_allclose(found.network(pixels), inner(pixels), rtol=1e-6)
    assert (found.ports.size, found.classes) == ((8, 9), 3)
    np.testing.assert_allclose(found.scaling.apply(pixels), pixels * 0.5 - 1)
    before = fingerprint(ModelSpec(str(preset)))["weights"]
    assert found.weights == before
    (preset / "task.weights.h5").write_bytes(b"other")
    assert fingerprint(ModelSpec(str(preset)))["weights"] != before


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("module", "name", "registered"),
    [
        ("evil_module", "Y", "x>Y"),
        ("keras_hub.src.utils.preset_utils", "Y", None),
        ("keras_hub.src.models.x", "Y", None),
        ("keras_hub.src.models.x", "WordTokenizer", "x>WordTokenizer"),
        ("keras_hub.src.models.x", "download", "x>download"),
    ],
)
def test_a_preset_names_no_other_classes(
    preset: Path, module: str, name: str, registered: str | None
) -> None:
    node: dict[str, object] = {
        "module": module,
        "class_name": name,
        "registered_name": registered,
        "config": {},
    }
    (preset / "task.json").write_text(json.dumps(node))
    with pytest.raises(ModelError, match=rf"task\.json of .*class '{name}'"):
        load(ModelSpec(str(preset)))


@pytest.mark.usefixtures("library")
def test_weights_of_a_preset_lead_nowhere_else(preset: Path) -> None:
    shards = preset / "model.weights.json"
    shards.write_text(json.dumps({"weight_map": {"/vars": ["part.h5"]}}))
    with h5py.File(preset / "part.h5", "w") as file:
        file["vars"] = h5py.ExternalLink("elsewhere.h5", "/vars")
    with pytest.raises(ModelError, match=r"part\.h5: /vars is a link into another file, elsewh"):
        load(ModelSpec(str(preset)))
    shards.write_text(json.dumps({"weight_map": {"/vars": "../part.h5"}}))
    with pytest.raises(ModelError, match=r"names weights in another folder, '\.\./part\.h5'"):
        load(ModelSpec(str(preset)))
    shards.unlink()
    (preset / "task.weights.h5").write_bytes(b"")
    with pytest.raises(ModelError, match=r"weights of the preset .* cannot be read"):
        load(ModelSpec(str(preset)))


@pytest.mark.usefixtures("library")
def test_a_preset_never_names_what_reads_files(preset: Path) -> None:
    node: dict[str, object] = {
        "module": "keras.saving",
        "class_name": "KerasFileEditor",
        "config": {"filepath": "x"},
    }
    (preset / "task.json").write_text(json.dumps(node))
    for unsafe in (False, True):
        with pytest.raises(ModelError, match=r"task\.json .* names what no classifier is made of"):
            load(ModelSpec(str(preset), unsafe_load=unsafe))


@pytest.mark.usefixtures("library")
def test_what_cannot_be_had_is_named(preset: Path) -> None:
    with pytest.raises(ModelError, match=r"no image classifier .* 'tiny_net_imagenett'") as caught:
        load(ModelSpec("tiny_net_imagenett"))
    assert "did you mean tiny_net_imagenet?" in caught.value.hint
    for name in ("tiny_net_imagenet", "hf://me/mine"):
        with pytest.raises(ModelError, match=f"{name} cannot be downloaded: no route to host"):
            load(ModelSpec(name))
    (preset / "task.weights.h5").unlink()
    with pytest.raises(ModelError, match="a backbone without a trained head"):
        load(ModelSpec(str(preset)))


def test_without_the_package_it_is_named(preset: Path) -> None:
    for model in (str(preset), "hf://me/mine", "keras/resnet/keras/resnet_50"):
        assert is_preset(model)
        with pytest.raises(ModelError, match="preset of KerasHub, which is not inst") as caught:
            load(ModelSpec(model))
        assert caught.value.hint == "pip install keras-hub"
    assert not is_preset("resnet_50_imagenet")
