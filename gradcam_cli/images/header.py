"""What an image file claims to be, before a pixel is decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gradcam_cli.errors import FailureKind, ImageError
from gradcam_cli.images.boxes import brands

HEAD = 512
"""How many of a file's first bytes say what it is."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0\x08\0\0\0", "TIFF"),
    (b"MM\0+\0\x08\0\0", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_PNM = re.compile(rb"P[1-6]\s")
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF = _HEIC | {b"mif1", b"mif2", b"msf1", b"miaf"}


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says of itself. ``width`` and ``height`` are as stored, not yet upright.

    ``orientation`` is the EXIF turn (1 to 8) that is still to be made after decoding. ``fault``
    says why the file is not whole, ``refusal`` what kind of image it is where no decoder here
    reads that kind rightly; both are empty for others. ``detail`` names the kind of image.

    ``white`` is the number that is white, as decoded: one for all channels, or one for each, in
    their decoded order; empty where it is the largest that fits. ``stated_white`` is what a tag
    says of 16-bit levels that may be fewer. ``black`` is the number that is black, where not 0;
    ``inverted``: white is 0.

    ``opaque``: a fourth channel is something else than opacity. ``premultiplied``: the colours of
    transparent pixels are already scaled by their alpha. ``transparent_grey`` is the 8- or 16-bit
    grey level that a PNG declares transparent. ``sample_bytes`` is how many bytes a pixel has in a
    TIFF whose samples are read one by one, else 0. ``by_pillow``: OpenCV reads it wrongly or not
    at all. ``end`` is where the codestream of a JPEG 2000 file ends. ``crop``
    ``(left, top, right, bottom)`` is the part of the stored image that is shown.
    """

    format: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    fault: str = ""
    refusal: str = ""
    detail: str = ""
    white: tuple[int, ...] = ()
    stated_white: int = 0
    black: int = 0
    inverted: bool = False
    opaque: bool = False
    premultiplied: bool = False
    transparent_grey: int | None = None
    sample_bytes: int = 0
    by_pillow: bool = False
    end: int | None = None
    crop: tuple[int, int, int, int] | None = None


def undecodable(name: str, detail: str = "", why: object = "") -> ImageError:
    """Return the error for a file of the format ``name`` that a decoder gave up."""
    kind = f" ({detail})" if detail else ""
    return ImageError(
        FailureKind.NOT_A_PICTURE,
        f"the {name} file is damaged, or of a kind that cannot be read{kind}"
        + (f": {why}" if str(why) else ""),
        "convert it to JPEG or PNG first",
    )


def sniff(head: bytes) -> str:
    """Return the format that a file's first bytes announce, such as ``JPEG``; empty if none."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _family(brands(head))
    return "PNM" if _PNM.match(head) else ""


def _family(named: list[bytes]) -> str:
    """Return what the brands of an ISO media file make it; the first is its own."""
    for brand in named[:1], named[1:]:
        for family, name in ((_AVIF, "AVIF"), (_HEIC, "HEIF")):
            if family.intersection(brand):
                return name
    return "HEIF" if named and named[0] in _HEIF else ""
