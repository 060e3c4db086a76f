from __future__ import annotations

import base64
import marshal
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.archive import read_archive
from gradcam_cli.keras_files.assign import assign_weights
from gradcam_cli.keras_files.file import open_network, save_repaired
from tests.keras_files.rewriting import (
    SIZE,
    Json,
    assert_same,
    fails_in_keras,
    layer,
    layers,
    noise,
    rewrite,
    save,
    small,
    write_zip,
)

L = keras.layers


@pytest.mark.parametrize(("name", "container"), [("m.keras", "keras"), ("m.h5", "hdf5")])
def test_a_model_of_today(tmp_path: Path, name: str, container: str) -> None:
    network = small()
    network.compile("adam", "categorical_crossentropy")
    path = save(network, tmp_path / name)
    found = open_network(path)
    assert_same(found.network, network, noise(2, *SIZE))
    assert not found.network.compiled
    assert found.repaired == ()
    archive = read_archive(path)
    assert (archive.container, archive.keras_version) == (container, keras.__version__)


@pytest.mark.parametrize("saved", ["m.keras", "m.h5"])
@pytest.mark.parametrize("name", ["other.h5", "other.keras", "model", "weights.bin"])
def test_the_name_of_a_file_does_not_matter(tmp_path: Path, saved: str, name: str) -> None:
    network = small()
    path = save(network, tmp_path / saved).rename(tmp_path / name)
    before = path.read_bytes()
    found = open_network(path)
    assert_same(found.network, network, noise(2, *SIZE))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_training_with_code_of_ones_own_does_not_matter(tmp_path: Path) -> None:
    network = small()
    network.compile("adam", "mse")
    path = save(network, tmp_path / "m.keras")

    def focal(config: Json) -> None:
        config["compile_config"]["loss"] = {
            "class_name": "Focal",
            "module": "mine.losses",
            "config": {"name": "focal"},
            "registered_name": "Focal",
        }

    rewrite(path, focal, keras.__version__)
    found = open_network(path)
    assert found.repaired == ()
    assert_same(found.network, network, noise(2, *SIZE))


@pytest.mark.parametrize("kept", [0.3, 0.99])
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_file_cut_short(tmp_path: Path, name: str, kept: float) -> None:
    path = save(small(), tmp_path / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ModelError, match="is damaged or cut short"):
        open_network(path)


def test_weights_that_are_damaged_inside(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("model.weights.h5").header_offset
    data = bytearray(path.read_bytes())
    data[start + 200 : start + 4000] = bytes(3800)
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="is damaged"):
        open_network(path)


def test_a_class_of_a_newer_keras(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "m.keras")

    def newer(config: Json) -> None:
        layer(config, "conv")["class_name"] = "HyperConv2D"

    rewrite(path, newer, "99.0.0")
    with pytest.raises(ModelError) as caught:
        open_network(path)
    assert caught.value.message == (
        f"{path}, saved by Keras 99.0.0, has the class 'HyperConv2D', "
        f"which Keras {keras.__version__} does not have"
    )
    assert "--custom-objects" in caught.value.hint
    assert "pip install --upgrade keras" in caught.value.hint


def test_a_model_that_does_not_tell_its_size(tmp_path: Path) -> None:
    network = keras.Sequential([L.Input(SIZE), L.Conv2D(4, 3), L.GlobalMaxPooling2D()])
    path = save(network, tmp_path / "m.h5")

    def lost(config: Json) -> None:
        del layers(config)[0]
        del config["config"]["build_input_shape"]

    rewrite(path, lost, "2.3.1")
    with pytest.raises(ModelError, match="does not say the size of its pictures"):
        open_network(path)


@pytest.mark.parametrize("layout", ["keras 3", "keras 2"])
def test_an_architecture_and_weights(tmp_path: Path, layout: str) -> None:
    network = small()
    architecture, weights = tmp_path / "m.json", tmp_path / "m.weights.h5"
    architecture.write_text(network.to_json())
    if layout == "keras 3":
        network.save_weights(weights)
    else:
        whole = save(network, tmp_path / "whole.h5")
        with h5py.File(whole, "r") as source, h5py.File(weights, "w") as target:
            for name in source["model_weights"]:
                source.copy(f"model_weights/{name}", target)
            for name, value in source["model_weights"].attrs.items():
                target.attrs[name] = value
    with pytest.raises(ModelError, match="holds weights only") as caught:
        open_network(weights)
    assert f"--architecture {architecture}" in caught.value.hint
    found = open_network(weights, architecture=architecture)
    assert_same(found.network, network, noise(2, *SIZE))


