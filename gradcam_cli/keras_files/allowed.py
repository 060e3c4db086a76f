"""What a configuration may name: what a classifier of Keras is made of, and nothing else.

Keras turns any name in a configuration into the class or function of that name, wherever one
stands, and Keras itself has some that open files, run other programs or reach for the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gradcam_cli.isolation import keras
from gradcam_cli.keras_files.archive import objects
from gradcam_cli.keras_files.known import class_of
from gradcam_cli.keras_files.names import (
    FUNCTIONS,
    HOMES,
    LOOKUPS,
    PROGRAMS,
    WITHOUT_MODULE,
)

_Json = dict[str, Any]

# What is not an object: numbers, shapes, keys of slices and the tensors between layers.
_VALUES = (
    *("TensorShape", "__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__"),
    *("__tensor__", "__tuple__"),
)
# An array's type may describe structures of any size.
_NUMBERS = re.compile(r"bool|(u?int|float|bfloat|complex)\d{1,3}|str(ing)?|[<>|=]?[biufcSU]\d{1,3}")
_OF_KERAS = re.compile(r"(tensorflow\.(python\.)?)?(keras|keras_core|tf_keras)(\..*)?", re.DOTALL)
# Other ways to write the modules of Keras 3.
_OLD = re.compile(
    r"(?:tensorflow\.(?:python\.)?)?(?:keras|keras_core|tf_keras)(?:\.(?:src|api|_v2|_tf_keras))*"
    r"\.(activations|constraints|dtype_policies|initializers|layers|models|regularizers)"
)
# Functions in Keras's module of layers; in HDF5 files a text is taken for the function so called.
_HELPERS = ("Input", "deserialize", "serialize")


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is not simply built: ``what`` it is, for people, and ``why`` it is refused.

    It ``runs`` code in the file or ``reads`` another file, which the user may allow; its code is
    ``missing`` in the file; ``unknown`` is the bare name of a class that Keras does not have; and
    something else of Keras is ``never`` built.
    """

    what: str
    why: Literal["runs", "reads", "missing", "unknown", "never"]


def refused(
    value: object,
    known: Mapping[str, Any] | Collection[str] = (),
    also: Callable[[_Json], bool] = lambda _: False,
) -> list[Refused]:
    """Return what in any part of a configuration is not among the names that are allowed.

    ``known`` are the classes and functions that the user brings along, ``also`` says which other
    objects are allowed. Nothing is imported that the configuration names. An empty list means that
    Keras builds it from its own layers, activations, initializers and operations alone.
    """
    mine = dict(known) if isinstance(known, Mapping) else dict.fromkeys(known)
    found: list[Refused] = []
    judged: set[int] = set()
    for node in objects(value):
        name, inner = str(node["class_name"]), node.get("config")
        if name == "Lambda":
            found += _lambda(inner, mine)
            if isinstance(inner, dict):
                judged.add(id(inner.get("function")))
        if id(node) in judged and name == "function":
            continue
        if name in PROGRAMS:
            found.append(Refused(PROGRAMS[name], "runs"))
        elif name == "function":
            found += _function(node, mine)
        elif name in _VALUES:
            found += _value(inner)
        elif not also(node):
            found += _class(node, name, mine) or _files(name, inner)
    return list(dict.fromkeys(found))


def without_training(config: _Json) -> tuple[_Json, bool]:
    """Return a configuration without how it was trained, which is never read.

    The second value says whether there was any such thing below the model itself, where Keras
    reads it even if it is asked not to.
    """
    nested = any("compile_config" in node for node in objects(config) if node is not config)
    return (_copied(config) if nested or "compile_config" in config else config), nested


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(one) for one in value]
    if not isinstance(value, dict):
        return value
    is_object = isinstance(value.get("class_name"), str)
    return {
        key: _copied(one)
        for key, one in value.items()
        if not (is_object and key == "compile_config")
    }


def _lambda(inner: object, known: Mapping[str, Any]) -> Iterator[Refused]:
    """Yield what a Lambda layer carries, or the function that it only names."""
    function = inner.get("function") if isinstance(inner, dict) else None
    label = repr(str(inner.get("name", ""))) if isinstance(inner, dict) else "''"
    if isinstance(function, dict) and function.get("class_name") == "function":
        function = function.get("config")
    if not isinstance(function, str) or not function:
        yield Refused(f"Lambda layer {label}", "runs")
    elif function not in known:
        yield Refused(f"function {function!r} of Lambda layer {label}", "missing")


def _function(node: _Json, known: Mapping[str, Any]) -> Iterator[Refused]:
    name, module = node.get("config"), node.get("module")
    if not isinstance(name, str):
        yield Refused("a function without a name", "never")
    elif name in known:
        return
    elif module == "builtins" or _home(module) == "keras.activations":
        if name not in FUNCTIONS:
            yield Refused(f"function {name!r}", "missing")
    else:
        what = f"function {name!r} from {module or 'nowhere'}"
        yield Refused(what, "never" if _OF_KERAS.fullmatch(str(module)) else "missing")


def _class(node: _Json, name: str, known: Mapping[str, Any]) -> list[Refused]:
    """Return a phrase for a class that is not one of those allowed."""
    module, registered = node.get("module"), node.get("registered_name")
    home = _home(module)
    if isinstance(registered, str) and registered in known:
        return []
    if name in known and not (isinstance(module, str) and _OF_KERAS.fullmatch(module)):
        return []
    if isinstance(registered, str) and registered != name and _is_registered(registered):
        return [Refused(f"class {name!r}, registered as {registered!r}", "never")]
    if module is None and ("module" in node or ">" in name):
        return [Refused(f"custom class {name!r}", "missing")]
    if name in (WITHOUT_MODULE if module is None else HOMES.get(home, ())):
        return _helpers(node) if module is None else []
    if module is None or home in HOMES:
        kind = class_of({**node, "module": home} if module else node)
        if name in known and kind in (None, known[name]):
            return []
        never = kind is not None or name in _HELPERS
        return [Refused(f"class {name!r}", "never")] if never else [Refused(name, "unknown")]
    what = f"class {name!r} from {module}"
    foreign = isinstance(module, str) and not _OF_KERAS.fullmatch(module)
    return [Refused(what, "missing" if foreign else "never")]


def _home(module: object) -> str:
    """Return a module as Keras 3 writes it; as it is where that is not known."""
    old = _OLD.fullmatch(str(module))
    return f"keras.{old[1]}" if old else str(module)


def _is_registered(name: str) -> bool:
    return keras.saving.get_registered_object(name) is not None


def _helpers(node: _Json) -> list[Refused]:
    inner = node.get("config")
    values = [one for key, one in inner.items() if key != "name"] if isinstance(inner, dict) else []
    return [Refused(f"function {one!r}", "never") for one in _HELPERS if one in values]


def _files(name: str, inner: object) -> list[Refused]:
    """Return a phrase for a layer that would read its vocabulary from a file."""
    vocabulary = inner.get("vocabulary") if name in LOOKUPS and isinstance(inner, dict) else None
    if vocabulary is None or isinstance(vocabulary, list):
        return []
    label = repr(str(inner.get("name", ""))) if isinstance(inner, dict) else "''"
    return [Refused(f"the vocabulary of {name} layer {label}, {str(vocabulary)[:100]!r}", "reads")]


def _value(inner: object) -> list[Refused]:
    kind = inner.get("dtype") if isinstance(inner, dict) else None
    if kind is None or (isinstance(kind, str) and _NUMBERS.fullmatch(kind)):
        return []
    return [Refused(f"an array of the type {str(kind)[:100]!r}", "never")]
