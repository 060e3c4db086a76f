"""TIFF directories, and which of the ways to read it is right for an image.

Where the compression is one of bytes, strips and tiles are undone one by one, and what the numbers
mean is decided by the tags (``samples.py``). Compressions that know about pixels are left to
OpenCV, which reads them through libtiff's RGBA interface.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

_ORIENTATION = 274
# Other tags can be long, and make all the rest wait.
_WANTED = frozenset((254, 256, 257, 258, 259, 262, 266, 273, _ORIENTATION, 277, 278, 279, 281))
_WANTED |= {280, 284, 317, 320, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347, 50706}
_CODES = {1: "B", 3: "H", 4: "I", 7: "B", 11: "f", 12: "d", 13: "I", 16: "Q", 18: "Q"}
_NEEDED = _WANTED - {254, 266, _ORIENTATION, 280, 281, 330, 340, 341, 347, 50706}
_FRACTIONS = {11: {340, 341}, 12: {340, 341}, 7: {347}}
"""Types of numbers that other tags do not have."""

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
"""Compressions that libtiff may know; of others it makes black images, without an error."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The tags of a TIFF's first image, by number, with the defaults of the standard.

    It is not ``whole`` where a tag that decides what is read is there and makes no sense.
    """

    order: str
    big: bool
    tags: dict[int, list[Any]]
    whole: bool = True
    canon: bool = False

    def get(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        return int(self.tags.get(tag, [default])[0])

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
        """Return how many samples are colours; 0 where the kind of image is not known."""
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
        return (1 << min(self.bits, 16)) - 1

    @property
    def kind(self) -> str:
        """Return what the numbers are, such as ``uint8`` or ``float32``."""
        kinds = {1: "uint", 2: "int", 3: "float", 4: "undefined"}
        return f"{kinds.get(self.get(339, 1), 'complex')}{self.get(258, 1)}"

    @property
    def measured(self) -> bool:
        """Return whether the numbers are measurements: floating point, or more than 16 bits."""
        return self.kind in ("float16", "float32", "float64", "uint32")

    @property
    def stated_range(self) -> tuple[float, float] | None:
        """Return which numbers are black and white, as the tags say, or None."""
        low = min(self.tags.get(340) or self.tags.get(280) or [0])
        high = max(self.tags.get(341) or self.tags.get(281) or [0])
        return (low, high) if math.isfinite(high - low) and low < high else None

    @property
    def predictor(self) -> int:
        """Return 1, or where neighbours' differences are stored 2, or 3 for those of bytes."""
        return self.get(317, 1) if self.get(259, 1) in _DIFFERENCES else 1

    @property
    def separate(self) -> bool:
        """Return whether each sample has a plane of its own."""
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
        """Return the kind of image in a short phrase."""
        kind = _PHOTOMETRIC.get(self.get(262, -1), "unknown colours")
        bits = self.get(258, 1)
        parts = [f"{bits}-bit {kind}" if self.bits else f"{kind} of mixed depths"]
        if self.extra:
            parts.append(f"{self.samples} channels")
        parts.append(_COMPRESSION.get(self.get(259, 1), f"compression {self.get(259, 1)}"))
        return ", ".join(parts)

    @property
    def refusal(self) -> str:
        """Return why no decoder here reads the image rightly, or an empty text."""
        photometric = self.get(262, -1)
        if 50706 in self.tags or photometric in (32803, 34892):
            return "a camera's raw file (DNG)"
        if self.canon:
            return "a camera's raw file (CR2), which begins with a preview"
        if self.get(254) & 1 and 330 in self.tags:
            return "a camera's raw file, which begins with a thumbnail"
        if self.kind == "uint32" and not self.stated_range:
            return "a TIFF of uint32 numbers that does not state which of them is white"
        if not self.measured and (self.kind[:4] != "uint" or self.get(258, 1) > 16):
            return f"a TIFF of {self.kind} numbers, not of 8- or 16-bit levels"
        if self.get(259, 1) in _DECODED and (self.by_samples or self.plain):
            return ""
        return f"a TIFF file of a kind that cannot be read rightly: {self.detail}"

    @property
    def plain(self) -> bool:
        """Return whether libtiff's RGBA interface, as OpenCV calls it, makes the right colours."""
        photometric, extra = self.get(262, -1), self.extra
        if self.bits == 8 and 322 in self.tags and self.get(259, 1) == 1:
            return False  # OpenCV asks for such tiles in a way that libtiff refuses
        if photometric in (2, 6) and self.samples == 3:
            return self.bits == 8
        if photometric == 2:
            return self.bits == 8 and self.samples == 4 and extra[0] in (0, 1, 2)
        if photometric == 5:
            return self.bits == 8 and self.samples == 4
        return photometric in (0, 1) and self.bits in (1, 8) and self.samples == 1

    @property
    def by_samples(self) -> bool:
        """Return whether ``read_samples`` is what reads the image."""
        return (
            self.get(262, -1) in (0, 1, 2, 3, 5)
            and (self.get(262) != 3 or len(self.tags.get(320, [])) == 3 << self.bits)
            and (1 <= self.bits <= 16 or self.bits in (32, 64))
            and 1 <= self.colours <= self.samples <= 64
            and not (self.get(262) == 3 and (self.samples > 1 or self.measured))
            and self.get(259, 1) in _BYTEWISE
            and self.predictor in self._predictors
        )

    @property
    def _predictors(self) -> tuple[int, ...]:
        if self.kind[:5] == "float":
            return 1, 2, 3
        return (1, 2) if self.bits in (8, 16, 32) else (1,)


def read_layout(data: bytes) -> Layout:
    """Return the first directory of a TIFF or BigTIFF; raises struct.error where it is cut off."""
    order = "<" if data[:2] == b"II" else ">"
    (magic,) = struct.unpack_from(order + "H", data, 2)
    if magic not in (42, 43):
        return Layout(order, False, {})
    big = magic == 43
    (at,) = struct.unpack_from(order + ("8xQ" if big else "4xI"), data)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, min(at, len(data)))
    number, first, step, space = ("Q", at + 8, 20, 8) if big else ("I", at + 2, 12, 4)
    tags: dict[int, list[int]] = {}
    whole = True
    for entry in range(first, first + step * min(count, 4096), step):
        tag, kind, many = struct.unpack_from(order + "HH" + number, data, entry)
        code = _CODES.get(kind)
        fits = code is not None and tag in _FRACTIONS.get(kind, _WANTED)
        if not fits or tag not in _WANTED or not 0 < many <= len(data):
            whole = whole and tag not in _NEEDED
            continue
        place = entry + 4 + space
        if many * _SIZES[kind] > space:
            (place,) = struct.unpack_from(order + number, data, place)
        values = struct.unpack_from(f"{order}{many}{code}", data, min(place, len(data)))
        tags.setdefault(tag, list(values))
    if tags.get(262, [1])[0] > 1 and 258 not in tags:
        whole = False  # one bit, by the standard, which no colours have
    return Layout(order, big, tags, whole, canon=data[8:10] == b"CR" and at >= 16)


def exif_orientation(data: bytes) -> int:
    """Return the orientation, 1 to 8, of an EXIF block; 1 when it says nothing sensible."""
    if data[:2] not in (b"II", b"MM"):
        return 1
    try:
        turn = read_layout(data).get(_ORIENTATION, 1)
    except struct.error:
        return 1
    return turn if 1 <= turn <= 8 else 1
