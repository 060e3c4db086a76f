"""Lambda layers become calls of functions: the user's, Keras's own, or code that is trusted.

A Lambda layer holds its function's name, or its bytecode without the modules that it names. Both
are replaced by references to functions that Keras is given as custom objects.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import copy
import dis
import inspect
import keyword
import marshal
import math
import platform
import re
import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras, tf
from gradcam_cli.keras_files.archive import objects
from gradcam_cli.keras_files.bytecode import Bytecode, read_bytecode
from gradcam_cli.keras_files.names import APPLICATIONS, FUNCTIONS

_Json = dict[str, Any]

_APPLICATION = re.compile(r"(?:.*\bkeras\b.*\.applications|keras_applications)\.(\w+)")
_OLD_KEYS = ("function_type", "module", "output_shape_module", "output_shape_type")
# Functions of TensorFlow that Keras 3 saves by name alone, and that nothing else is called.
_MATHS = (
    *("abs", "ceil", "cos", "exp", "expm1", "floor", "l2_normalize", "log", "log1p", "negative"),
    *("reciprocal", "round", "rsqrt", "sign", "sin", "sqrt", "square", "tan"),
)
_IMAGES = (
    *("flip_left_right", "flip_up_down", "grayscale_to_rgb", "per_image_standardization"),
    "rgb_to_grayscale",
)
_BY_NAME: dict[str, Any] = {
    **{name: getattr(tf.math, name) for name in _MATHS},
    **{name: getattr(tf.image, name) for name in _IMAGES},
    **{name: getattr(tf, name) for name in ("expand_dims", "identity", "squeeze")},
}
# What those who write a lambda have imported; tf.keras has the backend of Keras 2, keras has not.
_GLOBALS: dict[str, Any] = {
    "K": tf.keras.backend,
    "backend": tf.keras.backend,
    "keras": tf.keras,
    "layers": keras.layers,
    "math": math,
    "np": np,
    "numpy": np,
    "ops": keras.ops,
    "tensorflow": tf,
    "tf": tf,
}


@dataclass(frozen=True, slots=True)
class _Packed:
    """A function as ``func_dump`` of Keras packs it."""

    code: str
    defaults: Any = None
    closure: Any = None

    def bytecode(self) -> bytes:
        """Return what was marshalled; before Keras 2.1 it was escaped rather than encoded."""
        try:
            raw = base64.b64decode(self.code)
        except (binascii.Error, ValueError):
            raw = b""
        if raw[:1] in (b"c", b"\xe3"):
            return raw
        return self.code.encode("raw_unicode_escape", "replace")

    def describe(self) -> Bytecode | None:
        return read_bytecode(self.bytecode())


def function_called(function_name: str) -> str:
    """Return what a function in a Python file can be called to stand for this name."""
    name = re.sub(r"\W", "_", function_name)
    return f"{name}_" if keyword.iskeyword(name) or name[:1].isdigit() else name


def quoted(title: str) -> str:
    """Return the name in ``Lambda layer 'name'``."""
    return title.partition(" layer ")[2][1:-1]


def own_functions(
    config: _Json,
    custom: Mapping[str, Any],
    application: Callable[[Iterable[str]], str] = lambda _: "",
) -> tuple[_Json, dict[str, Any], tuple[str, ...]]:
    """Give Lambda layers the functions that the user or Keras has for them; no code is loaded.

    A function in ``custom`` is taken that is called like the layer or like its function; otherwise
    an activation, a ``preprocess_input`` or a plain function of TensorFlow that the file names.
    ``application`` returns the module of ``keras.applications`` to which layers of given names
    belong, for a ``preprocess_input`` of which the file does not say more. Returns a changed copy
    of the configuration, the functions by the names that stand in it, and a sentence for each.
    """
    changed = copy.deepcopy(config)
    functions: dict[str, Any] = {}
    sentences = []
    for inner in _lambdas(changed):
        function, whose = _users(inner, custom), "of the custom objects"
        if function is None:
            function, whose = _keras_own(inner, config, application)
        if function is None:
            continue
        inner["function"] = _reference(functions, _title(inner), function)
        if _packed(inner.get("output_shape")):
            del inner["output_shape"]
        for key in _OLD_KEYS:
            inner.pop(key, None)
        sentences.append(f"took `{function.__name__}` {whose} for {_title(inner)}")
    return (changed, functions, tuple(sentences)) if functions else (config, {}, ())


def trusted_code(
    config: _Json, names: Mapping[str, Any], path: Path
) -> tuple[_Json, dict[str, Any]]:
    """Load the bytecode in a configuration, and let it see the usual modules and ``names``.

    Returns a changed copy of the configuration and the functions by the names that stand in it.
    Raises ModelError for bytecode that this Python did not write, before any is loaded, and for
    names that the code uses and nobody defines.
    """
    changed = copy.deepcopy(config)
    functions: dict[str, Any] = {}
    found = list(_packed_code(changed))
    for title, _, _, packed in found:
        described = packed.describe()
        if described is None or not described.runs_here:
            raise _other_python(title, path, described)
    scope = {"__builtins__": builtins, **_GLOBALS, **names}
    for title, holder, key, packed in found:
        function = _function(packed, scope, title, path)
        missing = sorted(_globals(function.__code__) - scope.keys() - vars(builtins).keys())
        if missing:
            raise ModelError(
                f"the code of {title} in {path} uses names that the file does not define: "
                f"{', '.join(missing)}",
                f"define or import {'them' if len(missing) > 1 else 'it'} in a Python file: "
                "--custom-objects FILE.py",
            )
        holder[key] = _reference(functions, title, function)
    for inner in _lambdas(changed):
        for old in _OLD_KEYS if isinstance(inner["function"], dict) else ():
            inner.pop(old, None)
    return (changed, functions) if functions else (config, {})


def failing_layer(
    error: BaseException, functions: Mapping[str, Any]
) -> tuple[str, BaseException] | None:
    """Return the layer whose function an error came from, and the error that it raised first."""
    codes = {
        one.__code__: name for name, one in functions.items() if isinstance(one, types.FunctionType)
    }
    found, seen = None, set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        for frame, _ in traceback.walk_tb(cause.__traceback__):
            if frame.f_code in codes:
                found = codes[frame.f_code].rpartition(" #")[0], cause
        cause = cause.__cause__ or cause.__context__
    return found


def _lambdas(config: _Json) -> Iterator[_Json]:
    for node in objects(config):
        inner = node.get("config")
        if node["class_name"] == "Lambda" and isinstance(inner, dict) and "function" in inner:
            yield inner


def _title(inner: _Json) -> str:
    return f"Lambda layer {str(inner.get('name', ''))!r}"


def _reference(functions: dict[str, Any], title: str, function: Any) -> _Json:
    name = f"{title} #{len(functions) + 1}"
    functions[name] = function
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }


def _packed(value: Any) -> _Packed | None:
    if isinstance(value, dict) and value.get("class_name") == "__lambda__":
        value = value.get("config")
        if isinstance(value, dict) and "code" in value:
            value = [value.get(key) for key in ("code", "defaults", "closure")]
        elif isinstance(value, dict):
            value = value.get("value")
    if isinstance(value, str):
        return _Packed(value)
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return _Packed(*value)
    return None


def _packed_code(config: _Json) -> Iterator[tuple[str, _Json, str, _Packed]]:
    """Yield every piece of code: whose it is, and where it stands in the configuration."""
    for inner in _lambdas(config):
        for key in ("function", "mask", "output_shape"):
            packed = None if isinstance(inner.get(key), str) else _packed(inner.get(key))
            if packed:
                yield _title(inner), inner, key, packed
    for node in objects(config):
        holder = node.get("config")
        if node["class_name"] == "Lambda" or not isinstance(holder, dict):
            continue
        title = f"{node['class_name']} layer {str(holder.get('name', ''))!r}"
        for key, value in holder.items():
            packed = _packed(value) if isinstance(value, dict) else None
            if packed:
                yield title, holder, key, packed


def _named(inner: _Json) -> tuple[str, str, bool]:
    """Return the name of a layer's function, its module, and whether the file has its code."""
    function = inner["function"]
    if isinstance(function, str) and inner.get("function_type") != "lambda":
        return function, str(inner.get("module") or ""), False
    if isinstance(function, dict) and function.get("class_name") == "function":
        return str(function.get("config")), str(function.get("module") or ""), False
    packed = _packed(function)
    described = packed.describe() if packed else None
    return described.name if described else "", str(inner.get("module") or ""), True


