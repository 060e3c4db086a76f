from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications.densenet import DenseNet
from keras.src.legacy.saving import legacy_h5_format
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.assign import assign_weights
from gradcam_cli.keras_files.blank import blank_weights

Edit = Callable[[h5py.File], None]

pytestmark = [  # what Keras says while it saves
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]


def build(classes: int = 4, frozen: bool = False) -> Any:
    """Build a network whose block holds its weights in another order than a file does."""
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Normalization(name="norm")(inputs)
    x = keras.layers.Conv2D(4, 3, name="conv")(x)
    batch = keras.layers.BatchNormalization(name="batch")
    batch.trainable = not frozen
    x = keras.layers.ReLU(name="relu")(batch(x))
    x = keras.layers.SeparableConv2D(5, 3, use_bias=False, name="separable")(x)
    inner = keras.layers.BatchNormalization(scale=False)
    x = keras.Sequential([inner, keras.layers.Conv2D(5, 1)], name="block")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(classes, activation="softmax", name="classes")(x)
    return keras.Model(inputs, x)


def randomise(network: Any, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        values = [
            np.asarray(rng.uniform(0.5, 1.5, weight.shape)).astype(weight.dtype)
            for weight in layer.weights
        ]
        if values:
            layer.set_weights(values)
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return network


def pictures() -> NDArray[np.float32]:
    return np.random.default_rng(3).uniform(-1, 1, (3, 12, 12, 3)).astype(np.float32)


def save_old(network: Any, path: Path) -> Path:
    """Write the layout that all application weights have."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return path


def rewrite(path: Path, **layout: Any) -> None:
    """Store every dataset in another way."""
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visititems(
            lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
        )
        for name in found:
            values = file[name][()]
            del file[name]
            packed = layout if values.shape else {}
            file.create_dataset(name, data=values, **packed)


def same(network: Any, other: Any) -> None:
    assert len(network.weights) == len(other.weights)
    for mine, theirs in zip(network.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)
    np.testing.assert_array_equal(network(pictures()).numpy(), other(pictures()).numpy())


def refused(network: Any, path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        assign_weights(network, path, "mine")
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("frozen", [False, True])
def test_application_weights_arrive_as_with_keras(tmp_path: Path, frozen: bool) -> None:
    source = randomise(build(frozen=frozen))
    path = save_old(source, tmp_path / "weights.h5")
    with blank_weights():
        network, by_keras = build(frozen=frozen), build(frozen=frozen)
    assert not network.get_layer("conv").kernel.numpy().any()
    assign_weights(network, path, "mine")
    by_keras.load_weights(path)
    same(network, source)
    same(by_keras, source)


def test_batch_normalisation_is_stored_trained_weights_first(tmp_path: Path) -> None:
    path = save_old(randomise(build()), tmp_path / "weights.h5")
    with h5py.File(path, "r") as file:
        names = [str(name).rpartition("/")[2] for name in file["batch"].attrs["weight_names"]]
        stored = {name: file["batch"][f"batch/{name}"][()] for name in names}
    assert names == ["gamma", "beta", "moving_mean", "moving_variance"]
    network = build()
    assign_weights(network, path, "mine")
    for name, value in stored.items():
        np.testing.assert_array_equal(getattr(network.get_layer("batch"), name).numpy(), value)


def test_a_densenet_arrives_to_the_last_bit_as_with_keras(tmp_path: Path) -> None:
    def small() -> Any:
        with blank_weights():
            return DenseNet([2, 2, 2, 2], weights=None, input_shape=(32, 32, 3), classes=5)

    source, network, by_keras = randomise(small()), small(), small()
    path = save_old(source, tmp_path / "weights.h5")
    assign_weights(network, path, "densenet")
    by_keras.load_weights(path)
    assert sum("moving" in weight.path for weight in network.weights) > 20
    for mine, theirs, keras_s in zip(
        network.weights, source.weights, by_keras.weights, strict=True
    ):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)
        np.testing.assert_array_equal(mine.numpy(), keras_s.numpy(), err_msg=mine.path)


def test_scaling_inside_a_network_follows_its_weights(tmp_path: Path) -> None:
    """EfficientNet keeps ImageNet's mean and variance in a Normalization layer."""
    source = build()
    norm = source.get_layer("norm")
    norm.set_weights([np.array([120.0, 110, 100]), np.array([58.0**2] * 3), np.array(9)])
    path = save_old(source, tmp_path / "weights.h5")
    network = build()
    assign_weights(network, path, "mine")
    scaled = network.get_layer("norm")(np.array([[[[178.0, 110, 42]]]], np.float32))
    np.testing.assert_allclose(scaled.numpy().reshape(-1), [1, 0, -1], rtol=1e-6)


@pytest.mark.parametrize(
    ("layout", "loss"),
    [
        ({"chunks": True}, 0),
        ({"chunks": True, "compression": "gzip", "shuffle": True}, 0),
        ({"dtype": ">f4"}, 0),
        ({"dtype": "<f8"}, 0),
        ({"dtype": "<f2"}, 2**-11),
    ],
    ids=["chunks", "gzip", "big-endian", "float64", "float16"],
)
def test_datasets_may_be_stored_in_any_way(
    tmp_path: Path, layout: dict[str, Any], loss: float
) -> None:
    source = randomise(build())
    path = save_old(source, tmp_path / "weights.h5")
    rewrite(path, **layout)
    network = build()
    assign_weights(network, path, "mine")
    for mine, theirs in zip(network.weights, source.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=loss, atol=0)
        assert mine.dtype == theirs.dtype


def test_a_file_may_begin_with_bytes_of_somebody_else(tmp_path: Path) -> None:
    source, path = randomise(build()), tmp_path / "weights.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, source)
    network = build()
    assign_weights(network, path, "mine")
    same(network, source)


def test_an_array_of_many_blocks(tmp_path: Path) -> None:
    network, other = (
        keras.Sequential([keras.Input((3000,)), keras.layers.Dense(3001)]) for _ in range(2)
    )
    assign_weights(other, save_old(network, tmp_path / "large.h5"), "large")  # 36 MB
    for stored, arrived in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(stored, arrived)


def test_long_lists_of_names_come_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy_h5_format, "HDF5_OBJECT_HEADER_LIMIT", 80)
    source = randomise(build())
    path = save_old(source, tmp_path / "weights.h5")
    with h5py.File(path, "r") as file:
        assert "layer_names" not in file.attrs
        assert "layer_names1" in file.attrs
        assert "weight_names1" in file["batch"].attrs
    network = build()
    assign_weights(network, path, "mine")
    same(network, source)


