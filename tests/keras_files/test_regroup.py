from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.file import open_network
from tests.keras_files.rewriting import (
    SIZE,
    UNWRAPPED,
    Json,
    assert_same,
    backbone,
    functional,
    head,
    layer,
    layers,
    noise,
    old_nodes,
    opened,
    rewrite,
    save,
    sequential,
    set_weights,
    values,
    write_zip,
)

L = keras.layers


def old_groups(path: Path, names: dict[str, str], separator: str = "/") -> None:
    """Rename the groups of layers in a ``.keras`` file; ``names`` maps new ones to old ones."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = path.with_name("weights.h5")
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        for new, old in names.items():
            target = old.replace("/", separator)
            if separator == "/":
                file.require_group(target.rpartition("/")[0])
            file.move(f"layers/{new}", target)
        del file["layers"]
    write_zip(path, members | {"model.weights.h5": weights.read_bytes()})


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_weights_of_keras_2_13(tmp_path: Path, separator: str) -> None:
    network = sequential(L.Conv2D(4, 3), L.Conv2D(4, 3), L.Conv2D(4, 3), *head())
    path = save(network, tmp_path / "m.keras")
    old = "_layer_checkpoint_dependencies/"
    names = {
        "conv2d": f"{old}conv2d",
        "conv2d_1": f"{old}conv2d_2",
        "conv2d_2": f"{old}conv2d_4",
        "dense": f"{old}dense",
    }
    rewrite(path, lambda _: None, "2.13.1")
    old_groups(path, names, separator)
    opened(path, network, "could not", "matched the weights of 2 layers by their order")


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_weights_of_keras_2_13_in_nested_models(tmp_path: Path, separator: str) -> None:
    network = functional(backbone("first"), L.Conv2D(2, 3, name="conv"), *head())
    path = save(network, tmp_path / "m.keras")
    rewrite(path, lambda config: old_nodes(config, nested=("first",)), "2.13.1")
    old = "_layer_checkpoint_dependencies/"
    names = {
        "functional/layers/conv2d": f"{old}functional/{old}conv2d",
        "functional/layers/batch_normalization": f"{old}functional/{old}batch_normalization",
        "conv2d": f"{old}conv2d",
        "dense": f"{old}dense",
    }
    old_groups(path, names, separator)
    opened(path, network, "nodes", UNWRAPPED, "counted the calls of 1 nested model anew")


def test_weights_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    """Keras 3 sorts layers by depth, then as it meets them; Keras 2 wrote what it wrote."""
    picture = L.Input(SIZE, name="picture")
    left = L.Conv2D(4, 3, padding="same", name="left")(picture)
    right = L.Conv2D(4, 3, padding="same", name="right")(picture)
    network = keras.Model(picture, L.Flatten(name="flat")(L.Subtract(name="sub")([left, right])))
    set_weights(network)
    path = save(network, tmp_path / "m.keras")

    def swap(config: Json) -> None:
        found = layers(config)
        places = [found.index(layer(config, name)) for name in ("left", "right")]
        found[places[0]], found[places[1]] = found[places[1]], found[places[0]]

    rewrite(path, swap, "2.15.0")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = tmp_path / "weights.h5"
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file.move("layers/conv2d", "layers/other")
        file.move("layers/conv2d_1", "layers/conv2d")
        file.move("layers/other", "layers/conv2d_1")
    write_zip(path, members | {"model.weights.h5": weights.read_bytes()})
    found = open_network(path)
    for name in ("left", "right"):
        mine, theirs = (one.get_layer(name) for one in (found.network, network))
        for ours, expected in zip(values(mine), values(theirs), strict=True):
            np.testing.assert_array_equal(ours, expected)
    assert_same(found.network, network, noise(2, *SIZE))


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_weights_counted_singly(tmp_path: Path, separator: str) -> None:
    network = sequential(L.Conv2D(4, 3), L.Conv2D(4, 3), L.Conv2D(4, 3), *head())
    path = save(network, tmp_path / "m.keras")
    old = "_layer_checkpoint_dependencies/"
    names = {name: f"{old}{name}" for name in ("conv2d", "conv2d_1", "conv2d_2", "dense")}
    rewrite(path, lambda _: None, "2.13.1")
    old_groups(path, names, separator)
    opened(path, network, "")


def test_groups_that_do_not_fit_the_layers(tmp_path: Path) -> None:
    network = sequential(L.Conv2D(4, 3), L.Conv2D(5, 3), *head())
    old = "_layer_checkpoint_dependencies/"
    one = save(network, tmp_path / "one.keras")
    rewrite(one, lambda _: None, "2.13.1")
    old_groups(one, {"conv2d": f"{old}conv2d", "dense": f"{old}dense"})
    with pytest.raises(ModelError, match=r"weights for 1 Conv2D layers.* has 2"):
        open_network(one)
    swapped = save(network, tmp_path / "swapped.keras")
    rewrite(swapped, lambda _: None, "2.13.1")
    names = {"conv2d": "conv2d_1", "conv2d_1": "conv2d", "dense": "dense"}
    old_groups(swapped, {new: f"{old}{name}" for new, name in names.items()})
    with pytest.raises(ModelError, match="'conv2d' of the file do not fit layer 'conv2d'"):
        open_network(swapped)
