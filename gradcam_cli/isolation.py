"""TensorFlow and its Keras, with none of the settings that a user's home or environment holds.

Everything here that needs one of the two imports it from this module.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradcam_cli.errors import ModelError

_NOWHERE = os.devnull
"""As ``KERAS_HOME``: no keras.json lies in it, and none can be written."""


def _import_keras() -> Any:
    """Import Keras without its ``KERAS_*`` variables and keras.json, which may also be broken.

    TensorFlow has an old Keras inside that reads the same file.
    """
    if "keras" not in sys.modules:
        named = [name for name in os.environ if name.startswith("KERAS_")]
        theirs = {name: os.environ.pop(name) for name in named}
        os.environ |= {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": _NOWHERE}
        try:
            with _without_matplotlib():
                importlib.import_module("tensorflow")
                importlib.import_module("keras")
        finally:
            del os.environ["KERAS_BACKEND"], os.environ["KERAS_HOME"]
            os.environ |= theirs
    found = importlib.import_module("keras")
    if found.config.backend() != "tensorflow":
        raise ModelError(
            f"Keras was imported with the backend {found.config.backend()!r}; "
            "gradcam needs TensorFlow",
            "import gradcam_cli before Keras, or set KERAS_BACKEND=tensorflow",
        )
    return found


@contextmanager
def _without_matplotlib() -> Iterator[None]:
    """Keep Keras's galleries from importing matplotlib, half a second that no command has use for.

    In a program of somebody else's they work as ever.
    """
    hidden = "gradcam_cli.cli" in sys.modules and "matplotlib" not in sys.modules
    if hidden:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["matplotlib"]


keras: Any = _import_keras()
tf: Any = importlib.import_module("tensorflow")


@contextmanager
def own_settings() -> Iterator[None]:
    """Build, load and trace under Keras's defaults while the block runs.

    Where a program that imported Keras first has set others, they hold again afterwards.
    """
    config = keras.config
    before = (config.floatx(), config.epsilon(), config.image_data_format(), config.dtype_policy())
    try:
        _set("float32", 1e-7, "channels_last", "float32")
        yield
    finally:
        _set(*before)


def _set(floatx: str, epsilon: float, image_data_format: str, policy: Any) -> None:
    config = keras.config
    config.set_floatx(floatx)
    config.set_epsilon(epsilon)
    config.set_image_data_format(image_data_format)
    config.set_dtype_policy(policy)
