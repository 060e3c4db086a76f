"""A Python file of the user becomes the classes and functions that a model file names."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras
from gradcam_cli.regular import check_regular, readable

_BASES = (
    keras.Operation,
    keras.constraints.Constraint,
    keras.initializers.Initializer,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.regularizers.Regularizer,
)


@dataclass(frozen=True, slots=True)
class CustomObjects:
    """What a user's Python file gives.

    ``objects`` are classes and functions by the names that a model file has for them, ``names``
    all that the file defines or imports, modules too, for the code of lambdas.
    """

    objects: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)


def read_custom_objects(path: Path) -> CustomObjects:
    """Run a Python file and return what it defines, imports and registers.

    Classes and functions that it imports from elsewhere count too, and so do those that modules
    register with Keras as they are imported. Raises ModelError when there is no such file, it
    fails, or nothing in it is of use.
    """
    with readable(path, "--custom-objects", "it takes a Python file"):
        check_regular(path, "--custom-objects")
    before = dict(keras.saving.get_custom_objects())
    module = _run(path)
    registered = dict(keras.saving.get_custom_objects())
    names = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    found = {
        name: value
        for name, value in names.items()
        if inspect.isroutine(value) or (inspect.isclass(value) and issubclass(value, _BASES))
    }
    modules = any(inspect.ismodule(value) for value in names.values())
    if not found and not modules and registered == before:
        raise ModelError(
            f"{path} defines no Keras layer, model or function, and imports nothing",
            "--custom-objects takes the Python file that defines what the model needs",
        )
    return CustomObjects(registered | found, names)


def _run(path: Path) -> ModuleType:
    """Import a file by its path; it may import its neighbours, as a script could."""
    name = f"gradcam_custom_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} is not a Python file", "--custom-objects takes a file FILE.py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.modules[name] = module
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        line = str(error).strip().splitlines()
        raise ModelError(
            f"{path} failed with {type(error).__name__}: {line[0] if line else ''}",
            "it is run as Python; try it alone: python FILE.py",
        ) from error
    finally:
        sys.path.remove(folder)
    return module
