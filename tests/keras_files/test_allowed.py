from __future__ import annotations

import ast
import ctypes
import importlib
import inspect
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest
from keras.src import api_export

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.allowed import refused
from gradcam_cli.keras_files.blank import blank_weights
from gradcam_cli.keras_files.file import open_network
from gradcam_cli.keras_files.names import APPLICATIONS, FUNCTIONS, HOMES, PROGRAMS
from tests.keras_files.rewriting import Json, assert_same, layer, noise, rewrite, save, small

L = keras.layers
SIZE = (16, 16, 3)

# Bases without a meaning of their own, and what takes other functions or data to work on.
LEFT_OUT = {
    "keras.constraints": {"Constraint"},
    "keras.dtype_policies": {"AWQDTypePolicy", "GPTQDTypePolicy"},
    "keras.initializers": {"Initializer"},
    "keras.layers": {"InputSpec", "Layer", "Wrapper"},
    "keras.quantizers": {"AWQConfig", "GPTQConfig", "QuantizationConfig", "Quantizer"},
    "keras.regularizers": {"Regularizer"},
    "keras.src.ops.core": {
        *("AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch", "VectorizedMap"),
        "WhileLoop",
    },
    "keras.src.ops.linalg": {"JVP"},
}

EVENTS: list[str] = []
"""What this process opened, listed, made or reached for since a test has begun."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(("socket.connect", "socket.getaddrinfo", "subprocess.", "os.mkdir")):
        EVENTS.append(f"{event} {arguments}")


sys.addaudithook(_audit)


class Watch:
    """Tells whether anybody opened or listed a folder, or a file in it, whatever library did."""

    def __init__(self, folder: Path) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.libc.inotify_init1(os.O_NONBLOCK)
        opened = 0x20
        self.libc.inotify_add_watch(self.descriptor, os.fsencode(folder), opened)

    def opened(self) -> bool:
        try:
            return bool(os.read(self.descriptor, 4096))
        except BlockingIOError:
            return False


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder with a file of weights in it that no model may touch."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with h5py.File(folder / "other.weights.h5", "w") as file:
        file["secret"] = [1.0]
    (folder / "words.txt").write_text("a\nb\n")
    return folder


@pytest.fixture
def watch(target: Path) -> Iterator[Watch]:
    EVENTS.clear()
    one = Watch(target)
    yield one
    os.close(one.descriptor)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One network in both containers."""
    wrapped = L.TimeDistributed(L.Activation("relu", name="inner"), name="wrapper")
    network = small(L.ReLU(name="scale"), wrapped)
    folder = tmp_path_factory.mktemp("saved")
    return [save(network, folder / name) for name in ("m.keras", "m.h5")]


def test_the_watch_sees_every_library(target: Path, watch: Watch) -> None:
    """Without this the tests that nothing is opened would prove nothing."""
    assert not watch.opened()
    with h5py.File(target / "other.weights.h5"):
        pass
    assert watch.opened()
    keras.layers.StringLookup(vocabulary=str(target / "words.txt"))
    assert watch.opened()
    list(target.iterdir())
    assert watch.opened()
    assert not watch.opened()
    (target / "x").mkdir()
    assert [one.split()[0] for one in EVENTS] == ["os.mkdir"]


def obj(module: str | None, class_name: str, /, **config: Any) -> Json:
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": None,
    }


def function(module: str, name: str) -> Json:
    return obj(module, "function") | {"config": name}


