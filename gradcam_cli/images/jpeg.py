"""JPEG files become RGB pixels, and what libjpeg complains of while it decodes them is returned.

``simplejpeg`` calls the same libjpeg-turbo as OpenCV, and raises its complaint in the call that
caused it, where OpenCV lets it print and says nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from gradcam_cli.errors import FailureKind, ImageError

Pixels = NDArray[np.uint8]

_UNUSUAL = "subsampling"  # of colours, such as 3 x 1: OpenCV decodes it, simplejpeg refuses it


def read_jpeg(data: bytes) -> tuple[Pixels | None, str]:
    """Return RGB pixels, not yet upright, and libjpeg's complaint; None where there are none.

    Raises ImageError (``truncated``) for data that end too early, so that libjpeg paints the last
    lines grey.
    """
    try:
        return np.asarray(simplejpeg.decode_jpeg(data), np.uint8), ""
    except ValueError as error:
        complaint = str(error)
    # Not simplejpeg, told to go on: it hands out memory that nothing was written into.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if decoded is None:
        return None, complaint
    pixels = np.asarray(decoded, np.uint8)
    if _UNUSUAL in complaint:  # so the data were not checked
        complaint = "the last lines are plain grey, as in a damaged file" if _grey(pixels) else ""
    if _grey(pixels) and "premature end" in complaint.lower():
        raise ImageError(
            FailureKind.TRUNCATED,
            f"the JPEG file is not whole: {complaint}",
            "copy or download it again",
        )
    return pixels, complaint


def jpeg_complaint(data: bytes) -> str:
    """Return libjpeg's complaint about a JPEG, or an empty text."""
    try:
        simplejpeg.decode_jpeg(data)
    except ValueError as error:
        return "" if _UNUSUAL in str(error) else str(error)
    return ""


def _grey(pixels: Pixels) -> bool:
    """Return whether the last lines are what libjpeg paints where data are missing."""
    return len(pixels) > 16 and bool((pixels[-1] == 128).all() and (pixels[-8:, -8:] == 128).all())
