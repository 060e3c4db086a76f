"""Arrays become TensorFlow tensors that share their memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.isolation import keras, tf

_ALIGNMENT = 64
"""Bytes; what TensorFlow asks of memory that it did not allocate itself."""


def aligned_zeros(shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """Return zeros that TensorFlow can share; pages that nobody touches take no memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    array: NDArray[Any] = memory[start : start + size].view(dtype).reshape(shape)
    return array


def shared(array: NDArray[Any]) -> Any:
    """Return a tensor over the memory of an array made by ``aligned_zeros``.

    The array must not be changed from then on. TensorFlow copies a plain array twice on its way
    into a variable; this way VGG16's 0.5 GB are in memory once.
    """
    if array.size == 0:
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


@contextmanager
def sharing() -> Iterator[None]:
    """Make Keras's variables keep what is read for them; a plain array would be copied twice."""
    kind = keras.Variable
    plain = kind.assign

    def assign(self: Any, value: Any) -> Any:
        fits = isinstance(value, (h5py.Dataset, np.ndarray)) and value.dtype == np.float32
        if fits and self.dtype == "float32" and tuple(self.shape) == value.shape and value.size:
            array = aligned_zeros(value.shape)
            if isinstance(value, h5py.Dataset) and value.ndim:
                value.read_direct(array)
            else:
                array[...] = value[()]
            value = shared(array)
        return plain(self, value)

    inherited = "assign" not in vars(kind)
    try:
        kind.assign = assign
        yield
    finally:
        if inherited:
            del kind.assign
        else:
            kind.assign = plain