def test_an_architecture_is_mended_and_inspected_too(tmp_path: Path) -> None:
    network = small(L.DepthwiseConv2D(3))
    weights, architecture = tmp_path / "m.weights.h5", tmp_path / "m.json"
    network.save_weights(weights)
    text = network.to_json()
    architecture.write_text(
        text.replace('"depth_multiplier": 1', '"depth_multiplier": 1, "groups": 1')
    )
    found = open_network(weights, architecture=architecture)
    assert found.repaired == ("dropped `groups` from 1 DepthwiseConv2D layer",)
    assert_same(found.network, network, noise(2, *SIZE))
    architecture.write_text(text.replace('"DepthwiseConv2D"', '"Lambda"'))
    with pytest.raises(ModelError, match="carries code"):
        open_network(weights, architecture=architecture)


def test_an_architecture_of_another_model(tmp_path: Path) -> None:
    weights, architecture = tmp_path / "m.weights.h5", tmp_path / "m.json"
    small().save_weights(weights)
    architecture.write_text(small(L.Conv2D(5, 3)).to_json())
    with pytest.raises(
        ModelError, match=r"do not fit the architecture: conv2d: The shape of .* must match"
    ) as caught:
        open_network(weights, architecture=architecture)
    assert "model.to_json()" in caught.value.hint


def touching(marker: Path) -> str:
    """Return packed byte code that makes a file when it runs."""
    source = f"(lambda x: (open({str(marker)!r}, 'w').close(), x)[1])"
    code = compile(source, "<lambda>", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(code)).decode()


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "the code has run"


def evil_lambda(marker: Path) -> Json:
    return {
        "name": "scale",
        "trainable": True,
        "dtype": "float32",
        "function": [touching(marker), None, None],
        "function_type": "lambda",
        "module": "__main__",
        "output_shape": None,
        "output_shape_type": "raw",
        "output_shape_module": None,
        "arguments": {},
    }


def test_the_evil_lambda_would_run(tmp_path: Path, marker: Path) -> None:
    """Without this the tests that it does not run would prove nothing."""
    path = save(small(L.ReLU(name="scale")), tmp_path / "m.h5")
    rewrite(path, lambda config: put_lambda(config, marker))
    open_network(path, unsafe=True)
    assert marker.exists()


def put_lambda(config: Json, marker: Path) -> None:
    one = layer(config, "scale")
    one["class_name"], one["config"] = "Lambda", evil_lambda(marker)


def test_a_lambda_layer_in_hdf5(tmp_path: Path, marker: Path) -> None:
    path = save(small(L.ReLU(name="scale")), tmp_path / "m.h5")
    rewrite(path, lambda config: put_lambda(config, marker))
    before = path.read_bytes()
    with pytest.raises(ModelError) as caught:
        open_network(path)
    assert caught.value.message == (
        f"{path} carries code that would run here: Lambda layer 'scale'"
    )
    assert "--unsafe-load" in caught.value.hint
    assert not marker.exists()
    assert path.read_bytes() == before


def test_a_lambda_layer_of_keras_2_in_a_keras_file(tmp_path: Path, marker: Path) -> None:
    path = save(small(L.ReLU(name="scale")), tmp_path / "m.keras")

    def put(config: Json) -> None:
        put_lambda(config, marker)
        one = layer(config, "scale")["config"]
        value = {"code": one["function"][0], "defaults": None, "closure": None}
        one["function"] = {"class_name": "__lambda__", "config": value}

    rewrite(path, put, "2.15.0")
    with pytest.raises(ModelError, match="Lambda layer 'scale'"):
        open_network(path)
    found = open_network(path, unsafe=True)
    assert found.repaired == (
        "dropped `function_type`, `module`, `output_shape_module`, `output_shape_type` "
        "from 1 Lambda layer",
    )
    found.network(noise(1, *SIZE))
    assert marker.exists()


