"""A file saved by Keras 3 becomes one as an older Keras wrote it."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.keras_files.file import Opened, open_network
from gradcam_cli.models.choice import file_digest

Json = dict[str, Any]

L = keras.layers
SIZE = (16, 16, 3)
UNWRAPPED = "unwrapped the single output of 1 model"


def save(network: Any, path: Path) -> Path:
    """Save a model, deaf to what NumPy has to say about TensorFlow's arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save(path)
    return path


def rewrite(path: Path, change: Callable[[Json], None], version: str = "2.4.0") -> None:
    """Change the configuration inside a model file and the version it claims."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()
        metadata = json.loads(members["metadata.json"]) | {"keras_version": version}
        members["metadata.json"] = json.dumps(metadata).encode()
        write_zip(path, members)
        return
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def layers(config: Json) -> list[Json]:
    found: list[Json] = config["config"]["layers"]
    return found


def layer(config: Json, name: str) -> Json:
    """Return the configuration of one layer of a model, by its name."""
    return next(one for one in layers(config) if one["config"]["name"] == name)


def old_nodes(config: Json, nested: tuple[str, ...] = ()) -> None:
    """Write the calls between layers as Keras 2 did, and count those of nested models from one."""
    for one in layers(config):
        one["inbound_nodes"] = [[_old_call(node, nested)] for node in one["inbound_nodes"]]
    for key in ("input_layers", "output_layers"):
        name, node, place = config["config"][key]
        config["config"][key] = [[name, node, place]]


def _old_call(node: Json, nested: tuple[str, ...]) -> list[Any]:
    (argument,) = node["args"]
    name, index, place = argument["config"]["keras_history"]
    return [name, index + (name in nested), place, {}]


def fails_in_keras(path: Path) -> str:
    """Return what Keras says of a file that it must fail to load; empty when it loads it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keras.saving.load_model(path, compile=False)
    except Exception as error:  # noqa: BLE001
        return str(error) or type(error).__name__
    return ""


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


def set_weights(network: Any) -> None:
    """Give every weight, and batch statistics too, values of its own."""
    rng = np.random.default_rng(1)
    for weight in network.weights:
        weight.assign(rng.uniform(0.1, 0.6, weight.shape))


def values(network: Any) -> list[NDArray[Any]]:
    return [np.asarray(weight.value) for weight in network.weights]


def assert_same(network: Any, original: Any, pictures: Any) -> None:
    """Two networks hold the same arrays and say the same of the same pictures."""
    ours, theirs = values(network), values(original)
    assert len(ours) == len(theirs)
    keys = [sorted((w.shape, w.tobytes()) for w in arrays) for arrays in (ours, theirs)]
    assert keys[0] == keys[1]
    said, expected = (np.asarray(one(pictures, training=False)) for one in (network, original))
    np.testing.assert_allclose(said, expected, rtol=1e-6, atol=1e-6)


def opened(path: Path, original: Any, says: str, *sentences: str) -> Opened:
    """Check that Keras fails with ``says``, and that the repaired network is the original one."""
    before = file_digest(path)
    assert says in fails_in_keras(path)
    found = open_network(path)
    assert found.repaired == sentences
    assert_same(found.network, original, noise(2, *SIZE))
    assert file_digest(path) == before
    return found


def sequential(*body: Any) -> Any:
    network = keras.Sequential([L.Input(SIZE), *body])
    set_weights(network)
    return network


def functional(*body: Any) -> Any:
    """Return a chain of layers as a functional model."""
    picture = L.Input(SIZE, name="picture")
    x = picture
    for one in body:
        x = one(x)
    network = keras.Model(picture, x)
    set_weights(network)
    return network


def head() -> tuple[Any, ...]:
    return L.GlobalAveragePooling2D(name="pool"), L.Dense(3, activation="softmax", name="dense")


def backbone(name: str = "backbone") -> Any:
    picture = L.Input(SIZE)
    x = L.Conv2D(4, 3, name="conv")(picture)
    x = L.BatchNormalization(name="norm")(x)
    return keras.Model(picture, L.ReLU(name="relu")(x), name=name)


def backbone_of(channels: int, name: str) -> Any:
    picture = L.Input((14, 14, channels))
    return keras.Model(picture, L.Conv2D(2, 3)(picture), name=name)


def groups(config: Json) -> None:
    for one in layers(config):
        if one["class_name"] == "DepthwiseConv2D":
            one["config"]["groups"] = 1


def small(*body: Any) -> Any:
    picture = L.Input(SIZE, name="picture")
    x = picture
    for one in (*body, L.Conv2D(4, 3, name="conv"), L.GlobalAveragePooling2D(name="pool")):
        x = one(x)
    network = keras.Model(picture, L.Dense(3, activation="softmax", name="dense")(x))
    set_weights(network)
    return network
