from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.blank import blank_weights
from gradcam_cli.models.catalog import EMBEDDED, Entry, find, names
from gradcam_cli.models.scaling import SCALINGS

APPLICATIONS = [find(name) for name in names() if name != EMBEDDED]
CHEAP = (
    "vgg16",
    "vgg19",
    "resnet50",
    "resnet50v2",
    "densenet121",
    "inceptionv3",
    "inceptionresnetv2",
    "xception",
    "mobilenet",
    "mobilenetv2",
    "mobilenetv3small",
    "nasnetmobile",
    "efficientnetb0",
    "efficientnetv2b0",
    "convnexttiny",
)
"""One network of every family."""
LONG = ("densenet121", "inceptionresnetv2", "nasnetmobile")
"""What takes seconds to build; other families are built in the same way."""


def constructor(entry: Entry) -> Any:
    return getattr(keras.applications, entry.constructor)


def module(entry: Entry) -> ModuleType:
    return sys.modules[constructor(entry).__module__]


def last_pooling(network: Any) -> Any:
    return [op for op in network.operations if "Pooling2D" in type(op).__name__][-1]


def by_name(entry: Entry) -> str:
    return entry.name


def test_the_table_names_just_the_constructors_of_keras() -> None:
    exported = {
        name
        for name, value in vars(keras.applications).items()
        if callable(value) and name[0].isupper()
    }
    assert {entry.constructor for entry in APPLICATIONS} == exported
    assert [entry.name for entry in APPLICATIONS] == [
        entry.constructor.lower() for entry in APPLICATIONS
    ]


def test_names_are_unique_and_the_embedded_model_comes_first() -> None:
    assert len(set(names())) == len(names()) == len(APPLICATIONS) + 1
    assert names()[0] == EMBEDDED == "efficientnet-lite0"


def test_every_family_has_a_network_that_is_built_below() -> None:
    built = {module(find(name)).__name__ for name in CHEAP}
    assert built == {module(entry).__name__ for entry in APPLICATIONS}


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")  # MobileNetV3 says so of 224
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in LONG else ()) for name in CHEAP],
)
def test_a_row_is_what_keras_builds_and_downloads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = find(name)
    asked: list[tuple[str, str, str, str]] = []

    def note_request(
        fname: str, origin: str, cache_subdir: str, file_hash: str | None = None
    ) -> str:
        asked.append((cache_subdir, fname, origin, file_hash or ""))
        return fname

    def load_nothing(_network: Any, _path: str) -> None:
        return

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", note_request)
    monkeypatch.setattr(keras.Model, "load_weights", load_nothing)
    keras.utils.clear_session()  # numbers names from the start again, as in a fresh process
    with blank_weights():
        network = constructor(entry)(weights="imagenet")

    assert asked == [("models", entry.weights_file, entry.weights_url, entry.weights_hash)]
    assert network.count_params() == entry.parameters
    any_size = name == "mobilenetv3small"  # Keras leaves its size open, and trained it on 224 x 224
    assert network.input_shape == (None, *((None, None) if any_size else entry.input_size), 3)
    assert entry.input_size == (224, 224) or not any_size
    assert network.output_shape == (None, 1000)
    (default,) = [op for op in network.operations if op.name == entry.layer]
    assert default.output is last_pooling(network).input
    assert len(default.output.shape) == 4
    assert any_size or min(default.output.shape[1:3]) > 1


def test_a_numbered_layer_is_told_from_a_named_one() -> None:
    numbered = {entry.name for entry in APPLICATIONS if entry.layer_is_numbered}
    assert numbered == {
        name for name in names() if re.match(r"convnext|nasnet|mobilenetv3", name) is not None
    }


def test_a_numbered_layer_has_another_name_in_a_second_network() -> None:
    entry = find("mobilenetv3small")
    keras.utils.clear_session()
    with blank_weights():
        networks = [constructor(entry)(weights=None) for _ in range(2)]
    inputs = [last_pooling(network).input for network in networks]
    first, second = (tensor._keras_history.operation.name for tensor in inputs)
    assert first == entry.layer
    assert second != first
    assert dataclasses.replace(entry, layer=second).layer_is_numbered


