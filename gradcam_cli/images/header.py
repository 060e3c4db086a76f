"""A file's bytes become its Header: what it claims to be, before a pixel is decoded.

A decoder fills what is missing with grey, and believes any size it is told. So the structure of
every format is walked here first: is the file whole, how big is the picture, which way is up.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["HEAD", "Header", "read_header", "sniff"]

HEAD = 64
"""How many of a file's first bytes tell its format."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_PNM = re.compile(rb"P[1-6]\s")
_BLANK = rb"(?:\s|#[^\n]*\n)+"
_PNM_SIZE = re.compile(rb"P([14])" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})\s")
_PNM_DEEP = re.compile(
    rb"P([2356])" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,5})\s"
)
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ORIENTATION = 0x0112
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
# ``irot`` quarter turns anticlockwise, then ``imir`` axis (None: not mirrored) -> EXIF orientation.
_AVIF_TURNS = {
    (0, None): 1,
    (1, None): 8,
    (2, None): 3,
    (3, None): 6,
    (0, 0): 4,
    (1, 0): 5,
    (2, 0): 2,
    (3, 0): 7,
    (0, 1): 2,
    (1, 1): 7,
    (2, 1): 4,
    (3, 1): 5,
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says of itself. ``width`` and ``height`` are as stored, not yet upright.

    ``orientation`` is the EXIF turn (1 to 8) that is still to be made after decoding: 1 for TIFF,
    which OpenCV turns itself. ``fault`` says why the file is not whole, or is empty.
    ``premultiplied``: the colours of transparent pixels are already scaled by their alpha.
    ``transparent_grey``: the 8- or 16-bit grey level that a PNG declares transparent.
    """

    format: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    fault: str = ""
    premultiplied: bool = False
    transparent_grey: int | None = None


def sniff(head: bytes) -> str:
    """Return the format that a file's first bytes announce, such as ``JPEG``; empty if none."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        brands = head[8:]
        return "AVIF" if b"avif" in brands or b"avis" in brands else "HEIF"
    return "PNM" if _PNM.match(head) else ""


def read_header(data: bytes) -> Header:
    """Return the Header of a whole file's bytes; its ``format`` is empty when none is known."""
    name = sniff(data[:HEAD])
    if name not in _READERS:
        return Header(name)
    try:
        return _READERS[name](data)
    except (struct.error, IndexError):
        return Header(name, fault="it ends inside its header")


def _jpeg(data: bytes) -> Header:
    width = height = 0
    orientation, position = 1, 2
    while match := _JPEG_MARKER.search(data, position):
        marker, position = match[1][0], match.end()
        if marker == 0xD9:
            return Header("JPEG", width, height, orientation, "it holds no picture data")
        if marker == 0xDA:
            # Compressed data cannot contain this pair: it is the end of the picture.
            fault = "" if data.find(b"\xff\xd9", position) > 0 else "it ends before its last line"
            return Header("JPEG", width, height, orientation, fault)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
        elif marker == 0xE1 and data[position + 2 : position + 8] == b"Exif\0\0":
            orientation = _exif(data[position + 8 : position + length])
        position += length
    return Header("JPEG", width, height, orientation, "it ends inside its header")


def _png(data: bytes) -> Header:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    orientation, grey, position, fault = 1, None, 8, "it ends before its last line"
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = memoryview(data)[position + 8 : position + 8 + length]
        position += 12 + length
        if position > len(data):
            break
        (checksum,) = struct.unpack_from(">I", data, position - 4)
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            fault = "its checksums do not agree"
            break
        if kind == b"IEND":
            fault = ""
            break
        if kind == b"eXIf":
            orientation = _exif(bytes(body).removeprefix(b"Exif\0\0"))
        if kind == b"tRNS" and colour == 0 and length >= 2:
            # Below 8 bits OpenCV spreads the levels over 0..255; so is this one.
            scale = 255 // (2**depth - 1) if depth < 8 else 1
            grey = int.from_bytes(body[:2], "big") * scale
    return Header("PNG", width, height, orientation, fault, transparent_grey=grey)


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[position] == 0x21:
        position = _gif_blocks(data, position + 2)
    fault = "it holds no picture data"
    if data[position] == 0x2C:
        flags = data[position + 9]
        _gif_blocks(data, position + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
        fault = ""
    return Header("GIF", width, height, fault=fault)


def _gif_blocks(data: bytes, position: int) -> int:
    """Return the place behind a chain of sub-blocks."""
    while data[position]:
        position += 1 + data[position]
    return position + 1


def _webp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 4)
    fault = "it ends before its last line" if 8 + size > len(data) else ""
    width = height = 0
    orientation, position = 1, 12
    while position + 8 <= min(len(data), 8 + size):
        kind, length = struct.unpack_from("<4sI", data, position)
        body = data[position + 8 : position + 8 + min(length, 1 << 20)]
        if kind == b"VP8X":
            width = int.from_bytes(body[4:7], "little") + 1
            height = int.from_bytes(body[7:10], "little") + 1
        elif kind == b"VP8 " and not width:
            width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", body, 6))
        elif kind == b"VP8L" and not width:
            bits = int.from_bytes(body[1:5], "little")
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"EXIF":
            orientation = _exif(body.removeprefix(b"Exif\0\0"))
        position += 8 + length + length % 2
    return Header("WebP", width, height, orientation, fault)


def _bmp(data: bytes) -> Header:
    start, size = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<I", data, 14)[0]
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)
    plain = compression in (0, 3, 6)
    needed = start + (width * bits + 31) // 32 * 4 * height if plain else start
    fault = "it ends before its last line" if needed > len(data) else ""
    return Header("BMP", width, height, fault=fault)


