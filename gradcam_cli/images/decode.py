"""A picture file's bytes become RGB pixels, as its Header says that they are meant."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import ImageError
from gradcam_cli.images.header import Header
from gradcam_cli.images.heic import read_heic
from gradcam_cli.images.levels import darkness, rgb
from gradcam_cli.images.tiff import read_samples
from gradcam_cli.images.words import overheard

__all__ = ["decode"]

Pixels = NDArray[np.uint8]
Levels = NDArray[np.uint8] | NDArray[np.uint16]

_CONVERT = "convert it to JPEG or PNG first"
# RGB at a fraction of the size: the flags named COLOR mean BGR, those named GRAYSCALE no order.
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB),
)


def decode(
    data: bytes, header: Header, at_least: tuple[int, int] | None, white: int = 0
) -> tuple[Pixels, str, str]:
    """Return RGB pixels, not yet upright, what the decoder complained of, and what looks wrong.

    ``white`` is the number that is white in 16-bit pictures that do not say it, or 0. Raises
    ImageError (``not-a-picture``) for what cannot be decoded.
    """
    if header.format == "JPEG":
        flags = _jpeg_flags(header, at_least) | cv2.IMREAD_IGNORE_ORIENTATION
        decoded, words = _decoded(data, header, flags)
        return np.asarray(decoded, np.uint8), words, ""
    # Unchanged keeps alpha and 16 bits, and leaves EXIF turns to us; OS/2's BMP would become grey.
    bare = header.format == "BMP" and header.opaque
    decoded, words = _decoded(data, header, cv2.IMREAD_COLOR if bare else cv2.IMREAD_UNCHANGED)
    if header.crop:
        left, top, right, bottom = header.crop
        decoded = decoded[top:bottom, left:right]
    return rgb(decoded, header, white), words, darkness(decoded, header, white)


def _decoded(data: bytes, header: Header, flags: int) -> tuple[Levels, str]:
    """Return what the decoder makes of a file, 8 or 16 bits a number, and what it said."""
    if header.format == "HEIF":
        return read_heic(data), ""
    try:
        decoded, words = overheard(lambda: _any(data, header, flags))
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        decoded, words = None, ""
    if decoded is None:
        kind = f" ({header.detail})" if header.detail else ""
        raise ImageError(
            "not-a-picture",
            f"the {header.format} file is damaged, or of a kind that OpenCV cannot read{kind}",
            _CONVERT,
        )
    if decoded.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            "not-a-picture", f"it holds {decoded.dtype} numbers, not 8- or 16-bit levels", _CONVERT
        )
    return decoded, words


def _any(data: bytes, header: Header, flags: int) -> Levels | None:
    if header.by_samples:
        return read_samples(data, lambda body: _imdecode(body, cv2.IMREAD_UNCHANGED))
    return _imdecode(np.frombuffer(data, np.uint8), flags)


def _imdecode(body: NDArray[np.uint8], flags: int) -> Levels | None:
    decoded: Levels | None = cv2.imdecode(body, flags)
    return decoded


def _jpeg_flags(header: Header, at_least: tuple[int, int] | None) -> int:
    if at_least is None:
        return int(cv2.IMREAD_COLOR_RGB)
    high, wide = at_least if header.orientation <= 4 else at_least[::-1]
    for factor, flags in _REDUCED:
        if header.height >= 2 * factor * high and header.width >= 2 * factor * wide:
            return int(flags)
    return int(cv2.IMREAD_COLOR_RGB)
