"""A file's bytes become its Header: every format's structure is walked, nothing is decoded.

A decoder fills what is missing with grey, and believes any size that it reads. So it is seen here
first: is the file whole, how big is the image, which way is up, and what do its numbers mean.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from functools import partial

from gradcam_cli.images.header import HEAD, Header, sniff
from gradcam_cli.images.iso import jpeg2000, still
from gradcam_cli.images.tiff import exif_orientation, read_layout

_BLANK = rb"(?:\s|#[^\n]*\n)+"
_PNM_SIZE = re.compile(rb"P([14])" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})\s")
_PNM_DEEP = re.compile(
    rb"P([2356])" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,5})\s"
)
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_JPEG_LS = 0xF7
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {_JPEG_LS}
_JPEG_KINDS = {0xC3: "lossless", 0xC9: "arithmetic coding", 0xCA: "arithmetic coding"}


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
    orientation, position, refusal, detail = 1, 2, "", ""
    while match := _JPEG_MARKER.search(data, position):
        marker, position = match[1][0], match.end()
        if marker == 0xD9:
            return Header("JPEG", width, height, orientation, "it holds no picture data")
        if marker == 0xDA:
            # Compressed data cannot contain this pair: it ends the image, and is sought there.
            fault = "" if data.rfind(b"\xff\xd9", position) > 0 else "it ends before its last line"
            return Header("JPEG", width, height, orientation, fault, refusal, detail)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if marker in _JPEG_FRAMES:
            depth, height, width = struct.unpack_from(">BHH", data, position + 2)
            refusal = f"a JPEG file of {depth} bits" if depth != 8 else ""
            refusal = "a JPEG-LS file" if marker == _JPEG_LS else refusal
            detail = _JPEG_KINDS.get(marker, "")
        elif marker == 0xE1 and data[position + 2 : position + 8] == b"Exif\0\0":
            orientation = exif_orientation(data[position + 8 : position + length])
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
            orientation = exif_orientation(bytes(body).removeprefix(b"Exif\0\0"))
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
        left, top, wide, high, flags = struct.unpack_from("<4HB", data, position + 1)
        # As browsers do it: a first frame that does not fit makes the screen larger.
        width, height = max(width, left + wide), max(height, top + high)
        _gif_blocks(data, position + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
        fault = ""
    return Header("GIF", width, height, fault=fault, by_pillow=True)


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
            orientation = exif_orientation(body.removeprefix(b"Exif\0\0"))
        position += 8 + length + length % 2
    return Header("WebP", width, height, orientation, fault, by_pillow=True)


def _bmp(data: bytes) -> Header:
    start, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)
    needed = (width * bits + 31) // 32 * 4 * height if compression in (0, 3, 6) else 0
    fault = "it ends before its last line" if start + needed > len(data) else ""
    return Header("BMP", width, height, 1, fault, detail=f"{bits}-bit", by_pillow=True)


def _pnm(data: bytes) -> Header:
    match = _PNM_SIZE.match(data) or _PNM_DEEP.match(data)
    if match is None:
        return Header("PNM", fault="it ends inside its header")
    kind, width, height = (int(match[group]) for group in (1, 2, 3))
    most = 1 if kind in (1, 4) else int(match[4])
    if kind in (1, 2, 3):
        # Written out as numbers: one character a sample is the least that can be there.
        needed = width * height * (3 if kind == 3 else 1)
    elif kind == 4:
        needed = (width + 7) // 8 * height
    else:
        needed = width * height * (3 if kind == 6 else 1) * (2 if most > 255 else 1)
    fault = "it ends before its last line" if match.end() + needed > len(data) else ""
    white = (most,) if kind in (5, 6) and most else ()  # OpenCV stretches bits
    return Header("PNM", width, height, fault=fault, white=white, by_pillow=kind in (1, 2, 3))


def _tiff(data: bytes) -> Header:
    layout = read_layout(data)
    width, height = layout.get(256), layout.get(257)
    fault = ""
    if not width or not height or not layout.places:
        fault = "it ends inside its header"
    elif not layout.whole:
        fault = "its directory is damaged"
    elif any(at + n > len(data) for at, n in zip(layout.places, layout.counts, strict=False)):
        fault = "it ends before its last line"
    extra, by_samples = layout.extra, layout.by_samples
    # The standard calls it a statistic; only a depth's own largest number is taken for more.
    stated = layout.get(281)
    return Header(
        "TIFF",
        width,
        height,
        # OpenCV turns what it reads whole.
        orientation=exif_orientation(data) if by_samples else 1,
        fault=fault,
        refusal=layout.refusal,
        detail=layout.detail,
        white=(layout.white,) if layout.get(262) == 3 or layout.bits != 16 else (),
        stated_white=stated if stated in (1023, 4095, 16383) else 0,
        inverted=by_samples and layout.get(262) == 0,
        opaque=not any(kind in (1, 2) for kind in extra),
        # libtiff's RGBA interface scales colours by straight alpha.
        premultiplied=not by_samples or 1 in extra,
        sample_bytes=-(-layout.samples * layout.bits // 8) if by_samples else 0,
    )


_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WebP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "PNM": _pnm,
    "JPEG 2000": jpeg2000,
    "AVIF": partial(still, "AVIF"),
    "HEIF": partial(still, "HEIF"),
}
