"""An image file's bytes become RGB pixels, as its Header says that they are meant."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.images.header import Header, undecodable
from gradcam_cli.images.heic import read_heic
from gradcam_cli.images.jpeg import read_jpeg
from gradcam_cli.images.levels import darkness, rgb
from gradcam_cli.images.pillow import pillow_complaint, read_pillow
from gradcam_cli.images.samples import read_samples, strips_complaint

Pixels = NDArray[np.uint8]
Levels = NDArray[np.uint8] | NDArray[np.uint16]


def decode(data: bytes, header: Header, white: int = 0) -> tuple[Pixels, str]:
    """Return RGB pixels, not yet upright, and what may be wrong with them.

    ``white`` is the number that is white in 16-bit images that do not say it, or 0. Raises
    ImageError: ``not-a-picture`` for what cannot be decoded, ``truncated`` for a JPEG whose data
    end too early.
    """
    if header.format == "JPEG":
        pixels, complaint = read_jpeg(data)
        return np.asarray(_there(pixels, header), np.uint8), complaint
    decoded = _decoded(data, header)
    if header.by_pillow:
        header = replace(header, white=(np.iinfo(decoded.dtype).max,), black=0)
    if header.crop:
        left, top, right, bottom = header.crop
        decoded = decoded[top:bottom, left:right]
    doubt = darkness(decoded, header, white)
    if header.format == "JPEG 2000":  # OpenCV draws what OpenJPEG has given up
        doubt = pillow_complaint(data, header) or doubt
    elif header.format == "TIFF" and not header.sample_bytes:
        doubt = strips_complaint(data, header) or doubt
    return rgb(decoded, header, white), doubt


def _decoded(data: bytes, header: Header) -> Levels:
    """Return what a decoder makes of a file, 8 or 16 bits a number."""
    if header.format == "HEIF":
        return read_heic(data)
    if header.by_pillow:
        return read_pillow(data, header)
    if header.sample_bytes:
        return _there(read_samples(data), header)
    try:
        # Unchanged keeps alpha and 16 bits, and leaves EXIF turns to us.
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        decoded = None
    return _there(decoded, header)


def _there(decoded: Levels | None, header: Header) -> Levels:
    if decoded is not None and decoded.dtype in (np.uint8, np.uint16):
        return decoded
    raise undecodable(header.format, header.detail)
