from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.archive import (
    objects,
    read_archive,
    read_pair,
)
from tests.keras_files.rewriting import save, write_zip

L = keras.layers


def small() -> keras.Model:
    return keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(2, 3), L.GlobalMaxPooling2D()])


@pytest.mark.parametrize(("name", "container"), [("a.keras", "keras"), ("a.h5", "hdf5")])
def test_whole_models_are_read_by_content(tmp_path: Path, name: str, container: str) -> None:
    path = save(small(), tmp_path / name)
    other = path.rename(tmp_path / "model.bin")
    archive = read_archive(other)
    assert archive.container == container
    assert archive.keras_version == keras.__version__
    assert archive.config["class_name"] == "Sequential"
    found = [one["class_name"] for one in objects(archive.config)]
    assert found[0] == "Sequential"
    assert {"InputLayer", "Conv2D", "GlorotUniform"} < set(found)


def _lfs(path: Path) -> None:
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def _savedmodel(path: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\x08\x01")


def _folder(path: Path) -> None:
    path.mkdir()


def _full_folder(path: Path) -> None:
    path.mkdir()
    for name in ("b.keras", "c.h5", "a.json"):
        (path / name).write_bytes(b"")


def _saved_model_graph(path: Path) -> None:
    path.write_bytes(b"\x08\x01\x12\x88\xb5\x01\n\x81\x11\x12\xd1\x10\n^\n\x10AssignVa")


def _checkpoint(path: Path) -> None:
    path.write_bytes(b'model_checkpoint_path: "x.ckpt-1"\nall_model_checkpoint_paths: "x.ckpt-1"\n')


def _tflite(path: Path) -> None:
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(64))


def _onnx(path: Path) -> None:
    path.write_bytes(b"\x08\x07\x12\x07pytorch\x1a\x042.30")


def _torch_zip(path: Path) -> None:
    write_zip(path, {"archive/data.pkl": b"\x80\x02}.", "archive/version": b"3"})


def _torch_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"state": [1, 2]}, protocol=2))


def _page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><title>Not found</title>")


def _json(path: Path) -> None:
    path.write_text(small().to_json())


def _zipped_model(path: Path) -> None:
    write_zip(path, {"converted_keras/keras_model.h5": b"\x89HDF", "labels.txt": b"0 Cat"})


def _zipped_savedmodel(path: Path) -> None:
    write_zip(path, {"m/saved_model.pb": b"", "m/variables/variables.index": b""})


def _arrays(path: Path) -> None:
    write_zip(path, {"a.npy": b"", "b.npy": b""})


def _no_weights(path: Path) -> None:
    write_zip(path, {"config.json": b'{"class_name": "Sequential", "config": {}}'})


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _nothing(path: Path) -> None:
    path.write_bytes(b"hello, world")


@pytest.mark.parametrize(
    ("write", "message", "hint"),
    [
        (_lfs, "is a Git LFS pointer, not the model itself", "git lfs pull"),
        (_savedmodel, "is a SavedModel folder", ".save('model.h5')"),
        (_folder, "is a folder without a .keras or .h5 file", "efficientnet-lite0"),
        (_full_folder, "is a folder, not a model file", "b.keras"),
        (_saved_model_graph, "is the graph of a SavedModel, which", ".save('model.h5')"),
        (_checkpoint, "is part of a TensorFlow checkpoint", "load_weights"),
        (_tflite, "is a TensorFlow Lite model, which has no gradients, not a Keras", ".keras or"),
        (_onnx, "is an ONNX model", ".keras or .h5"),
        (_torch_zip, "is a PyTorch file", ".keras or .h5"),
        (
            _torch_pickle,
            "is a pickle (PyTorch or scikit-learn), which is never opened, not a",
            ".keras",
        ),
        (_page, "is a web page, not a model", "get the file itself"),
        (_json, "is JSON: an architecture without weights", "whole model"),
        (_zipped_model, "is a zip file with converted_keras/keras_model.h5 in it", "unzip"),
        (_zipped_savedmodel, "is a zipped SavedModel", ".save('model.h5')"),
        (_arrays, "is a file of NumPy arrays", ".keras or .h5"),
        (_no_weights, "holds no weights", "save the model again"),
        (_empty, "is empty", "download"),
        (_nothing, "is not a Keras model file", "efficientnet-lite0"),
    ],
)
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_what_is_no_keras_model_is_named_by_its_content(
    tmp_path: Path, write: Callable[[Path], None], message: str, hint: str, name: str
) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(ModelError) as caught:
        read_archive(path)
    assert caught.value.message.startswith(f"{path} {message}")
    assert hint in caught.value.hint