TRICKS: dict[str, Json] = {
    "a class": obj("keras.saving", "KerasFileEditor", filepath="@/other.weights.h5"),
    "a class as a function": function("keras.saving", "KerasFileEditor"),
    "its true module": obj("keras.src.saving.file_editor", "KerasFileEditor", filepath="@"),
    "a folder": obj("keras.src.legacy.preprocessing.image", "DirectoryIterator", directory="@"),
    "old image code": function("keras._legacy.preprocessing.image", "DirectoryIterator"),
    "an application": function("keras.applications", "VGG16"),
    "an application in its module": function("keras.applications.vgg16", "VGG16"),
    "its preprocessing": function("keras.applications.vgg16", "preprocess_input"),
    "class names of ImageNet": function("keras.applications.vgg16", "decode_predictions"),
    "a data set": function("keras.datasets.mnist", "load_data"),
    "words of a data set": function("keras.datasets.imdb", "get_word_index"),
    "a dotted name": function("keras", "utils.get_file"),
    "a dotted name in a home": function("keras.layers", "../utils.get_file"),
    "a function by its true module": function("keras.src.utils.file_utils", "get_file"),
    "a getter": function("keras.activations", "get"),
    "a getter of builtins": function("builtins", "get"),
    "a loss": function("builtins", "mean_squared_error"),
    "a Python function": function("operator", "attrgetter"),
    "another module of it": function("functools", "reduce"),
    "an operation on functions": obj("keras.src.ops.core", "VectorizedMap", function="x"),
    "an optimizer": obj("keras.optimizers", "Adam"),
    "a metric": obj("keras.metrics", "Mean"),
    "a base": obj("keras.layers", "Layer"),
    "another home": obj("keras.utils", "FeatureSpace"),
    "a module inside a module": obj("keras.layers.os", "system"),
    "a test of Keras": obj("keras.src.layers.core.dense_test", "DenseTest"),
    "a line break": obj("keras.layers\n", "Dense"),
    "a list for a module": obj("keras", "Dense") | {"module": ["keras.utils"]},
    "TensorFlow's Keras": obj("tensorflow.keras.utils", "FeatureSpace"),
    "a type": {"class_name": "TypeSpec", "type_spec": "tf.TensorSpec", "serialized": []},
    "a named type": {**obj("keras.utils", "__typespec__"), "spec_name": "FeatureSpace"},
    "numbers without end": obj(None, "__numpy__", value=[1], dtype="(100000,)f8"),
    "the decorator": {"class_name": "keras_export", "config": {"path": "x"}},
    "the reader": {"class_name": "deserialize", "config": {"config": {}}},
    "a word for the reader": {"class_name": "ReLU", "config": {"max_value": "deserialize"}},
    "a SavedModel": obj("keras.layers", "TFSMLayer", filepath="@", name="scale"),
    "a SavedModel as a function": function("keras.layers", "TFSMLayer"),
    "a vocabulary": obj("keras.layers", "StringLookup", vocabulary="@/words.txt"),
    "an old vocabulary": {"class_name": "TextVectorization", "config": {"vocabulary": "@"}},
}
NEEDS_TRUST = {"a SavedModel", "a vocabulary", "an old vocabulary"}


def aimed(value: Any, target: Path) -> Any:
    """Put the folder that is watched in the place of @."""
    if isinstance(value, dict):
        return {key: aimed(one, target) for key, one in value.items()}
    return value.replace("@", str(target)) if isinstance(value, str) else value


@pytest.mark.parametrize(("number", "trick"), list(enumerate(TRICKS)))
def test_what_is_no_part_of_a_classifier_is_refused_by_name(
    tmp_path: Path, saved: list[Path], target: Path, watch: Watch, number: int, trick: str
) -> None:
    model = saved[number % 2]
    path = Path(shutil.copy(model, tmp_path / model.name))

    def put(config: Json) -> None:
        layer(config, "conv")["config"]["activation"] = aimed(TRICKS[trick], target)

    rewrite(path, put, keras.__version__)
    before = set(sys.modules)
    for unsafe in (False,) if trick in NEEDS_TRUST else (False, True):
        with pytest.raises(ModelError) as caught:
            open_network(path, unsafe=unsafe)
        assert caught.value.message.startswith(str(path))
        assert "cannot open" not in caught.value.message
        assert caught.value.hint
    assert not watch.opened()
    assert EVENTS == []
    assert not {one for one in set(sys.modules) - before if one.startswith("keras")}


def into_layer(config: Json, evil: Json) -> None:
    one = layer(config, "scale")
    one |= {"class_name": evil["class_name"], "module": evil["module"]}
    one["config"] = {"name": "scale", **evil["config"]}


def into_wrapper(config: Json, evil: Json) -> None:
    layer(config, "wrapper")["config"]["layer"] = evil


def into_cell(config: Json, evil: Json) -> None:
    layer(config, "wrapper")["config"]["layer"] = {
        "class_name": "RNN",
        "module": "keras.layers",
        "config": {"cell": {"class_name": "StackedRNNCells", "config": {"cells": [evil]}}},
    }


def into(key: str, wrap: bool = False) -> Any:
    def put(config: Json, evil: Json) -> None:
        map_of = obj("keras.dtype_policies", "DTypePolicyMap", policy_map={"x": evil})
        layer(config, "conv")["config"][key] = map_of if wrap else evil

    return put


def into_call(key: str) -> Any:
    def put(config: Json, evil: Json) -> None:
        one = layer(config, "conv")
        node = one["inbound_nodes"][0]
        one["inbound_nodes"] = [{**node, key: [evil] if key == "args" else {"x": {"y": evil}}}]

    return put


def into_lambda(config: Json, evil: Json) -> None:
    layer(config, "scale")["class_name"] = "Lambda"
    inner = {"function": function("builtins", "relu"), "arguments": {"x": evil}}
    layer(config, "scale")["config"] = {"name": "scale", **inner}