def _users(inner: _Json, custom: Mapping[str, Any]) -> Any:
    layer, (function, _, _) = str(inner.get("name", "")), _named(inner)
    wanted = (layer, function_called(layer), function)
    found = [custom[name] for name in wanted if name in custom]
    return next((one for one in found if callable(one) and not inspect.isclass(one)), None)


def _keras_own(
    inner: _Json, config: _Json, application: Callable[[Iterable[str]], str]
) -> tuple[Any, str]:
    name, module, has_code = _named(inner)
    of = _APPLICATION.fullmatch(module)
    home = of[1] if of and name in ("preprocess_input", "wrapper") else ""
    if name == "preprocess_input" and not has_code and not home:
        layers = (one.get("config") for one in objects(config))
        home = application(
            str(layer["name"]) for layer in layers if isinstance(layer, dict) and "name" in layer
        )
    if home in APPLICATIONS:
        function = getattr(getattr(keras.applications, home, None), "preprocess_input", None)
        return function, f"of keras.applications.{home}"
    if has_code or home:
        return None, ""
    if name in FUNCTIONS and hasattr(keras.activations, name):
        return getattr(keras.activations, name), "of keras.activations"
    return _BY_NAME.get(name), "of TensorFlow"


def _other_python(title: str, path: Path, described: Bytecode | None) -> ModelError:
    pythons = described.pythons if described else ()
    here = ".".join(platform.python_version_tuple()[:2])
    fault = (
        f"was written by Python {' or '.join(pythons)}, which Python {here} cannot run"
        if pythons
        else f"is damaged, or of a Python that is not known here (this is Python {here})"
    )
    uses = f"; the code names {', '.join(described.names)}" if described and described.names else ""
    return ModelError(
        f"the code of {title} in {path} {fault}",
        f"write the function in a Python file, as `def {function_called(quoted(title))}(x)`: "
        f"--custom-objects FILE.py puts it in the place of the code{uses}",
    )


def _function(packed: _Packed, scope: dict[str, Any], title: str, path: Path) -> types.FunctionType:
    try:
        code = marshal.loads(packed.bytecode())  # noqa: S302 - allowed, and of this Python
        # JSON has lists for the tuples that defaults mostly are.
        defaults = None if packed.defaults is None else tuple(map(_value, packed.defaults))
        cells = None
        if packed.closure is not None:
            cells = tuple(types.CellType(_object(one)) for one in packed.closure)
        return types.FunctionType(code, scope, code.co_name, defaults, cells)
    except (EOFError, ValueError, TypeError) as error:
        raise ModelError(
            f"the code of {title} in {path} is not whole: {error}",
            "save the model again, or copy or download it again",
        ) from error


def _value(value: Any) -> Any:
    return tuple(map(_value, value)) if isinstance(value, list) else _object(value)


def _object(value: Any) -> Any:
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return value


def _globals(code: types.CodeType) -> set[str]:
    found = {one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _globals(constant)
    return found