@pytest.mark.parametrize("entry", APPLICATIONS, ids=by_name)
def test_scaling_is_the_preprocessing_of_keras(entry: Entry) -> None:
    pixels = np.random.default_rng(5).uniform(0, 255, (2, 4, 6, 3)).astype(np.float32)
    expected = module(entry).preprocess_input(pixels.copy())
    row = "none" if entry.preprocess == "inside" else entry.preprocess
    np.testing.assert_allclose(SCALINGS[row].apply(pixels), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("entry", APPLICATIONS, ids=by_name)
def test_weights_are_those_that_keras_publishes(entry: Entry) -> None:
    name = module(entry).__name__.replace(".resnet_v2", ".resnet")  # one module holds both's facts
    facts = vars(sys.modules[name])
    addresses = [text for text in facts.values() if isinstance(text, str) and text[:4] == "http"]
    assert any(entry.weights_url.startswith(address) for address in addresses)
    if entry.name in ("mobilenet", "mobilenetv2"):
        assert (entry.weights_hash, "file_hash" in source_of(name)) == ("", False)
        return
    assert f'"{entry.weights_hash}"' in source_of(name)
    hashes = {letters(key): both[0] for key, both in facts.get("WEIGHTS_HASHES", {}).items()}
    if hashes:
        assert entry.weights_hash == hashes[letters(key_of(entry.weights_file))]


def source_of(name: str) -> str:
    return Path(str(sys.modules[name].__file__)).read_text(encoding="utf-8")


def key_of(file: str) -> str:
    """Return the part of a weights file's name that Keras looks the hash up by."""
    return re.sub(
        r"^(weights_mobilenet_v3_|efficientnet(v2)?)|(_weights_tf_dim_.*)?\.h5$", "", file
    )


def letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def test_hashes_and_files_are_unique() -> None:
    hashes = [entry.weights_hash for entry in APPLICATIONS if entry.weights_hash]
    assert len(set(hashes)) == len(hashes) == len(APPLICATIONS) - 2
    assert {len(digits) for digits in hashes} == {32, 64}
    assert len({entry.weights_file for entry in APPLICATIONS}) == len(APPLICATIONS)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("vgg16", "vgg16"),
        ("VGG-16", "vgg16"),
        ("ResNet_50 V2", "resnet50v2"),
        ("EfficientNetV2-B0", "efficientnetv2b0"),
        ("efficientnet_lite0", "efficientnet-lite0"),
        ("EfficientNetLite0", "efficientnet-lite0"),
        ("mobilenet_v3-large", "mobilenetv3large"),
    ],
)
def test_spelling_is_forgiven(typed: str, name: str) -> None:
    assert find(typed).name == name


def test_every_name_finds_its_own_row() -> None:
    for name in names():
        assert find(name).name == name
        assert find(name.upper()) is find(name)


def test_an_unknown_name_brings_the_nearest_ones() -> None:
    with pytest.raises(ModelError, match="there is no model called 'vgg61'") as error:
        find("vgg61")
    assert "vgg16" in error.value.hint


def test_a_name_like_no_other_brings_the_command_that_lists_them() -> None:
    for typed in ("", "?", "0000"):
        with pytest.raises(ModelError) as error:
            find(typed)
        assert "`gradcam models` lists the names" in error.value.hint


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        find("vgg16").parameters = 0  # type: ignore[misc]


def test_the_table_and_the_cache_are_known_without_tensorflow() -> None:
    code = (
        "import sys\n"
        "from gradcam_cli.models import catalog, weights\n"
        "print([weights.cached_file(catalog.find(name)) is None for name in catalog.names()][:1])\n"
        "print([name for name in ('tensorflow', 'keras', 'h5py', 'cv2') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["[False]", "[]"]
