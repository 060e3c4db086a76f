"""The shape of a configuration is checked once, before anyone walks it.

Behind ``check_shape`` every serialised object has the name of its class, the entries of ``layers``
are layers with a configuration of their own, and names are text. What arguments are worth is for
Keras to say.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gradcam_cli.errors import ModelError

_MOST_CALLS = 20_000
"""Calls of layers; the largest application, NASNetLarge, has a thousand."""
_HINT = "the file is damaged, or not written by Keras: get it again, or save the model again"


class _Object(msgspec.Struct):
    """Anything that Keras serialised: a layer, a model, an initializer, a function."""

    class_name: str
    module: str | None = None
    registered_name: str | None = None


class _Layer(_Object, kw_only=True):
    """An entry of ``layers`` in a Sequential model; before Keras 2.2.3 a Sequential was a list."""

    config: dict[str, Any] | list[Any]
    name: str | None = None
    inbound_nodes: list[Any] = []
    build_config: dict[str, Any] | None = None


class _NamedLayer(_Layer, kw_only=True):
    """An entry of ``layers`` in a Functional model, whose calls name it."""

    name: str


class _Sequential(msgspec.Struct):
    layers: list[_Layer]
    name: str | None = None


class _Functional(msgspec.Struct):
    layers: list[_NamedLayer]
    input_layers: list[Any] | dict[str, Any]
    output_layers: list[Any] | dict[str, Any]
    name: str | None = None


class _Named(msgspec.Struct):
    name: str | None = None


class _Metadata(msgspec.Struct):
    keras_version: str = ""


def check_shape(config: Any, path: Path, what: str) -> dict[str, Any]:
    """Return a model's configuration, called ``what``, if it has the shape of one.

    Raises ModelError that names the first place that has not, such as ``layers[3]``. How the model
    was trained is not checked. Models of Keras 0 have no class; what reads them says so.
    """
    if not isinstance(config, dict):
        raise _misshapen(path, what, "", f"is {_kind(config)}, not a model")
    if "class_name" not in config and config.get("name") in ("Sequential", "Graph"):
        return config
    model = {key: value for key, value in config.items() if key != "compile_config"}
    _convert(model, _Layer, path, what, "")
    for place, node in _objects(model):
        inner = node.get("config")
        _convert(node, _Object, path, what, place)
        if isinstance(inner, list) and node["class_name"] == "Sequential":
            _convert(inner, list[_Layer], path, what, f"{place}.config")
        elif isinstance(inner, dict):
            kind = _kind_of_model(node["class_name"], inner)
            _convert(inner, kind, path, what, f"{place}.config")
    if _calls(model) > _MOST_CALLS:
        raise _misshapen(path, what, "", f"has more than {_MOST_CALLS:,} calls of layers")
    return config


def _calls(node: dict[str, Any]) -> int:
    """Return how often layers are called where a model holds others, which may hold others."""
    inner = node.get("config")
    layers = inner.get("layers", [inner.get("layer")]) if isinstance(inner, dict) else inner
    total = 1
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict):
            calls = layer.get("inbound_nodes")
            total += _calls(layer) * max(1, len(calls) if isinstance(calls, list) else 1)
    return total


def check_metadata(metadata: Any, path: Path, what: str) -> str:
    """Return the version of Keras that metadata name, empty if none; raises ModelError."""
    _convert(metadata, _Metadata, path, what, "")
    return str(metadata.get("keras_version", ""))


def _kind_of_model(name: str, inner: dict[str, Any]) -> type[msgspec.Struct]:
    """Return what a configuration must be; a class of the user's own may have any other."""
    if name == "Functional" or "input_layers" in inner or (name == "Model" and "layers" in inner):
        return _Functional
    return _Sequential if name == "Sequential" else _Named


def _objects(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every serialised object with its place, such as ``.config.layers[3]``."""
    waiting = deque([("", config)])
    while waiting:
        place, item = waiting.popleft()
        if isinstance(item, dict):
            if "class_name" in item:
                yield place, item
            waiting.extend((f"{place}.{key}", value) for key, value in item.items())
        elif isinstance(item, list):
            waiting.extend((f"{place}[{number}]", value) for number, value in enumerate(item))


def _convert(value: Any, kind: Any, path: Path, what: str, place: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said, _, inside = str(error).partition(" - at `$")
        missing = re.fullmatch(r"Object missing required field `(\w+)`", said)
        expected = re.fullmatch(r"Expected `(.+)`, got `(.+)`", said)
        if missing:
            said = f"has no {missing[1]}"
        elif expected:
            wanted = expected[1].replace(" | ", " or ")
            said = f"is {expected[2]}, where {wanted} is needed"
        raise _misshapen(path, what, f"{place}{inside.rstrip('`')}", said) from None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")


def _misshapen(path: Path, what: str, place: str, said: str) -> ModelError:
    place = place.removeprefix(".")
    if len(place) > 80:
        place = f"...{place[-77:]}"
    where = f"{what}: {place}" if place else what
    return ModelError(f"{path} is not a valid Keras model: {where} {said}", _HINT)
