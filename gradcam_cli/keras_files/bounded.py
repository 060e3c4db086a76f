"""What a model file holds as text is read and parsed up to a limit, however much it says it holds.

The configuration of the largest application, NASNetLarge, has a million characters and 64,000
values, and a model within a model adds three levels.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gradcam_cli.errors import ModelError

LONGEST = 32 << 20
"""Bytes of one JSON text."""
_MOST_VALUES = 1_000_000
"""A value takes up to 80 bytes once parsed, and there are up to four copies at a time."""
_DEEPEST = 200
"""Lists and dictionaries within one another; whoever walks them twice calls himself for each."""
_HINT = "it is not the configuration of a network; get the model from whoever trained it"


class _Limited(io.FileIO):
    """A file of which no single piece is read that is longer than a configuration.

    An HDF5 file says how long a text in it is; what cannot be read is not allocated.
    """

    def readinto(self, buffer: Any) -> int:
        if memoryview(buffer).nbytes > LONGEST:
            raise _too_long(Path(str(self.name)), "its configuration")
        return super().readinto(buffer)


@contextmanager
def limited_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read its attributes; no long piece is read, whatever it claims."""
    with _Limited(path) as raw, h5py.File(raw, "r") as file:
        yield file


def read_member(zipped: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """Return a member of a zip file; raises ModelError if it is too long.

    It is unpacked as far as its size in the zip's directory says, and must end there.
    """
    member = zipped.getinfo(name)
    if member.file_size > LONGEST:
        raise _too_long(path, name)
    with zipped.open(member) as file:
        return file.read(member.file_size + 1)  # no more is unpacked, and then it is damaged


def read_attribute(file: h5py.File, name: str, path: Path) -> str | None:
    """Return a text among the attributes of an HDF5 file, None if there is none of that name.

    Raises ModelError if it is something else, or too long.
    """
    if name not in file.attrs:
        return None
    stored = file.attrs.get_id(name)
    kind = h5py.check_string_dtype(stored.dtype)
    if stored.shape not in ((), (1,)) or (kind is None and stored.dtype.kind != "S"):
        raise ModelError(f"{path}: the attribute {name} is not text", _HINT)
    if stored.get_storage_size() > LONGEST:
        raise _too_long(path, name)
    value = np.ravel(np.asarray(file.attrs[name], dtype=object))[0]
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def parsed(text: str | bytes, path: Path, what: str) -> Any:
    """Return the value of a JSON text, called ``what`` in errors.

    Raises ModelError when it has more values or levels than a configuration, ValueError when it is
    not JSON.
    """
    if len(text) > LONGEST:
        raise _too_long(path, what)
    if _marks(text) > _MOST_VALUES:
        raise ModelError(f"{path}: {what} has more than {_MOST_VALUES:,} values", _HINT)
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep(path, what) from None
    level = [value]
    for _ in range(_DEEPEST):
        level = [one for each in level for one in _inside(each)]
        if not level:
            return value
    raise _too_deep(path, what)


def _marks(text: str | bytes) -> int:
    """Return how many values a text may have: each begins behind a comma or a bracket."""
    if isinstance(text, bytes):
        return text.count(b",") + text.count(b"[") + text.count(b"{")
    return text.count(",") + text.count("[") + text.count("{")


def _inside(value: Any) -> list[Any]:
    """Return the lists and dictionaries straight inside another."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return []
    return [one for one in value if isinstance(one, (dict, list))]


def _too_long(path: Path, what: str) -> ModelError:
    name = f"{path}: {what}" if what else str(path)
    return ModelError(f"{name} is longer than {LONGEST >> 20} MB", _HINT)


def _too_deep(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: {what} is nested more than {_DEEPEST} deep", _HINT)
