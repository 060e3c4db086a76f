"""Whatever is changed in a configuration, a network comes out, or a sentence."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.file import open_network
from tests.keras_files.mutating import mutated
from tests.keras_files.rewriting import save, write_zip

L = keras.layers
COUNT = 30
SIZE = (16, 16, 3)


def functional() -> keras.Model:
    picture = keras.Input(SIZE)
    grid = L.Conv2D(4, 3, activation="relu")(L.Rescaling(1 / 255)(picture))
    both = L.Add()([grid, L.BatchNormalization()(grid)])
    return keras.Model(picture, L.Dense(3, activation="softmax")(L.GlobalMaxPooling2D()(both)))


def sequential() -> keras.Model:
    grid = [L.Conv2D(4, 3), L.MaxPooling2D(), L.Dropout(0.1)]
    return keras.Sequential([keras.Input(SIZE), *grid, L.Flatten(), L.Dense(3)])


def nested() -> keras.Model:
    base = keras.Sequential([keras.Input(SIZE), L.DepthwiseConv2D(3), L.PReLU(shared_axes=[1, 2])])
    picture = keras.Input(SIZE)
    return keras.Model(picture, L.Dense(2)(L.GlobalMaxPooling2D()(base(picture) * 2 + 1)))


def as_keras_2(value: Any) -> Any:
    if isinstance(value, dict):
        new = ("module", "registered_name", "build_config")
        return {key: as_keras_2(one) for key, one in value.items() if key not in new}
    return [as_keras_2(one) for one in value] if isinstance(value, list) else value


def changed(path: Path, chance: random.Random, version: str) -> None:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = mutated(json.loads(members["config.json"]), chance)
        write_zip(path, members | {"config.json": json.dumps(config).encode()})
        return
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config = mutated(as_keras_2(config) if version else config, chance)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version or "3.10.0"


@pytest.mark.parametrize(
    ("make", "name", "version"),
    [
        (functional, "a.keras", ""),
        (sequential, "a.keras", ""),
        (nested, "a.keras", ""),
        (functional, "a.h5", ""),
        (functional, "a.h5", "2.4.0"),
        (sequential, "a.h5", "1.2.2"),
        (nested, "a.h5", "2.2.4"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_network_or_a_sentence(tmp_path: Path, make: Any, name: str, version: str) -> None:
    whole = save(make(), tmp_path / name).read_bytes()
    chance, path = random.Random(name + version), tmp_path / name
    sentences: list[tuple[str, str]] = []
    for _ in range(COUNT):
        path.write_bytes(whole)
        changed(path, chance, version)
        try:
            network = open_network(path).network
        except ModelError as error:
            sentences.append((error.message, error.hint))
        else:
            assert isinstance(network, keras.Model)
    assert 0 < len(sentences) < COUNT
    assert all(hint and 0 < len(message) < 1000 for message, hint in sentences)
