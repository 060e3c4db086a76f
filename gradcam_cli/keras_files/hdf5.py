"""An HDF5 file is read from itself alone, and is no larger in memory than a model's file can be.

HDF5 follows links into other files, keeps numbers in other files, and loads plugins for filters
that it does not have. No Keras writes any of these, so a file that has one is refused before
anything in it is read.
"""

from __future__ import annotations

import io
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
from h5py import h5d, h5i, h5l, h5o, h5pl, h5z

from gradcam_cli.errors import ModelError

FLOOR = 256 << 20
"""Bytes that any file may unpack to."""
RATIO = 100
"""How many times its size a larger file may unpack to.

Trained floats hardly shrink, pruned ones where 99 of 100 are zero to a fiftieth. DEFLATE packs
zeros, and HDF5 arrays that were never written, a thousand times and more.
"""

_MOST = 200_000
"""The largest networks of Keras have some thousands."""
_GZIPPED = 256 << 10
"""A chunk of so few bytes unpacks to 260 MB at most, whatever it claims."""
_PACKERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SZIP, 32000}  # 32000 is h5py's LZF
_FILTERS = _PACKERS | {h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
_ALONE = "a model is read from its own file alone; save it again with model.save('x.keras')"
_BOMB = "such a file fills the memory; save the model again with model.save('x.keras')"


@contextmanager
def open_hdf5(path: Path, member: IO[bytes] | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, once it is sure that it leads nowhere else.

    ``member`` is the open file where it lies inside of ``path``. Raises ModelError for what
    ``check_hdf5`` refuses, and OSError where the file is damaged.
    """
    with h5py.File(member or path, "r", locking=None if member else False) as file:
        size = path.stat().st_size if member is None else member.seek(0, io.SEEK_END)
        check_hdf5(file, path, size)
        yield file


def check_hdf5(file: h5py.File, path: Path, size: int) -> None:
    """Go through all that an HDF5 file of ``size`` bytes holds, and read no array of it.

    Raises ModelError, naming the entry, for links that are not to a place in the file's own tree,
    arrays in other files, filters that HDF5 and h5py do not bring along, and arrays that
    are far larger than the file; OSError where the file is damaged.
    """
    with _without_plugins():
        try:
            _Walk(path, size).go(file)
        except (KeyError, RuntimeError, TypeError, ValueError, zlib.error) as error:
            raise OSError(f"damaged HDF5: {error}") from error


@contextmanager
def _without_plugins() -> Iterator[None]:
    """Keep HDF5 from looking for filters in the folders of plugins; groups can name some, too."""
    folders = [h5pl.get(place) for place in range(h5pl.size())]
    try:
        for _ in folders:
            h5pl.remove(0)
        yield
    finally:
        for folder in folders:
            h5pl.append(folder)


@contextmanager
def bounded_text() -> Iterator[None]:
    """Raise ModelError where the block reads an array whose values may each be as long as the file.

    Many of them can share one place in the file, and are read as often.
    """
    originals = {name: vars(h5py.Dataset)[name] for name in ("__getitem__", "read_direct")}

    def checked(original: Any) -> Any:
        def read(data: Any, *args: Any, **kwargs: Any) -> Any:
            count = math.prod(data.shape or ())
            if count > 1 and data.dtype.hasobject:
                file = h5i.get_file_id(data.id)
                if count * file.get_filesize() > FLOOR:
                    raise ModelError(f"the file has {count:,} values of any length", _BOMB)
            return original(data, *args, **kwargs)

        return read

    try:
        for name, original in originals.items():
            setattr(h5py.Dataset, name, checked(original))
        yield
    finally:
        for name, original in originals.items():
            setattr(h5py.Dataset, name, original)


class _Walk:
    """What was met in a file so far."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self.seen: set[int] = set()
        self.entries = self.unpacked = 0

    def go(self, file: h5py.File) -> None:
        waiting: list[tuple[Any, str]] = [(file.id, "")]
        while waiting:
            parent, name = waiting.pop()
            for link, place in self.links(parent, name):
                if place in self.seen:
                    continue
                self.seen.add(place)
                child = h5o.open(parent, link)
                inner = f"{name}/{os.fsdecode(link)}"
                if isinstance(child, h5d.DatasetID):
                    self.dataset(child, inner)
                elif isinstance(child, h5py.h5g.GroupID):
                    waiting.append((child, inner))
        self.sizes()

    def refuse(self, name: str, what: str, hint: str = _ALONE) -> None:
        raise ModelError(f"{self.path}: {name} {what}", hint)

    def links(self, group: Any, name: str) -> list[tuple[bytes, int]]:
        """Return the names in a group, and the places in the file that they lead to."""
        found: list[tuple[bytes, int, int]] = []

        def visit(link: bytes, info: Any) -> bool | None:
            found.append((link, info.type, info.u))
            return True if len(found) + self.entries > _MOST else None  # ends the iteration

        group.links.iterate(visit, info=True)
        self.entries += len(found)
        if self.entries > _MOST:
            raise ModelError(f"{self.path} holds more than {_MOST:,} groups and arrays", _BOMB)
        for link, kind, _ in found:
            if kind != h5l.TYPE_HARD:
                self.refuse(f"{name}/{os.fsdecode(link)}", _leads(group, link, kind))
        return [(link, place) for link, _, place in found]

    def dataset(self, data: Any, name: str) -> None:
        plan = data.get_create_plist()
        if plan.get_external_count():
            there = os.fsdecode(plan.get_external(0)[0])
            self.refuse(name, f"keeps its numbers in another file, {there}")
        if plan.get_layout() == h5d.VIRTUAL:
            self.refuse(name, "is put together from other arrays")
        filters = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
        foreign = [one for one in filters if one not in _FILTERS]
        if foreign:
            self.refuse(name, f"is packed with filter {foreign[0]}, which would be a plugin")
        if len(set(filters)) < len(filters) or len(_PACKERS.intersection(filters)) > 1:
            self.refuse(name, "is packed more than once", _BOMB)
        kind = data.get_type()
        length = 0 if data.shape is None else math.prod(data.shape)  # None: no array at all
        unpacked = length * kind.get_size()
        if plan.get_layout() == h5d.CHUNKED:
            chunk = math.prod(plan.get_chunk()) * kind.get_size()
            unpacked = max(unpacked, chunk)
            if h5z.FILTER_DEFLATE in filters:
                self.chunks(data, filters.index(h5z.FILTER_DEFLATE), chunk, name)
        if unpacked > max(FLOOR, RATIO * self.size):
            self.refuse(name, f"unpacks to {unpacked:,} bytes from a file of {self.size:,}", _BOMB)
        self.unpacked += unpacked

    def chunks(self, data: Any, place: int, most: int, name: str) -> None:
        """Refuse pieces of an array that unpack to more than a piece; HDF5 unpacks all of it."""
        large: list[Any] = []
        data.chunk_iter(lambda info: large.append(info) if info.size > _GZIPPED else None)
        for info in large:
            if info.size > self.size:
                raise OSError("a chunk is larger than the file")
            if info.filter_mask & 1 << place:
                continue
            _, rest = data.read_direct_chunk(info.chunk_offset)
            unpacker, unpacked = zlib.decompressobj(), 0
            while rest and not unpacker.eof:
                unpacked += len(unpacker.decompress(rest, 1 << 20))
                rest = unpacker.unconsumed_tail
                if unpacked > most + 4:  # and the sum of fletcher32
                    self.refuse(name, "unpacks to more than its own size", _BOMB)

    def sizes(self) -> None:
        if self.unpacked > max(FLOOR, RATIO * self.size):
            what = f"unpack to {self.unpacked:,} bytes from a file of {self.size:,}"
            self.refuse("its arrays", what, _BOMB)


def _leads(group: Any, link: bytes, kind: int) -> str:
    """Return where a link leads that is not to an object of the file."""
    if kind == h5l.TYPE_EXTERNAL:
        return f"is a link into another file, {os.fsdecode(group.links.get_val(link)[0])}"
    if kind == h5l.TYPE_SOFT:
        return f"is a link to another place, {os.fsdecode(group.links.get_val(link))}"
    return "is a link of a kind that only another program follows"