@pytest.mark.parametrize("name", ["whole.h5", "whole.keras", "mine.weights.h5"])
@pytest.mark.parametrize("renamed", [None, "of-any-name.bin", "misleading.h5"])
def test_whole_models_and_newer_layouts(tmp_path: Path, name: str, renamed: str | None) -> None:
    source, path = randomise(build()), tmp_path / name
    if name.endswith(".weights.h5"):
        source.save_weights(path)
    else:
        source.save(path)
    if renamed:
        path = path.rename(tmp_path / renamed)
    network = build()
    assign_weights(network, path, "mine")
    same(network, source)


def test_every_variable_is_on_its_own_and_can_be_assigned_again(tmp_path: Path) -> None:
    source = randomise(build())
    path = save_old(source, tmp_path / "weights.h5")
    network = build()
    assign_weights(network, path, "mine")
    before = [weight.numpy() for weight in network.weights]
    for place, weight in enumerate(network.weights):
        weight.assign(weight.numpy() * 0 + 3)
        after = [other.numpy() for other in network.weights]
        assert (after[place] == 3).all()
        for other in range(place + 1, len(before)):
            np.testing.assert_array_equal(after[other], before[other])
    assign_weights(network, path, "mine")
    same(network, source)


def wrong_shape(file: h5py.File) -> None:
    del file["classes/classes/kernel"]
    file["classes/classes/kernel"] = np.zeros((5, 7), np.float32)


def no_layer(file: h5py.File) -> None:
    file.attrs["layer_names"] = [n for n in file.attrs["layer_names"] if n != "batch"]


def no_array(file: h5py.File) -> None:
    file["conv"].attrs["weight_names"] = file["conv"].attrs["weight_names"][:1]


def no_dataset(file: h5py.File) -> None:
    del file["conv/conv/bias"]


def no_group(file: h5py.File) -> None:
    del file["conv"]


def text_instead(file: h5py.File) -> None:
    del file["conv/conv/bias"]
    file["conv/conv/bias"] = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (wrong_shape, "classes/kernel is (5, 4), the file has (5, 7)"),
        (no_layer, "5 layers with weights, 6 are needed"),
        (no_array, "layer conv needs 2 arrays"),
        (no_dataset, "bias"),
        (no_group, "conv"),
        (text_instead, ""),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, edit: Edit, says: str) -> None:
    path = save_old(randomise(build()), tmp_path / "weights.h5")
    with h5py.File(path, "r+") as file:
        edit(file)
    error = refused(build(), path)
    assert error.message.startswith(f"the weights in {path} do not fit mine: ")
    assert says in error.message


@pytest.mark.parametrize("name", ["other.h5", "other.keras", "other.weights.h5"])
def test_the_weights_of_another_head_are_refused(tmp_path: Path, name: str) -> None:
    source, path = build(classes=7), tmp_path / name
    (source.save_weights if name.endswith(".weights.h5") else source.save)(path)
    message = refused(build(), path).message
    assert "do not fit mine" in message
    assert "classes" in message.rpartition("mine: ")[2]


@pytest.mark.parametrize(
    "content", [b"", b"<html>Not found</html>", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04" + bytes(60)]
)
def test_what_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    assert "cannot be read" in refused(build(), path).message


def test_archives_and_files_of_something_else_are_refused(tmp_path: Path) -> None:
    archive, hdf5 = tmp_path / "photos.zip", tmp_path / "data.h5"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "a")
    with h5py.File(hdf5, "w") as data:
        data["x"] = [1.0, 2.0]
    refused(build(), archive)
    refused(build(), hdf5)


@pytest.mark.parametrize("kind", ["weights.h5", "new.weights.h5", "whole.keras"])
def test_damage_anywhere_is_an_error_or_only_other_numbers(tmp_path: Path, kind: str) -> None:
    source, whole = randomise(build()), tmp_path / kind
    if kind == "weights.h5":
        save_old(source, whole)
    elif kind == "whole.keras":
        source.save(whole)
    else:
        source.save_weights(whole)
    content, rng, network = whole.read_bytes(), random.Random(4), build()
    damaged = tmp_path / f"damaged-{kind}"
    for length in sorted(rng.sample(range(len(content)), 12)):
        damaged.write_bytes(content[:length])
        refused(network, damaged)
    errors = 0
    for _ in range(30):
        flipped = bytearray(content)
        for place in rng.sample(range(len(content)), 12):
            flipped[place] ^= 1 << rng.randrange(8)
        damaged.write_bytes(flipped)
        try:
            assign_weights(network, damaged, "mine")
        except ModelError:
            errors += 1
    assert errors > 5
