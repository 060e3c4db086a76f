"""JPEG 2000, AVIF and HEIF files, which are made of boxes, become their Headers."""

from __future__ import annotations

import struct
from fractions import Fraction

from gradcam_cli.images.boxes import boxes, properties
from gradcam_cli.images.header import Header

# ``irot`` quarter turns anticlockwise, then ``imir`` axis (None: not mirrored) -> EXIF orientation.
_TURNS = {
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
_COLOURS = {12: "CMYK", 14: "CIE Lab", 18: "sYCC", 24: "e-sYCC"}
"""Enumerated colour spaces of JPEG 2000 that OpenCV refuses, or converts by another matrix."""


def jpeg2000(data: bytes) -> Header:
    """Return the Header of a JPEG 2000 file or bare codestream; raises struct.error, IndexError."""
    if data.startswith(b"\xff\x4f"):
        return _codestream(data, 0, len(data), {})
    inner: dict[bytes, bytes] = {}
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"jp2h":
            for name, first, last in boxes(data, start, min(end, len(data))):
                inner.setdefault(name, data[first:last])
        if kind == b"jp2c":
            return _codestream(data, start, end, inner)
    return Header("JPEG 2000", fault="it ends inside its header")


def _codestream(data: bytes, start: int, end: int, inner: dict[bytes, bytes]) -> Header:
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    (count,) = struct.unpack_from(">H", data, start + 40)
    whole = end <= len(data) and data[:end].rstrip(b"\0").endswith(b"\xff\xd9")
    depths = [(data[start + 42 + 3 * place] & 0x7F) + 1 for place in range(count)]
    opacity = _opacity(inner.get(b"cdef", b""))
    colour = inner.get(b"colr", b"")
    space = int.from_bytes(colour[3:7], "big") if colour[:1] == b"\1" else 0
    refusal = f"a JPEG 2000 file in {_COLOURS[space]}" if space in _COLOURS else ""
    if b"pclr" in inner:
        refusal = "a JPEG 2000 file with a palette"
    elif count not in (1, 3, 4):
        refusal = f"a JPEG 2000 file of {count} channels"
    elif min(depths) < 8 or max(depths) > 16:
        refusal = f"a JPEG 2000 file of {min(depths)} bits"
    # Blue comes first when it is decoded.
    order = depths[2::-1] + depths[3:] if count > 2 else depths
    return Header(
        "JPEG 2000",
        max(right - left, 0),
        max(bottom - top, 0),
        fault="" if whole else "it ends before its last line",
        refusal=refusal,
        detail=f"{max(depths, default=0)}-bit, {count} channels",
        white=tuple((1 << depth) - 1 for depth in order),
        opaque=not opacity,
        premultiplied=2 in opacity,
        end=end,
    )


def _opacity(definition: bytes) -> list[int]:
    """Return those channels of a ``cdef`` box that are opacity: 1 is straight, 2 premultiplied."""
    (count,) = struct.unpack(">H", definition[:2]) if len(definition) > 1 else (0,)
    kinds = [struct.unpack_from(">H", definition, 4 + 6 * place)[0] for place in range(count)]
    return [kind for kind in kinds if kind in (1, 2)]


def still(name: str, data: bytes) -> Header:
    """Return the Header of an ``AVIF`` or ``HEIF`` file; the decoder of HEIF makes all turns.

    Raises struct.error and IndexError where it is cut off.
    """
    width = height = turn = reach = depth = 0
    mirror: int | None = None
    aperture: tuple[int, ...] = ()
    grey, see_through, narrow = True, False, False
    for kind, start, end in boxes(data, 0, len(data)):
        if kind in (b"ftyp", b"meta", b"mdat", b"moov"):  # others may be bytes behind the end
            reach = max(reach, end)
        if kind != b"meta":
            continue
        for prop, at, last in properties(data, start + 4, min(end, len(data))):
            if prop == b"ispe":
                size = struct.unpack_from(">II", data, at + 4)
                width, height = max((width, height), size, key=lambda wh: wh[0] * wh[1])
            elif prop == b"clap":
                aperture = struct.unpack_from(">4IiIiI", data, at)
            elif prop == b"irot":
                turn = data[at] & 3
            elif prop == b"imir":
                mirror = data[at] & 1
            elif prop == b"av1C":
                flags = data[at + 2]
                depth = max(depth, 8 + (flags >> 5 & 2) + (flags >> 4 & 2 if flags & 64 else 0))
                grey = grey and bool(flags & 16)
            elif prop == b"auxC":
                see_through = see_through or b"alpha" in data[at:last]
            elif prop == b"colr" and data[at : at + 4] == b"nclx":
                narrow = not data[at + 10] & 128
    if name == "HEIF":
        turn, mirror, depth = 0, None, 0
    # libavif widens the narrow range of colours; grey is handed out as it lies there.
    shift, narrow = max(depth - 8, 0), narrow and grey and depth > 0
    return Header(
        name,
        width,
        height,
        _TURNS[turn, mirror],
        "it ends before its last line" if reach > len(data) or not width else "",
        detail=f"{depth}-bit" if depth else "",
        white=((235 if narrow else 256) * (1 << shift) - (not narrow),) if depth else (),
        black=16 << shift if narrow else 0,
        crop=_crop(width, height, aperture) if depth else None,
        by_pillow=depth > 0 and grey and see_through,
    )


def _crop(width: int, height: int, aperture: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return the pixels that a clean aperture shows; None for all, or where it makes no sense.

    It is given as fractions: width, height, and how far its centre lies from the image's.
    """
    if not aperture or not all(aperture[1::2]):
        return None
    wide, high, right, down = (
        Fraction(*pair) for pair in zip(aperture[::2], aperture[1::2], strict=True)
    )
    left, top = (width - wide) / 2 + right, (height - high) / 2 + down
    edges = left, top, left + wide, top + high
    inside = 0 <= left < edges[2] <= width and 0 <= top < edges[3] <= height
    if not inside or any(edge.denominator != 1 for edge in edges):
        return None
    return int(left), int(top), int(edges[2]), int(edges[3])