def into_build(config: Json, evil: Json) -> None:
    layer(config, "conv")["build_config"] = {"shapes_dict": {"input_shape": evil}}


PLACES = {
    "layer": into_layer,
    "wrapped layer": into_wrapper,
    "cell": into_cell,
    "kernel_initializer": into("kernel_initializer"),
    "bias_regularizer": into("bias_regularizer"),
    "kernel_constraint": into("kernel_constraint"),
    "dtype": into("dtype"),
    "a policy of a map": into("dtype", wrap=True),
    "quantization_config": into("quantization_config"),
    "an argument nobody knows": into("x"),
    "call arguments": into_call("args"),
    "keyword arguments": into_call("kwargs"),
    "arguments of a Lambda layer": into_lambda,
    "build_config": into_build,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("container", "trick"), [(0, "a SavedModel"), (1, "a class")])
def test_it_is_found_wherever_it_stands(
    tmp_path: Path,
    saved: list[Path],
    target: Path,
    watch: Watch,
    place: str,
    container: int,
    trick: str,
) -> None:
    path = Path(shutil.copy(saved[container], tmp_path / saved[container].name))
    evil = aimed(TRICKS[trick], target)
    rewrite(path, lambda config: PLACES[place](config, evil), keras.__version__)
    words = "carries code" if trick in NEEDS_TRUST else "names what no classifier is made of"
    with pytest.raises(ModelError, match=words):
        open_network(path)
    assert not watch.opened()
    assert EVENTS == []


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_how_nested_models_were_trained_is_never_read(
    tmp_path: Path, target: Path, watch: Watch, name: str
) -> None:
    inner = keras.Sequential([L.Input(SIZE), L.ReLU()], name="inner")
    network = small(inner)
    path = save(network, tmp_path / name)

    def put(config: Json) -> None:
        training = {"optimizer": aimed(TRICKS["a class"], target), "loss": "mse"}
        layer(config, "inner")["compile_config"] = training
        config["compile_config"] = training

    rewrite(path, put, keras.__version__)
    found = open_network(path)
    assert_same(found.network, network, noise(1, *SIZE))
    assert not watch.opened()


def test_trust_lets_another_file_be_read(tmp_path: Path, target: Path, watch: Watch) -> None:
    path = save(small(L.ReLU(name="scale")), tmp_path / "m.keras")
    words = L.StringLookup(vocabulary=["a"], name="scale")

    def put(config: Json) -> None:
        inner = words.get_config() | {"vocabulary": str(target / "words.txt")}
        layer(config, "scale").update(class_name="StringLookup", config=inner)

    rewrite(path, put, keras.__version__)
    with pytest.raises(ModelError, match="would have another file read: the vocabulary") as caught:
        open_network(path)
    assert "--unsafe-load" in caught.value.hint
    assert not watch.opened()
    open_network(path, unsafe=True)
    assert watch.opened()


def test_every_class_of_keras_is_allowed_or_left_out() -> None:
    """A Keras that adds a class makes somebody look at it."""
    for home, allowed in HOMES.items():
        module = importlib.import_module(home)
        bases = (keras.Operation, keras.initializers.Initializer, keras.constraints.Constraint)
        here = {
            name
            for name, one in vars(module).items()
            if inspect.isclass(one)
            and (home.startswith("keras.src") is False or one.__module__ == home)
            and (home != "keras.src.applications" or issubclass(one, bases))
        }
        programs = set(PROGRAMS) if home == "keras.layers" else set()
        left_out = LEFT_OUT.get(home, set()) | programs
        if home in ("keras", "keras.models", "keras.random"):
            continue
        strings = {"normal", "one", "uniform", "zero"} if home == "keras.initializers" else set()
        assert here - allowed - left_out == set(), home
        assert allowed - here - strings == set(), home
    functions = {n for n, one in vars(keras.activations).items() if inspect.isfunction(one)}
    assert functions - FUNCTIONS == {"deserialize", "get", "serialize"}
    assert {one for one in FUNCTIONS if ">" not in one} <= functions
    applications = {
        name
        for name, one in vars(keras.applications).items()
        if inspect.ismodule(one) and hasattr(one, "preprocess_input")
    }
    assert applications == APPLICATIONS


