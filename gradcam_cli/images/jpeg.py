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
from gradcam_cli.images.header import Header

__all__ = ["jpeg_complaint", "read_jpeg"]

Pixels = NDArray[np.uint8]

# RGB at a fraction of the size: the flags named COLOR mean BGR, those named GRAYSCALE no order.
_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}
_UNUSUAL = "subsampling"  # of colours, such as 3 x 1: OpenCV decodes it, simplejpeg refuses it


def read_jpeg(
    data: bytes, header: Header, at_least: tuple[int, int] | None
) -> tuple[Pixels | None, str]:
    """Return RGB pixels, not yet upright, and libjpeg's complaint; None where there are none.

    With ``at_least`` ``(h, w)`` of the upright picture, they are decoded at 1/2, 1/4 or 1/8 of
    their size, as long as they stay at least twice that large. Raises ImageError (``truncated``)
    for data that end too early, so that libjpeg paints the last lines grey.
    """
    factor = _factor(header, at_least)
    try:
        return _sound(data, header, factor), ""
    except ValueError as error:
        complaint = str(error)
    # Not simplejpeg, told to go on: it hands out memory that nothing was written into.
    flags = _FLAGS[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if decoded is None:
        return None, complaint
    pixels = np.asarray(decoded, np.uint8)
    if _UNUSUAL in complaint:  # so nobody has looked at the data
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


def _sound(data: bytes, header: Header, factor: int) -> Pixels:
    """Return the pixels of a JPEG that libjpeg does not complain of; raises ValueError."""
    least = (-(-header.height // factor), -(-header.width // factor))
    more = {"min_height": least[0], "min_width": least[1], "min_factor": factor}
    return np.asarray(simplejpeg.decode_jpeg(data, **(more if factor > 1 else {})), np.uint8)


def _factor(header: Header, at_least: tuple[int, int] | None) -> int:
    if at_least is None:
        return 1
    high, wide = at_least if header.orientation <= 4 else at_least[::-1]
    for factor in (8, 4, 2):
        if header.height >= 2 * factor * high and header.width >= 2 * factor * wide:
            return factor
    return 1


def _grey(pixels: Pixels) -> bool:
    """Return whether the last lines are what libjpeg paints where data are missing."""
    return len(pixels) > 16 and bool((pixels[-1] == 128).all() and (pixels[-8:, -8:] == 128).all())