@pytest.mark.parametrize("code", ["4wEAAAAA", "4wEAAAAAAAAAAAAAAAEAAAACAAAAUwAAAHMIAAAA"])
def test_code_that_is_not_whole(tmp_path: Path, code: str) -> None:
    path = save(small(L.ReLU(name="scale")), tmp_path / "m.h5")

    def put(config: Json) -> None:
        put_lambda(config, tmp_path)
        layer(config, "scale")["config"]["function"] = [code, None, None]

    rewrite(path, put)
    with pytest.raises(ModelError, match="is damaged, or of a Python that is not known here"):
        open_network(path, unsafe=True)


def test_a_lambda_layer_deep_in_a_keras_file(tmp_path: Path, marker: Path) -> None:
    inner = keras.Sequential([L.Input(SIZE), L.TimeDistributed(L.ReLU())], name="inner")
    path = save(small(inner), tmp_path / "m.keras")

    def hide(config: Json) -> None:
        wrapper = layers(layer(config, "inner"))[1]["config"]
        value = {"code": touching(marker), "defaults": None, "closure": None}
        code = {"class_name": "__lambda__", "config": value}
        wrapper["layer"] = {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"name": "hidden", "function": code},
            "registered_name": None,
        }

    rewrite(path, hide, keras.__version__)
    with pytest.raises(ModelError, match="Lambda layer 'hidden'"):
        open_network(path)
    assert not marker.exists()


def test_a_pickled_activation(tmp_path: Path, marker: Path) -> None:
    path = save(small(), tmp_path / "m.keras")

    def hide(config: Json) -> None:
        value = {"class_name": "__lambda__", "config": {"value": touching(marker)}}
        layer(config, "conv")["config"]["activation"] = value

    rewrite(path, hide, keras.__version__)
    with pytest.raises(ModelError, match="a pickled lambda function"):
        open_network(path)
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"])
def test_layers_that_hold_a_program(tmp_path: Path, kind: str) -> None:
    path = save(small(L.ReLU(name="scale")), tmp_path / "m.keras")

    def put(config: Json) -> None:
        one = layer(config, "scale")
        one["class_name"] = kind
        one["config"] = {"name": "scale", "module": "gAR9lC4=", "filepath": str(tmp_path)}

    rewrite(path, put, keras.__version__)
    with pytest.raises(ModelError, match="carries code that would run here: a "):
        open_network(path)


class _Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.pkl"])
def test_a_pickle_is_never_opened(tmp_path: Path, marker: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(_Evil(marker)))
    with pytest.raises(ModelError, match=r"is a pickle .* which is never opened"):
        open_network(path, unsafe=True)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize("what", ["class", "function"])
def test_modules_named_in_a_file_are_not_imported(
    tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    """Keras itself imports `keras_hub` when a file tells it to."""
    for module in ("keras_hub", "evil_module"):
        (tmp_path / f"{module}.py").write_text(f"open({str(marker)!r}, 'w').close()")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = save(small(L.ReLU(name="scale")), tmp_path / name)

    for module in ("keras_hub", "evil_module"):

        def put(config: Json, module: str = module) -> None:
            one = layer(config, "scale")
            if what == "class":
                one |= {"module": module, "class_name": "Layer", "registered_name": "Layer"}
            else:
                function = {"class_name": "function", "module": module, "config": "act"}
                layer(config, "conv")["config"]["activation"] = function

        rewrite(path, put, keras.__version__)
        with pytest.raises(ModelError) as caught:
            open_network(path)
        assert "needs code of its author that is not in the file" in caught.value.message
        assert caught.value.hint == (
            "give the Python file that defines it: --custom-objects FILE.py"
        )
        assert not marker.exists()
        assert module not in sys.modules


def test_ones_own_classes_do_not_let_a_lambda_in(tmp_path: Path, marker: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "def other(x):\n    return x\n\n\nclass Lambda:\n    pass\n\n\nclass scale:\n    pass\n"
    )
    path = save(small(L.ReLU(name="scale")), tmp_path / "m.h5")
    rewrite(path, lambda config: put_lambda(config, marker))
    with pytest.raises(ModelError, match="Lambda layer 'scale'"):
        open_network(path, custom_objects=mine)
    assert not marker.exists()


def broken(tmp_path: Path) -> tuple[Any, Path]:
    network = small(L.DepthwiseConv2D(3, name="depthwise"))
    path = save(network, tmp_path / "old.h5")

    def old(config: Json) -> None:
        layer(config, "depthwise")["config"]["groups"] = 1

    rewrite(path, old)
    return network, path


def test_a_mended_model_is_saved(tmp_path: Path) -> None:
    network, path = broken(tmp_path)
    assert "groups" in fails_in_keras(path)
    target = tmp_path / "new.keras"
    save_repaired(open_network(path).network, target, path)
    assert fails_in_keras(target) == ""
    again = open_network(target)
    assert again.repaired == ()
    assert read_archive(target).keras_version == keras.__version__
    assert_same(again.network, network, noise(2, *SIZE))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["new.keras", "old.h5"]


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "m.keras")
    before = path.read_bytes()
    link = tmp_path / "link.keras"
    link.symlink_to(path)
    network = open_network(path).network
    for target in (path, link, tmp_path / "." / "m.keras"):
        with pytest.raises(ModelError, match="is the model file itself, which is never changed"):
            save_repaired(network, target, path)
    with pytest.raises(ModelError, match=r"does not end in \.keras"):
        save_repaired(network, tmp_path / "m.h5", path)
    assert path.read_bytes() == before