def _pnm(data: bytes) -> Header:
    match = _PNM_SIZE.match(data) or _PNM_DEEP.match(data)
    if match is None:
        return Header("PNM", fault="it ends inside its header")
    kind, width, height = (int(match[group]) for group in (1, 2, 3))
    if kind in (1, 2, 3):
        # Written out as numbers: one character a sample is the least that can be there.
        needed = width * height * (3 if kind == 3 else 1)
    elif kind == 4:
        needed = (width + 7) // 8 * height
    else:
        needed = width * height * (3 if kind == 6 else 1) * (2 if int(match[4]) > 255 else 1)
    fault = "it ends before its last line" if match.end() + needed > len(data) else ""
    return Header("PNM", width, height, fault=fault)


def _jp2(data: bytes) -> Header:
    if data.startswith(b"\xff\x4f"):
        return _codestream(data, 0, len(data))
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"jp2c":
            return _codestream(data, start, end)
    return Header("JPEG 2000", fault="it ends inside its header")


def _codestream(data: bytes, start: int, end: int) -> Header:
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    whole = end <= len(data) and data[:end].rstrip(b"\0").endswith(b"\xff\xd9")
    fault = "" if whole else "it ends before its last line"
    return Header("JPEG 2000", max(right - left, 0), max(bottom - top, 0), fault=fault)


def _avif(data: bytes) -> Header:
    width = height = turn = reach = 0
    mirror: int | None = None
    for kind, start, end in _boxes(data, 0, len(data)):
        reach = max(reach, end)
        if kind != b"meta":
            continue
        for name, at in _properties(data, start + 4, min(end, len(data))):
            if name == b"ispe":
                size = struct.unpack_from(">II", data, at + 4)
                width, height = max((width, height), size, key=lambda wh: wh[0] * wh[1])
            elif name == b"irot":
                turn = data[at] & 3
            elif name == b"imir":
                mirror = data[at] & 1
    fault = "it ends before its last line" if reach > len(data) or not width else ""
    return Header("AVIF", width, height, _AVIF_TURNS[turn, mirror], fault)


def _properties(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Yield name and place of every item property, in ``meta/iprp/ipco``."""
    for kind, first, last in _boxes(data, start, end):
        if kind in (b"iprp", b"ipco"):
            yield from _properties(data, first, min(last, end))
        else:
            yield kind, first


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
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


def _tiff(data: bytes) -> Header:
    tags = _tags(data, {256, 257, 258, 273, 279, 322, 323, 324, 325, 338})
    width, height = tags.get(256, [0])[0], tags.get(257, [0])[0]
    places = tags.get(324) or tags.get(273) or []
    counts = tags.get(325) or tags.get(279) or []
    fault = ""
    if not width or not height or not places:
        fault = "it ends inside its header"
    elif any(at + count > len(data) for at, count in zip(places, counts, strict=False)):
        fault = "it ends before its last line"
    # OpenCV reads 8-bit TIFF through libtiff's RGBA interface, which scales colours by alpha.
    scaled = tags.get(258, [1])[0] == 8 or tags.get(338, [0])[0] == 1
    return Header("TIFF", width, height, fault=fault, premultiplied=scaled)


def _tags(data: bytes, wanted: set[int]) -> dict[int, list[int]]:
    """Return the wanted whole-number tags of a TIFF structure's first directory."""
    order = "<" if data[:2] == b"II" else ">"
    magic, at = struct.unpack_from(order + "HI", data, 2)
    if magic != 42:
        return {}
    (count,) = struct.unpack_from(order + "H", data, at)
    tags: dict[int, list[int]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
        code = {1: "B", 3: "H", 4: "I"}.get(kind)
        if tag not in wanted or code is None or number > len(data):
            continue
        place = entry + 8
        if number * _TIFF_SIZES[kind] > 4:
            (place,) = struct.unpack_from(order + "I", data, place)
        tags[tag] = list(struct.unpack_from(f"{order}{number}{code}", data, place))
    return {tag: values for tag, values in tags.items() if values}


def _exif(data: bytes) -> int:
    """Return the orientation, 1 to 8, of an EXIF block; 1 when it says nothing sensible."""
    if data[:2] not in (b"II", b"MM"):
        return 1
    try:
        turn = _tags(data, {_ORIENTATION}).get(_ORIENTATION, [1])[0]
    except struct.error:
        return 1
    return turn if 1 <= turn <= 8 else 1


_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WebP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "PNM": _pnm,
    "JPEG 2000": _jp2,
    "AVIF": _avif,
}
