"""TIFF directories, and the samples of TIFF pictures that a plain decode gets wrong.

OpenCV reads 8-bit TIFF through libtiff's RGBA interface, which knows most of what the tags say,
and deeper TIFF as bare numbers, whatever the tags say. Where neither is right, the strips or tiles
are handed to it again under a directory of our own, as grey pictures: libtiff undoes the
compression, and what the numbers mean is decided here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layout", "exif_orientation", "read_layout", "read_samples"]

Samples = NDArray[Any]  # uint8 or uint16
Decode = Callable[[NDArray[np.uint8]], "Samples | None"]

_ORIENTATION = 274
# Other tags can be long, and make all the rest wait.
_WANTED = frozenset((254, 256, 257, 258, 259, 262, 266, 273, _ORIENTATION, 277, 278, 279, 281))
_WANTED |= {284, 317, 320, 322, 323, 324, 325, 330, 338, 339, 50706}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_PHOTOMETRIC = {
    0: "grey",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32803: "camera raw",
    34892: "camera raw",
    32844: "LogL",
    32845: "LogLuv",
}
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
_COMPRESSION = {
    1: "uncompressed",
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "Deflate",
    32946: "Deflate",
    32773: "PackBits",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_BYTEWISE = {1, 5, 8, 32946, 32773, 34925, 50000}
"""Compressions of bytes, whatever they mean; the others know about pixels."""

_DIFFERENCES = _BYTEWISE - {1, 32773}
"""Compressions that libtiff undoes horizontal differences of; of others it ignores the tag."""

_DECODED = _BYTEWISE | {2, 3, 4, 6, 7, 32771, 50001}
"""Compressions that libtiff may know; of others it makes black pictures, without an error."""

_UNPACKED = 1 << 22  # numbers that are unpacked from bits at once


@dataclass(frozen=True, slots=True)
class Layout:
    """The tags of a TIFF's first picture, by number, with the defaults of the standard."""

    order: str
    big: bool
    tags: dict[int, list[int]]
    canon: bool = False

    def get(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        return self.tags.get(tag, [default])[0]

    @property
    def samples(self) -> int:
        """Return the numbers a pixel."""
        return self.get(277, 1)

    @property
    def bits(self) -> int:
        """Return the bits a number, or 0 when they are not all the same."""
        bits = self.tags.get(258, [1])
        return bits[0] if len(set(bits)) == 1 else 0

    @property
    def colours(self) -> int:
        """Return how many samples are colours; 0 where the kind of picture is not known."""
        return _COLOURS.get(self.get(262, -1), 0)

    @property
    def extra(self) -> list[int]:
        """Return what the samples behind the colours are: 1 and 2 are opacity, 0 anything."""
        count = max(self.samples - self.colours, 0)
        return (self.tags.get(338, []) + [0] * count)[:count]

    @property
    def white(self) -> int:
        """Return the largest number that ``read_samples`` can give."""
        if self.get(262) == 3:
            return 65535 if max(self.tags.get(320, [0])) > 255 else 255
        return (1 << self.bits) - 1

    @property
    def predictor(self) -> int:
        """Return 1, or 2 where neighbours' differences are stored."""
        return self.get(317, 1) if self.get(259, 1) in _DIFFERENCES else 1

    @property
    def separate(self) -> bool:
        """Tell whether each sample has a plane of its own."""
        return self.get(284, 1) == 2 and self.samples > 1

    @property
    def places(self) -> list[int]:
        """Return where the strips or tiles begin."""
        return self.tags.get(324) or self.tags.get(273) or []

    @property
    def counts(self) -> list[int]:
        """Return how many bytes each strip or tile has."""
        return self.tags.get(325) or self.tags.get(279) or []

    @property
    def detail(self) -> str:
        """Return the kind of picture in a few plain words."""
        kind = _PHOTOMETRIC.get(self.get(262, -1), "unknown colours")
        bits = self.get(258, 1)
        words = [f"{bits}-bit {kind}" if self.bits else f"{kind} of mixed depths"]
        if self.extra:
            words.append(f"{self.samples} channels")
        words.append(_COMPRESSION.get(self.get(259, 1), f"compression {self.get(259, 1)}"))
        return ", ".join(words)

    @property
    def refusal(self) -> str:
        """Return why no decoder here reads the picture rightly, or an empty text."""
        photometric = self.get(262, -1)
        if 50706 in self.tags or photometric in (32803, 34892):
            return "a camera's raw file (DNG)"
        if self.canon:
            return "a camera's raw file (CR2), which begins with a preview"
        if self.get(254) & 1 and 330 in self.tags:
            return "a camera's raw file, which begins with a thumbnail"
        kind = {1: "uint", 2: "int", 3: "float", 4: "undefined"}.get(self.get(339, 1), "complex")
        if kind != "uint" or self.get(258, 1) > 16:
            return f"a TIFF of {kind}{self.get(258, 1)} numbers, not of 8- or 16-bit levels"
        known = self.get(259, 1) in _DECODED
        if known and (self.plain or self.direct or self.by_samples):
            return ""
        return f"a TIFF file of a kind that cannot be read rightly: {self.detail}"

    @property
    def plain(self) -> bool:
        """Tell whether libtiff's RGBA interface, as OpenCV calls it, makes the right colours."""
        photometric, extra = self.get(262, -1), self.extra
        if self.bits == 8 and 322 in self.tags and self.get(259, 1) == 1:
            return False  # OpenCV asks for such tiles in a way that libtiff refuses
        if photometric in (2, 6) and self.samples == 3:
            return self.bits == 8
        if photometric == 2:
            return self.bits == 8 and self.samples == 4 and extra[0] in (0, 1, 2)
        if photometric == 5:
            return self.bits == 8 and self.samples == 4
        if photometric == 3:
            return self.bits in (1, 4, 8) and self.samples == 1
        return photometric in (0, 1) and self.bits in (1, 8) and self.samples == 1

    @property
    def direct(self) -> bool:
        """Tell whether OpenCV gives the bare 16-bit numbers, and they are grey, RGB or RGBA."""
        photometric = self.get(262, -1)
        if self.bits != 16 or self.separate:
            return False
        return (photometric, self.samples) in ((1, 1), (2, 3), (2, 4))

    @property
    def by_samples(self) -> bool:
        """Tell whether ``read_samples`` is what reads the picture."""
        return (
            not (self.plain or self.direct)
            and self.get(262, -1) in (0, 1, 2, 3, 5)
            and (self.get(262) != 3 or len(self.tags.get(320, [])) == 3 << self.bits)
            and 1 <= self.bits <= 16
            and 1 <= self.colours <= self.samples <= 64
            and not (self.get(262) == 3 and self.samples > 1)
            and self.get(259, 1) in _BYTEWISE
            and (self.predictor == 1 or (self.predictor == 2 and self.bits in (8, 16)))
        )


def read_layout(data: bytes) -> Layout:
    """Return the first directory of a TIFF or BigTIFF; raises struct.error where it is cut off."""
    order = "<" if data[:2] == b"II" else ">"
    (magic,) = struct.unpack_from(order + "H", data, 2)
    if magic not in (42, 43):
        return Layout(order, False, {})
    big = magic == 43
    (at,) = struct.unpack_from(order + ("8xQ" if big else "4xI"), data)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, min(at, len(data)))
    number, first, step, room = ("Q", at + 8, 20, 8) if big else ("I", at + 2, 12, 4)
    tags: dict[int, list[int]] = {}
    for entry in range(first, first + step * min(count, 4096), step):
        tag, kind, many = struct.unpack_from(order + "HH" + number, data, entry)
        code = _CODES.get(kind)
        if tag not in _WANTED or code is None or many > len(data):
            continue
        place = entry + 4 + room
        if many * _SIZES[kind] > room:
            (place,) = struct.unpack_from(order + number, data, place)
        values = list(struct.unpack_from(f"{order}{many}{code}", data, min(place, len(data))))
        if values:
            tags.setdefault(tag, values)
    return Layout(order, big, tags, canon=data[8:10] == b"CR" and at >= 16)


