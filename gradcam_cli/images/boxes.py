"""The boxes of ISO files, which JPEG 2000, AVIF, HEIC and films are made of."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, first and last place of the boxes of an ISO file; the last may reach too far."""
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        if length == 0:
            length = end - start
        if length < head:
            return
        yield kind, start + head, start + length
        start += length


def properties(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, first and last place of every item property, in ``meta/iprp/ipco``."""
    for kind, first, last in boxes(data, start, end):
        if kind in (b"iprp", b"ipco"):
            yield from properties(data, first, min(last, end))
        else:
            yield kind, first, min(last, end)


def brands(head: bytes) -> list[bytes]:
    """Return the brands of a file that begins with an ``ftyp`` box, its own one first."""
    (length,) = struct.unpack_from(">I", head)
    named = head[8 : min(length, len(head))] if length >= 12 else head[8:]
    found = [named[at : at + 4] for at in range(0, len(named) - 3, 4)]
    return found[:1] + found[2:]  # the second four bytes are a version
