"""A ``.npy`` file becomes an array, once its header fits its length."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.regular import open_regular, readable

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_array(name: str, path: Path) -> NDArray[Any]:
    """Return the numbers of the file that ``--input`` gives for an input of that name.

    No memory is taken for what the file does not hold, and no pickle is read. Raises ModelError.
    """
    return _numbers("--input", f"--input {name}", path)


def read_target(path: Path) -> NDArray[Any]:
    """Return the numbers of the file that ``--target`` gives, of whatever shape, as above."""
    return _numbers("--target", "--target", path)


def _numbers(option: str, what: str, path: Path) -> NDArray[Any]:
    """Return the numbers of a file; ``what`` names it in errors."""
    hint = "save numbers with numpy.save"
    try:
        with readable(path, what, hint), open_regular(path, option) as file:
            return _read(file, path.stat().st_size)
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # a header is a Python expression, which fails in many ways
        raise ModelError(f"{what}: {path} is not a readable .npy file", hint) from error


def _read(file: BinaryIO, size: int) -> NDArray[Any]:
    try:
        shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
    except MemoryError as error:  # what Python says of an expression that is nested too deeply
        raise ValueError("not a header") from error
    if dtype.kind not in "biuf" or min(shape, default=1) < 0:
        raise ValueError("not an array of numbers")
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise ValueError("cut short")
    file.seek(0)
    return np.asarray(npy.read_array(file, allow_pickle=False))