def test_of_all_that_keras_exports_only_parts_of_networks_are_allowed() -> None:
    parts = (
        keras.Operation,
        keras.constraints.Constraint,
        keras.dtype_policies.DTypePolicy,
        keras.dtype_policies.DTypePolicyMap,
        keras.initializers.Initializer,
        keras.quantizers.QuantizationConfig,
        keras.quantizers.Quantizer,
        keras.random.SeedGenerator,
        keras.regularizers.Regularizer,
    )
    activations = [one for one in vars(keras.activations).values() if inspect.isfunction(one)]
    count = 0
    for path, symbol in api_export.REGISTERED_NAMES_TO_OBJS.items():
        module, _, name = path.rpartition(".")
        if not refused(obj(module, name)):
            assert issubclass(symbol, parts), path
            assert name not in PROGRAMS
            count += 1
        if not refused(function(module, name)):
            assert symbol in activations, path
        if not refused({"class_name": name, "config": {}}) and module == "keras.layers":
            assert issubclass(symbol, parts), path
    assert count > 150


def test_the_networks_of_keras_applications_are_allowed() -> None:
    """All their layers by name, and two networks that have operations and classes of their own."""
    named = set()
    for source in Path(inspect.getfile(keras.applications.vgg16.VGG16)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                named |= {node.attr} if node.value.id == "layers" else set()
    named = {name for name in named if name[:1].isupper()} - {"Input", "Layer"}
    assert len(named) > 20
    assert [name for name in sorted(named) if refused(obj("keras.layers", name))] == []
    for build in (keras.applications.ConvNeXtTiny, keras.applications.MobileNetV3Small):
        with blank_weights():
            config = keras.saving.serialize_keras_object(build(weights=None))
        assert refused(config) == []


def phrases(config: object, *known: str) -> list[str]:
    return [one.what for one in refused({"config": config}, known)]


def test_code_is_found_wherever_it_hides() -> None:
    hidden = {"class_name": "Lambda", "config": {"name": "scale", "function": ["4wE=", None, None]}}
    deep = {"class_name": "TimeDistributed", "config": {"layer": {"x": [[hidden]]}}}
    assert phrases(deep) == ["Lambda layer 'scale'"]
    pickled = {"class_name": "__lambda__", "config": {"value": "4wE="}}
    assert phrases({"class_name": "Activation", "config": {"activation": pickled}}) == [
        "a pickled lambda function"
    ]
    torch = {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {"m": "gA=="}}
    assert phrases(torch) == ["a pickled PyTorch module"]
    # A class needs no configuration to be imported.
    assert phrases({"class_name": "system", "module": "os"}) == ["class 'system' from os"]


@pytest.mark.parametrize(
    "module",
    ["kerasx.layers", "keras_hub.layers", "builtins", "os", "mykeras", "tensorflow.io"],
)
def test_classes_of_other_modules_are_missing(module: str) -> None:
    (found,) = refused({"class_name": "Dense", "module": module, "config": {}})
    assert (found.what, found.why) == (f"class 'Dense' from {module}", "missing")
    assert refused({"class_name": "Dense", "module": module, "config": {}}, ["Dense"]) == []


def test_functions_by_name() -> None:
    assert phrases(function("builtins", "relu6")) == []
    assert phrases(function("keras.activations", "silu")) == []
    assert phrases(function("os", "system")) == ["function 'system' from os"]
    assert phrases(function("builtins", "mine")) == ["function 'mine'"]
    assert phrases(function("mine", "mish"), "mish") == []


def test_names_that_the_user_brings_do_not_open_the_door() -> None:
    lamb = {"class_name": "Lambda", "registered_name": "mine", "config": {"name": "l"}}
    carried = {"config": {"name": "l", "function": ["4wE=", None, None]}}
    named = {"config": {"name": "l", "function": "mine"}}
    assert phrases(lamb | carried, "mine", "Lambda") == ["Lambda layer 'l'"]
    assert phrases(lamb | named, "mine") == []
    assert phrases(lamb | named) == ["function 'mine' of Lambda layer 'l'"]
    custom: Json = {
        "class_name": "Mine",
        "module": None,
        "config": {},
        "registered_name": "pkg>Mine",
    }
    assert phrases(custom) == ["custom class 'Mine'"]
    assert phrases(custom, "Mine") == []
    # Keras takes its own class of that name, not the user's.
    editor = obj("keras.src.saving.file_editor", "KerasFileEditor")
    assert [one.why for one in refused(editor, ["KerasFileEditor"])] == ["never"]
    assert refused(obj("keras.layers", "Layer"), {"Layer": L.Dense}) != []
    assert refused(obj("keras.layers", "Layer"), {"Layer": L.Layer}) == []


def test_a_registered_name_of_something_else() -> None:
    found = refused(
        obj("keras.layers", "ReLU") | {"registered_name": "gradcam>keras_2_hard_sigmoid"}
    )
    assert [one.why for one in found] == ["never"]