def exif_orientation(data: bytes) -> int:
    """Return the orientation, 1 to 8, of an EXIF block; 1 when it says nothing sensible."""
    if data[:2] not in (b"II", b"MM"):
        return 1
    try:
        turn = read_layout(data).get(_ORIENTATION, 1)
    except struct.error:
        return 1
    return turn if 1 <= turn <= 8 else 1


def read_samples(data: bytes, decode: Decode) -> Samples | None:
    """Return grey ``[H, W]``, BGR ``[H, W, 3]`` or BGRA ``[H, W, 4]`` numbers of a TIFF.

    They are uint8 for up to eight bits, else uint16, not stretched: white is the largest that the
    bits hold. What is behind the colours is left out unless it is opacity. ``decode`` reads a
    single grey picture; None where it cannot.
    """
    layout = read_layout(data)
    numbers = _tiles(data, layout, decode) if 322 in layout.tags else _strips(data, layout, decode)
    return None if numbers is None else _colours(numbers, layout)


def _strips(data: bytes, layout: Layout, decode: Decode) -> Samples | None:
    height, width = layout.get(257), layout.get(256)
    planes, deep = (layout.samples, 1) if layout.separate else (1, layout.samples)
    rows = min(layout.get(278, height) or height, height)
    each = -(-height // rows)
    found = []
    for plane in range(planes):
        part = slice(plane * each, (plane + 1) * each)
        numbers = _grey(data, layout, part, (height, width * deep, rows), decode)
        if numbers is None:
            return None
        found.append(_added_up(numbers.reshape(height, width, deep), layout))
    return found[0] if planes == 1 else np.concatenate(found, axis=2)


def _tiles(data: bytes, layout: Layout, decode: Decode) -> Samples | None:
    """Read a row of tiles at a time, as if they were strips one below the other."""
    height, width, high, wide = (layout.get(tag) for tag in (257, 256, 323, 322))
    if not high or not wide:
        return None
    planes, deep = (layout.samples, 1) if layout.separate else (1, layout.samples)
    across, down = -(-width // wide), -(-height // high)
    if across * wide * down * high > 4 * width * height + _UNPACKED:
        return None  # damaged: nobody makes tiles so much larger than the picture
    kind = np.uint8 if layout.bits <= 8 else np.uint16
    result = np.empty((down * high, across * wide, planes * deep), kind)
    for plane in range(planes):
        for row in range(down):
            first = (plane * down + row) * across
            size = (across * high, wide * deep, high)
            numbers = _grey(data, layout, slice(first, first + across), size, decode)
            if numbers is None:
                return None
            tiles = _added_up(numbers.reshape(across, high, wide, deep), layout)
            tiles = tiles.transpose(1, 0, 2, 3).reshape(high, across * wide, deep)
            result[row * high : (row + 1) * high, :, plane * deep : plane * deep + deep] = tiles
    return np.ascontiguousarray(result[:height, :width])


def _added_up(numbers: Samples, layout: Layout) -> Samples:
    """Undo horizontal differencing in ``[..., columns, samples]``."""
    if layout.predictor != 2:
        return numbers
    return np.cumsum(numbers, axis=-2, dtype=numbers.dtype)


def _grey(
    data: bytes, layout: Layout, part: slice, size: tuple[int, int, int], decode: Decode
) -> Samples | None:
    """Return some strips' numbers as one picture ``[height, width]``, ``rows`` a strip."""
    height, width, rows = size
    bits = layout.bits
    packed = bits not in (8, 16)
    columns = -(-width * bits // 8) if packed else width
    tags = {
        256: [columns],
        257: [height],
        258: [8 if packed else bits],
        262: [1],
        277: [1],
        259: [layout.get(259, 1)],
        266: [layout.get(266, 1)],
        278: [rows],
        273: layout.places[part],
        279: layout.counts[part],
    }
    decoded = decode(_with_directory(data, layout, tags))
    if decoded is None or decoded.shape != (height, columns):
        return None
    return _unpacked(decoded, width, bits) if packed else decoded


def _with_directory(data: bytes, layout: Layout, tags: dict[int, list[int]]) -> NDArray[np.uint8]:
    """Return a file's bytes, with another directory than its own."""
    order, number, count, kind = layout.order, "I", "H", 4
    if layout.big:
        number, count, kind = "Q", "Q", 16
    start = len(data) + len(data) % 2
    entry = struct.calcsize(f"{order}HH{number}{number}")
    far = start + struct.calcsize(order + count + number) + entry * len(tags)
    directory, rest = struct.pack(order + count, len(tags)), b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{number}", *values)
        value = packed if len(values) == 1 else struct.pack(order + number, far + len(rest))
        rest += packed if len(values) != 1 else b""
        directory += struct.pack(order + "HH" + number, tag, kind, len(values)) + value
    directory += struct.pack(order + number, 0) + rest
    body = np.zeros(start + len(directory), np.uint8)
    body[: len(data)] = np.frombuffer(data, np.uint8)
    body[start:] = np.frombuffer(directory, np.uint8)
    at, place = (8, 16) if layout.big else (4, 8)
    body[at:place] = np.frombuffer(struct.pack(order + number, start), np.uint8)
    return body


def _unpacked(rows: Samples, width: int, bits: int) -> Samples:
    """Return numbers of ``bits`` bits, ``[height, width]``, from rows of bytes."""
    result = np.empty((len(rows), width), np.uint8 if bits <= 8 else np.uint16)
    weights = (1 << np.arange(bits)[::-1]).astype(np.uint16)
    step = max(1, _UNPACKED // (width * bits))
    for start in range(0, len(rows), step):
        part = np.unpackbits(rows[start : start + step].astype(np.uint8, copy=False), axis=1)
        part = part[:, : width * bits].reshape(-1, width, bits)
        result[start : start + step] = part @ weights
    return result


def _colours(numbers: Samples, layout: Layout) -> Samples:
    """Return grey, BGR or BGRA numbers from all the samples of each pixel."""
    white = layout.white
    colour = numbers[:, :, : layout.colours]
    opacity = [place for place, kind in enumerate(layout.extra) if kind in (1, 2)]
    if layout.get(262) == 3:
        table = np.array(layout.tags[320], np.uint16 if white > 255 else np.uint8)
        colour = table.reshape(3, -1).T[colour[:, :, 0]]
    elif layout.get(262) == 5:
        paper = white - colour.astype(np.uint32)
        colour = (paper[:, :, :3] * paper[:, :, 3:] // white).astype(numbers.dtype)
    if not opacity:
        bgr = colour[:, :, ::-1]
        return np.ascontiguousarray(bgr[:, :, 0] if bgr.shape[2] == 1 else bgr)
    alpha = numbers[:, :, layout.colours + opacity[0]]
    return np.dstack([np.broadcast_to(colour[:, :, ::-1], (*alpha.shape, 3)), alpha])
