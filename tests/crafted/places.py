"""Places in a model's configuration that an object can hide in, and other names of the same one."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.crafted.objects import CALLED, OBJECTS, Json, function, thing

__all__ = ["PLACES", "SHAPES", "SPELLINGS", "hidden", "spelled"]


def layer(config: Json, name: str) -> Json:
    """Return one layer of a model's configuration."""
    return next(one for one in config["config"]["layers"] if one["config"]["name"] == name)


def _as_layer(config: Json, node: Json, call: tuple[list[Any], Json] = ([], {})) -> None:
    args, kwargs = call
    tensors = copy.deepcopy(layer(config, "conv")["inbound_nodes"])
    called = isinstance(node.get("config"), str)
    nodes = [{"args": args, "kwargs": kwargs}] if called else tensors
    config["config"]["layers"].insert(2, {**node, "name": "hidden", "inbound_nodes": nodes})


def _in_layers(wrap: Callable[[Json], Json]) -> Callable[[Json, Json], None]:
    def put(config: Json, node: Json) -> None:
        _as_layer(config, wrap(node))

    return put


def _setting(name: str, *keys: str) -> Callable[[Json, Json], None]:
    def put(config: Json, node: Json) -> None:
        target = layer(config, name)
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = node

    return put


def _argument(config: Json, node: Json) -> None:
    layer(config, "conv")["inbound_nodes"][0]["args"].append(node)


def _keyword(config: Json, node: Json) -> None:
    layer(config, "conv")["inbound_nodes"][0]["kwargs"]["training"] = node


def _top(config: Json, node: Json) -> None:
    config.clear()
    config.update(node)


def _nested(node: Json) -> Json:
    inner = {"name": "inner", "layers": [{**node, "name": "x", "inbound_nodes": []}]}
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["x", 0, 0]]}
    return thing("keras.src.models.functional", "Functional", inner | ends)


def _sequence(node: Json) -> Json:
    return thing("keras", "Sequential", {"name": "inner", "layers": [node]})


def _wrapped(node: Json) -> Json:
    return thing("keras.layers", "TimeDistributed", {"name": "w", "layer": node})


PLACES: dict[str, Callable[[Json, Json], None]] = {
    "layer": _in_layers(lambda node: node),
    "wrapped": _in_layers(_wrapped),
    "nested": _in_layers(_nested),
    "sequence": _in_layers(_sequence),
    "top": _top,
    "activation": _setting("conv", "config", "activation"),
    "initializer": _setting("conv", "config", "kernel_initializer"),
    "regularizer": _setting("conv", "config", "kernel_regularizer"),
    "constraint": _setting("conv", "config", "kernel_constraint"),
    "policy": _setting("conv", "config", "dtype"),
    "name": _setting("conv", "config", "name"),
    "filters": _setting("conv", "config", "filters"),
    "quantization": _setting("dense", "config", "quantization_config"),
    "build-config": _setting("conv", "build_config", "input_shape"),
    "argument": _argument,
    "keyword": _keyword,
    "compile-config": lambda config, node: config.update(
        compile_config={"optimizer": node, "loss": node, "metrics": [node]}
    ),
    "input-shape": _setting("input_layer", "config", "batch_shape"),
}


def hidden(config: Json, name: str, place: str, baits: Path) -> None:
    """Put an object into a configuration; a function that stands as a layer is called as well."""
    node = OBJECTS[name](baits)
    if place == "layer" and name in CALLED:
        _as_layer(config, node, CALLED[name](baits)[2:4])
    else:
        PLACES[place](config, node)


def _private(node: Json) -> Json:
    try:
        home = importlib.import_module(node["module"])
    except ImportError:
        return node
    found = getattr(home, node["class_name"], None)
    return node | {"module": getattr(found, "__module__", node["module"])}


def _named_function(node: Json, module: str = "") -> Json:
    """Name a class, or a function by another module, where a function is expected."""
    name = node["config"] if node["class_name"] == "function" else node["class_name"]
    return function(module or node["module"], name)


def _dotted(node: Json) -> Json:
    home, _, rest = node["module"].partition(".")
    key = "config" if node["class_name"] == "function" else "class_name"
    return node | {"module": home, key: f"{rest}.{node[key]}".lstrip(".")}


def _by_lambda(node: Json) -> Json:
    arguments = node["config"] if isinstance(node["config"], dict) else {}
    inner = {"name": "l", "function": _named_function(node), "arguments": arguments}
    return thing("keras.layers", "Lambda", inner)


def _old_by_lambda(node: Json) -> Json:
    function = _named_function(node)
    inner = {"name": "l", "function": function["config"], "module": function["module"]}
    return thing("keras.layers", "Lambda", inner | {"function_type": "function"})


