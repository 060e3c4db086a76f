"""A serialised object becomes the class of Keras that it names, if there is one."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from gradcam_cli.isolation import keras
from gradcam_cli.keras_files.archive import objects
from gradcam_cli.keras_files.names import HOMES

_Json = dict[str, Any]

# Keras's own classes that live outside keras.layers.
ELSEWHERE = {
    "Functional": "keras.src.models.functional",
    "Model": "keras",
    "Sequential": "keras",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
    "LayerScale": "keras.src.applications.convnext",
    "StochasticDepth": "keras.src.applications.convnext",
    "ThresholdedReLU": "keras.src.legacy.layers",
}
_HOMES = ("layers", "initializers", "regularizers", "constraints")


def class_of(node: _Json) -> type | None:
    """Return the Keras class of a serialised object; None for one that is not Keras's own.

    No other module is imported than those that hold what is allowed.
    """
    name, module = str(node["class_name"]), node.get("module")
    if module is None:
        if name == "Functional":
            model: type = keras.Model
            return model
        homes = [vars(keras), *(vars(getattr(keras, home)) for home in _HOMES)]
    elif isinstance(module, str) and module in HOMES:
        homes = [_contents(module)]
    else:
        homes = []
    kinds: list[type] = [home[name] for home in homes if isinstance(home.get(name), type)]
    return kinds[0] if kinds else None


@functools.cache
def _contents(module: str) -> dict[str, Any]:
    try:
        return vars(importlib.import_module(module))
    except ImportError:  # of a Keras that has no such module yet, or no longer
        return {}


def unknown_classes(config: _Json, known: Iterable[str]) -> list[str]:
    """Return the classes in a configuration that neither Keras nor the user has, sorted.

    Subclassed models hold layers without any configuration, not even a name.
    """
    mine = set(known)
    held = (layer for model in every_model(config) for layer in model["config"]["layers"])
    return sorted(
        {
            node["class_name"]
            for node in (*every_layer(config), *held)
            if mine.isdisjoint((node["class_name"], node.get("registered_name")))
            and class_of(node) is None
        }
    )


def every_layer(config: _Json) -> Iterator[_Json]:
    """Yield every layer and model in a configuration, the model itself first."""
    for node in objects(config):
        if isinstance(node.get("config"), dict) and "name" in node["config"]:
            yield node


def every_model(config: _Json) -> Iterator[_Json]:
    """Yield every model in a configuration, the outermost first; all its layers have a class."""
    for node in objects(config):
        inner = node.get("config")
        layers = inner.get("layers") if isinstance(inner, dict) else None
        # A class of the user's own may mean anything else by `layers`.
        if isinstance(layers, list) and all(map(_is_object, layers)):
            yield node


def _is_object(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("class_name"), str)


@functools.cache
def accepted_arguments(kind: type) -> frozenset[str] | None:
    """Return the arguments that a class's constructor takes; None when nothing says so.

    A class without a constructor of its own takes none.
    """
    names: set[str] = set()
    open_ended = False
    for base in kind.__mro__:
        if base is object or "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        names |= {one.name for one in parameters}
        if base is keras.layers.Layer:
            return frozenset(names | {"input_shape", "input_dim"})
        open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters)
        if not open_ended:
            break
    return None if open_ended else frozenset(names)
