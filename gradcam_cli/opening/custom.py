"""A Python file of the user becomes the classes and functions that a model file names."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras

__all__ = ["read_custom_objects"]

_BASES = (
    keras.Operation,
    keras.constraints.Constraint,
    keras.initializers.Initializer,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.regularizers.Regularizer,
)


def read_custom_objects(path: Path) -> dict[str, Any]:
    """Run a Python file and return its Keras classes and its functions by name.

    Classes that it imports from elsewhere count too, and what it registered under a package's
    name. Raises ModelError when there is no such file, it fails, or nothing in it is of use.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}", "--custom-objects takes a Python file")
    module = _run(path)
    found = {
        name: value
        for name, value in vars(module).items()
        if (inspect.isclass(value) and issubclass(value, _BASES))
        or (inspect.isfunction(value) and value.__module__ == module.__name__)
    }
    registered = keras.saving.get_custom_objects().items()
    found |= {
        name: value
        for name, value in registered
        if getattr(value, "__module__", "") == module.__name__
    }
    if not found:
        raise ModelError(
            f"{path} defines no Keras layer, model or function",
            "--custom-objects takes the Python file that defines what the model needs",
        )
    return found


def _run(path: Path) -> ModuleType:
    """Import a file by its path; it may import its neighbours, as a script could."""
    name = f"gradcam_custom_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} is no Python file", "--custom-objects takes a file FILE.py")
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