def _by_activation(node: Json) -> Json:
    inner = {"name": "a", "activation": _named_function(node)}
    return thing("keras.layers", "Activation", inner)


SPELLINGS: dict[str, Callable[[Json], Json]] = {
    "dotted": _dotted,
    "private": _private,
    "of-tensorflow": lambda node: node | {"module": f"tensorflow.{node['module']}"},
    "without-module": lambda node: {k: node[k] for k in ("class_name", "config")},
    "registered": lambda node: node | {"class_name": "ReLU", "registered_name": node["class_name"]},
    "as-function": _named_function,
    "as-builtin": lambda node: _named_function(node, "builtins"),
    "by-lambda": _by_lambda,
    "by-old-lambda": _old_by_lambda,
    "by-activation": _by_activation,
}
"""Other ways of naming the same object; each keeps its configuration where it can."""


def spelled(config: Json, name: str, spelling: str, place: str, baits: Path) -> None:
    """Put an object into a configuration under another name."""
    node = {"module": "keras.layers", **OBJECTS[name](baits)}
    PLACES[place](config, SPELLINGS[spelling](node))


def _deep(depth: int) -> Callable[[Json], None]:
    def change(config: Json) -> None:
        inner = layer(config, "conv")
        for _ in range(depth):
            inner = _sequence(inner)
        _as_layer(config, inner)

    return change


def _layers(value: Any) -> Callable[[Json], None]:
    return lambda config: config["config"].__setitem__("layers", value)


def _entry(value: Any) -> Callable[[Json], None]:
    return lambda config: config["config"]["layers"].insert(1, value)


def _number(name: str, key: str, value: Any) -> Callable[[Json], None]:
    return lambda config: layer(config, name)["config"].__setitem__(key, value)


SHAPES: dict[str, Callable[[Json], None]] = {
    "deep-200": _deep(200),
    "layers-dict": _layers({"a": 1}),
    "layers-null": _layers(None),
    "layers-number": _layers(7),
    "layers-text": _layers("conv"),
    "layers-empty": _layers([]),
    "entry-null": _entry(None),
    "entry-number": _entry(7),
    "entry-text": _entry("conv"),
    "entry-list": _entry([[]]),
    "entry-empty": _entry({}),
    "entry-without-class": _entry({"config": {"name": "x"}}),
    "entry-without-config": _entry({"class_name": "Conv2D", "module": "keras.layers"}),
    "entry-class-is-list": _entry({"class_name": ["Conv2D"], "config": {}}),
    "config-null": lambda config: config.update(config=None),
    "config-list": lambda config: config.update(config=[1]),
    "class-null": lambda config: config.update(class_name=None),
    "nodes-number": lambda config: layer(config, "conv").update(inbound_nodes=3),
    "nodes-null": lambda config: layer(config, "conv").update(inbound_nodes=None),
    "history-unknown": lambda config: layer(config, "conv")["inbound_nodes"][0]["args"][0][
        "config"
    ].update(keras_history=["nobody", 0, 0]),
    "outputs-null": lambda config: config["config"].update(output_layers=None),
    "outputs-unknown": lambda config: config["config"].update(output_layers=["nobody", 9, 9]),
    "round": lambda config: layer(config, "rescaling")["inbound_nodes"][0]["args"][0][
        "config"
    ].update(keras_history=["dense", 0, 0]),
    "units-2-to-33": _number("dense", "units", 2**33),
    "units-2-to-70": _number("dense", "units", 2**70),
    "units-negative": _number("dense", "units", -1),
    "units-text": _number("dense", "units", "many"),
    "kernel-huge": _number("conv", "kernel_size", [100_000, 100_000]),
    "kernel-zero": _number("conv", "kernel_size", [0, 0]),
    "strides-huge": _number("conv", "strides", [2**40, 1]),
    "input-huge": _number("input_layer", "batch_shape", [None, 100_000, 100_000, 3]),
    "input-negative": _number("input_layer", "batch_shape", [None, -5, 16, 3]),
    "input-text": _number("input_layer", "batch_shape", "all"),
    "input-batch-huge": _number("input_layer", "batch_shape", [2**40, 16, 16, 3]),
    "upsampled": _entry(
        thing("keras.layers", "UpSampling2D", {"name": "up", "size": [2**20, 2**20]})
        | {"name": "up", "inbound_nodes": []}
    ),
    "name-terminal": _number("conv", "name", "a\x1b[2J\n/b"),
}
"""Damaged shapes, and sizes that no machine has room for."""
