from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.schema import check_metadata, check_shape

Json = dict[str, Any]
PATH = Path("a.keras")


def small() -> Json:
    picture = keras.Input((8, 8, 3))
    grid = keras.layers.Conv2D(2, 3, name="conv")(picture)
    pooled = keras.layers.GlobalAveragePooling2D()(grid)
    network = keras.Model(picture, keras.layers.Dense(2)(pooled))
    config: Json = json.loads(network.to_json())
    return config


def test_what_keras_writes_has_the_shape_of_a_model() -> None:
    nested = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.TimeDistributed(dense())])
    for network in (keras.Sequential([keras.Input((8, 8, 3)), dense()]), nested, joined()):
        config = json.loads(network.to_json())
        assert check_shape(config, PATH, "config.json") is config


def dense() -> keras.Layer:
    return keras.layers.Dense(2, kernel_regularizer="l2")


def joined() -> keras.Model:
    ends = {"a": keras.Input((8, 8, 3), name="a"), "b": keras.Input((2,), name="b")}
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), dense()])
    return keras.Model(ends, {"sum": inner(ends["a"]) + ends["b"]})


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {}}]},
        {"class_name": "Sequential", "config": {"name": "s", "layers": []}},
        {"class_name": "Mine", "config": {"layers": [64, 32], "name": "of the user"}},
        {"class_name": "Graph", "config": {}},
        {"name": "Sequential", "layers": []},
        {"class_name": "Mine", "config": {}, "compile_config": {"class_name": 3}},
    ],
    ids=["Keras 1", "Keras 2", "custom", "Graph", "Keras 0", "training"],
)
def test_shapes_of_other_times_and_authors(config: Json) -> None:
    assert check_shape(config, PATH, "config.json") is config


def put(*path: str | int, value: Any) -> Callable[[Json], None]:
    """Return what puts a value at a place."""

    def change(config: Json) -> None:
        *holders, last = path
        item: Any = config
        for key in holders:
            item = item[key]
        item[last] = value

    return change


def without(key: str) -> Callable[[Json], None]:
    return lambda config: config["config"]["layers"][1].pop(key)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("config", "layers", value={"a": 1}), "config.layers is object, where array is needed"),
        (put("config", "layers", value=None), "config.layers is null, where array is needed"),
        (put("config", "layers", value=[1, 2]), "config.layers[0] is int, where object is needed"),
        (put("config", "layers", value=["a"]), "config.layers[0] is str, where object is needed"),
        (put("config", "layers", 1, "config", value=7), "config.layers[1].config is int, where"),
        (put("config", "layers", 1, "class_name", value=None), "layers[1].class_name is null"),
        (put("config", "layers", 1, "config", "name", value=["a"]), "layers[1].config.name is arr"),
        (put("config", "layers", 1, "registered_name", value={}), "registered_name is object"),
        (put("config", "layers", 1, "inbound_nodes", value=3), "layers[1].inbound_nodes is int"),
        (without("class_name"), "config.layers[1] has no class_name"),
        (without("name"), "config.layers[1] has no name"),
        (without("config"), "config.layers[1] has no config"),
        (put("config", "input_layers", value="a"), "config.input_layers is str, where"),
        (put("config", value=None), "config is null, where"),
        (put("class_name", value=3), "class_name is int, where str is needed"),
    ],
)
def test_the_place_that_is_wrong_is_named(change: Callable[[Json], None], said: str) -> None:
    config = small()
    change(config)
    with pytest.raises(ModelError) as caught:
        check_shape(config, PATH, "config.json")
    assert caught.value.message.startswith("a.keras is not a valid Keras model: config.json: ")
    assert said in caught.value.message


def test_a_place_deep_inside_is_named() -> None:
    inner = small()
    del inner["config"]["layers"][2]["class_name"]
    outer = {"class_name": "Sequential", "config": {"name": "outer", "layers": [inner]}}
    with pytest.raises(ModelError, match=r"config\.layers\[0\]\.config\.layers\[2\] has no class"):
        check_shape(outer, PATH, "config.json")


@pytest.mark.parametrize("value", [None, 3, "text", [1], True])
def test_what_is_no_object_is_no_model(value: Any) -> None:
    with pytest.raises(ModelError, match=r"config\.json is .*, not a model"):
        check_shape(value, PATH, "config.json")


def test_models_that_hold_one_another_twice_and_twice_again() -> None:
    """Forty small models, one within the other, each called twice: 2^40 calls."""
    node: Json = {"class_name": "Activation", "name": "a", "config": {}, "inbound_nodes": [[], []]}
    for number in range(40):
        config = {"layers": [node], "input_layers": [], "output_layers": []}
        name = f"m{number}"
        node = {"class_name": "Functional", "name": name, "config": config, "inbound_nodes": [[]]}
        node["inbound_nodes"] *= 2
        if number == 8:
            check_shape(copy.deepcopy(node), PATH, "config.json")
    with pytest.raises(ModelError, match="more than 20,000 calls of layers"):
        check_shape(node, PATH, "config.json")


@pytest.mark.parametrize("value", [[1], None, 7, "3.0", {"keras_version": 3}])
def test_metadata_of_another_kind(value: Any) -> None:
    with pytest.raises(ModelError, match=r"is not a valid Keras model: metadata\.json"):
        check_metadata(value, PATH, "metadata.json")
    assert check_metadata({"keras_version": "3.1", "more": []}, PATH, "metadata.json") == "3.1"
    assert check_metadata({}, PATH, "metadata.json") == ""