def test_a_graph_is_known_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "frozen.pb"
    path.write_bytes(b"\n\x0b\n\x05input\x12\x0bPlaceholder")
    with pytest.raises(ModelError, match="is a TensorFlow graph, not a Keras model"):
        read_archive(path)


@pytest.mark.parametrize("name", ["a.ckpt", "a.ckpt-1.index", "a.data-00000-of-00001"])
def test_a_checkpoint_is_known_by_its_ending(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x01" + bytes(99))
    with pytest.raises(ModelError, match="is part of a TensorFlow checkpoint"):
        read_archive(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        read_archive(tmp_path / "a.keras")


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_file_cut_short_is_damaged(tmp_path: Path, name: str, kept: float) -> None:
    path = save(small(), tmp_path / name)
    whole = path.read_bytes()
    size = int(len(whole) * kept)
    path.write_bytes(whole[:size])
    with pytest.raises(ModelError) as caught:
        read_archive(path)
    assert caught.value.message == f"{path} is damaged or cut short ({size:,} bytes)"


def test_a_configuration_that_is_no_json_is_damage(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = '{"class_name": "Sequ'
    with pytest.raises(ModelError, match="is damaged"):
        read_archive(path)
    zipped = tmp_path / "a.keras"
    write_zip(zipped, {"config.json": b"[1, 2]", "model.weights.h5": b""})
    with pytest.raises(ModelError, match=r"config\.json is a list, not a model"):
        read_archive(zipped)


def test_weights_only_names_the_json_beside_it(tmp_path: Path) -> None:
    network = small()
    path = tmp_path / "model.weights.h5"
    network.save_weights(path)
    with pytest.raises(ModelError, match="holds weights only, no model") as caught:
        read_archive(path)
    assert caught.value.hint.startswith("save the whole model with model.save('x.keras')")
    (tmp_path / "class_indices.json").write_text('{"cat": 0, "dog": 1}')
    (tmp_path / "damaged.json").write_text('{"class_name": ')
    with pytest.raises(ModelError) as caught:
        read_archive(path)
    assert caught.value.hint.startswith("save the whole model with model.save('x.keras')")
    (tmp_path / "another.json").write_text(network.to_json())
    (tmp_path / "model.json").write_text(network.to_json())
    with pytest.raises(ModelError) as caught:
        read_archive(path)
    beside = tmp_path / "model.json"
    expected = f"if model.json is its architecture, add --architecture {beside}"
    assert caught.value.hint == expected


def test_a_pair_needs_weights_and_an_architecture(tmp_path: Path) -> None:
    network = small()
    weights, whole = tmp_path / "m.weights.h5", save(network, tmp_path / "whole.h5")
    network.save_weights(weights)
    architecture = tmp_path / "m.json"
    architecture.write_text(network.to_json())
    assert read_pair(weights, architecture).config["class_name"] == "Sequential"
    with pytest.raises(ModelError, match="holds a whole model already"):
        read_pair(whole, architecture)
    with pytest.raises(ModelError, match="is not an HDF5 file of weights"):
        read_pair(save(network, tmp_path / "a.keras"), architecture)
    with pytest.raises(ModelError, match="there is no file"):
        read_pair(weights, tmp_path / "none.json")
    architecture.write_text('{"labels": ["cat"]}')
    with pytest.raises(ModelError, match="is not an architecture of a Keras model"):
        read_pair(weights, architecture)
    architecture.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="is not an architecture of a Keras model"):
        read_pair(weights, architecture)
    for codec in ("utf-8-sig", "utf-16", "utf-32"):
        architecture.write_bytes(network.to_json(indent=1).replace("\n", "\r\n").encode(codec))
        assert read_pair(weights, architecture).config["class_name"] == "Sequential"
    architecture.write_bytes(network.to_json().encode("utf-16-le"))
    with pytest.raises(ModelError, match=r"line 1 is UTF-16 text without a byte order mark"):
        read_pair(weights, architecture)
