"""A zip file of a model has each member once, in its own place, and unpacks to a bounded size."""

from __future__ import annotations

import io
import re
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.bounded import LONGEST
from gradcam_cli.keras_files.hdf5 import FLOOR, RATIO, open_hdf5

WEIGHTS = "model.weights.h5"
ARRAYS = "model.weights.npz"

_MEMBERS = ("config.json", "metadata.json", WEIGHTS)
_VOCABULARY = re.compile(r"assets/(.+/)?vocabulary\.txt")
_BLOCK = 1 << 20
_MOST = 10_000
"""A ``.keras`` file has three members, and some of its assets."""
_ENCRYPTED = 1
_SAVE_AGAIN = "save the model again with model.save('x.keras')"


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file for reading, once it is sure that everything in it can be unpacked safely.

    Raises ModelError, naming the member, for one that is there twice, encrypted, a link, outside of
    its folder, laid over another, or far larger than what is stored of it; and what zipfile raises
    for a damaged file.
    """
    with zipfile.ZipFile(path) as archive:
        check_members(archive, path)
        yield archive


def check_weights(archive: zipfile.ZipFile, path: Path) -> None:
    """Make sure that no weights in a zip file lead to another file, or are far larger than stored.

    Raises ModelError, and what zipfile and h5py raise for damaged ones.
    """
    names = archive.namelist()
    if WEIGHTS in names:
        with member(archive, WEIGHTS) as file, open_hdf5(path, file):
            pass
    elif ARRAYS in names:
        with member(archive, ARRAYS) as file, zipfile.ZipFile(file) as arrays:
            check_members(arrays, path)


def check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise ModelError for a member that ``open_zip`` refuses; only the directory is read."""
    members = archive.infolist()
    if len(members) > _MOST:
        raise ModelError(f"{path} has {len(members):,} members", _SAVE_AGAIN)
    names: set[str] = set()
    end = 0
    for one in sorted(members, key=lambda one: one.header_offset):
        why = _wrong(one)
        if one.filename.casefold().rstrip("/") in names:
            why = "is in it twice"
        elif one.header_offset < end:
            why = "lies over another member"
        elif one.file_size > max(FLOOR, RATIO * one.compress_size):
            why = f"unpacks to {one.file_size:,} bytes from {one.compress_size:,}"
        if why:
            raise ModelError(f"{path}: {one.filename!r} {why}", _SAVE_AGAIN)
        names.add(one.filename.casefold().rstrip("/"))
        end = one.header_offset + _HEADER.size + len(one.filename) + one.compress_size
    if archive.start_dir is not None and end > archive.start_dir:
        raise zipfile.BadZipFile("a member is longer than the file")
    total = sum(one.file_size for one in members)
    stored = sum(one.compress_size for one in members)
    if total > max(FLOOR, RATIO * stored):
        raise ModelError(f"{path} unpacks to {total:,} bytes from {stored:,}", _SAVE_AGAIN)


def _wrong(one: zipfile.ZipInfo) -> str:
    """Return what a member alone is refused for; empty if nothing."""
    if one.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if stat.S_ISLNK(one.external_attr >> 16):
        return "is a link to another file"
    # Where a name leads on any system; zipfile has made slashes of backslashes on Windows only.
    kinds = (PurePosixPath(one.filename), PureWindowsPath(one.filename))
    if any(kind.is_absolute() or kind.anchor or ".." in kind.parts for kind in kinds):
        return "lies outside of the file's own folder"
    return ""


@contextmanager
def member(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Open a member that can be read from any place on, as HDF5 does.

    What zipfile itself gives is read from the beginning again for every step back.
    """
    info = archive.getinfo(name)
    if info.compress_type == zipfile.ZIP_STORED and archive.filename is not None:
        with archive.open(info):  # its header is the one that the directory promises
            pass
        with Path(archive.filename).open("rb", buffering=0) as file:
            file.seek(info.header_offset)
            *_, name_length, extra = _HEADER.unpack(file.read(_HEADER.size))
            start = info.header_offset + _HEADER.size + name_length + extra
            yield io.BufferedReader(_Part(file, start, info.file_size))
        return
    with tempfile.TemporaryFile(prefix="gradcam-") as copy:
        _copy(archive, info, copy, Path(tempfile.gettempdir()))
        copy.seek(0)
        yield copy


_HEADER = struct.Struct("<4s5H3I2H")
"""The local header of a member, up to its name."""


class _Part(io.RawIOBase):
    """A stretch of a file as a file of its own."""

    def __init__(self, file: io.FileIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        length = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        got = self._file.readinto(memoryview(buffer)[:length]) or 0
        self._at += got
        return got


@contextmanager
def unpacked(path: Path, name: str) -> Iterator[Path]:
    """Unpack one member of a zip file into a folder of its own, which is removed afterwards."""
    with open_zip(path) as archive, tempfile.TemporaryDirectory(prefix="gradcam-") as folder:
        check_weights(archive, path)
        target = Path(folder) / PurePosixPath(name).name
        with target.open("wb") as file:
            _copy(archive, archive.getinfo(name), file, target.parent)
        yield target


def without_assets(path: Path, vocabularies: bool) -> Path:
    """Return a ``.keras`` file of three members, a copy beside ``path`` where that has more.

    Keras unpacks all there is into a folder of its own when there are more. Its own layers have no
    assets but the ``vocabularies`` that they learned, which stay where that is asked for.
    Raises ModelError where those are longer than any are.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) <= len(_MEMBERS):
            return path
        weights = WEIGHTS if WEIGHTS in archive.namelist() else ARRAYS
        learned = [one for one in members if vocabularies and _VOCABULARY.fullmatch(one.filename)]
        if sum(one.file_size for one in learned) > LONGEST:
            raise ModelError(
                f"{path} has vocabularies of more than {LONGEST >> 20} MB", _SAVE_AGAIN
            )
        target = path.with_name("without-assets.keras")
        with zipfile.ZipFile(target, "w") as copy:
            for one in members:
                if one.filename in (*_MEMBERS[:2], weights) or one in learned:
                    with copy.open(one.filename, "w", force_zip64=True) as file:
                        _copy(archive, one, file, target.parent)
    return target


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: IO[bytes], folder: Path) -> None:
    """Copy a member; zipfile gives no byte more than the directory promises."""
    check_space(info.file_size, folder)
    with archive.open(info) as source:
        shutil.copyfileobj(source, target, _BLOCK)


def check_space(size: int, folder: Path) -> None:
    """Raise ModelError when ``size`` bytes do not fit on the disk of a folder."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ModelError(
            f"{folder} has {free:,} bytes free; the model's weights take {size:,} for a while",
            "free some space there, or set TMPDIR to a folder on a larger disk",
        )