def test_what_cannot_be_saved_leaves_nothing_behind(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "m.keras")
    network = open_network(path).network
    with pytest.raises(ModelError, match="cannot write"):
        save_repaired(network, tmp_path / "nowhere" / "new.keras", path)

    class Own(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

        def get_config(self) -> Json:
            raise NotImplementedError

    target = tmp_path / "new.keras"
    target.write_bytes(b"kept")
    with pytest.raises(ModelError, match="cannot be saved"):
        save_repaired(small(Own()), target, path)
    assert target.read_bytes() == b"kept"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.keras", "new.keras"]


def test_a_zip_with_weights_missing(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    del members["model.weights.h5"]
    write_zip(path, members)
    with pytest.raises(ModelError, match="holds no weights"):
        open_network(path)


@pytest.mark.parametrize(
    ("kind", "cure"),
    [("PruneLowMagnitude", "strip_pruning"), ("QuantizeWrapperV2", "quantize_scope")],
)
def test_wrappers_of_model_optimization(tmp_path: Path, kind: str, cure: str) -> None:
    path = save(small(L.TimeDistributed(L.ReLU(), name="scale")), tmp_path / "m.h5")
    rewrite(path, lambda config: layer(config, "scale").update(class_name=kind), "2.15.0")
    with pytest.raises(ModelError, match="wrappers of tensorflow_model_optimization") as caught:
        open_network(path)
    assert cure in caught.value.hint


WRITER = """
import fcntl, sys
files = [open(path, "r+b") for path in sys.argv[1:]]
for file in files:
    fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_files_that_another_program_has_open_for_writing(tmp_path: Path) -> None:
    """What HDF5 takes is flock; a file system without locks fails at the same place."""
    network = small(L.DepthwiseConv2D(3, name="depthwise"))
    whole, old, zipped, weights = (
        save(network, tmp_path / "whole.h5"),
        save(network, tmp_path / "old.h5"),
        save(network, tmp_path / "m.keras"),
        tmp_path / "m.weights.h5",
    )
    network.save_weights(weights)
    rewrite(old, lambda config: layer(config, "depthwise")["config"].update(groups=1))
    architecture = tmp_path / "m.json"
    architecture.write_text(network.to_json())
    command = [sys.executable, "-c", WRITER, *map(str, (whole, old, zipped, weights))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"locked\n"
        with pytest.raises(OSError, match="lock"):
            h5py.File(whole, "r")
        pictures = noise(2, *SIZE)
        for path in (whole, old, zipped):
            assert_same(open_network(path).network, network, pictures)
        pair = open_network(weights, architecture=architecture)
        assert_same(pair.network, network, pictures)
        other = small(L.DepthwiseConv2D(3, name="depthwise"))
        for path in (whole, weights):
            for weight in other.weights:
                weight.assign(np.zeros(weight.shape))
            assign_weights(other, path, "it")
            assert_same(other, network, pictures)
        writer.communicate()
