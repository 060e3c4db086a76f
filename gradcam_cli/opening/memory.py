"""Arrays become TensorFlow tensors that share their memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.isolation import tf

__all__ = ["aligned_zeros", "shared"]

_ALIGNMENT = 64
"""Bytes; what TensorFlow asks of memory that it did not allocate itself."""


def aligned_zeros(shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """Return zeros that TensorFlow can share; pages that nobody touches take no memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    array: NDArray[Any] = room[start : start + size].view(dtype).reshape(shape)
    return array


def shared(array: NDArray[Any]) -> Any:
    """Return a tensor over the memory of an array made by ``aligned_zeros``.

    The array must not be changed from then on. TensorFlow copies a plain array twice on its way
    into a variable; this way VGG16's 0.5 GB are in memory once.
    """
    if array.size == 0:
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
