"""Pixels and arrays become the bytes of files."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import FailureKind, ImageError

Pixels = NDArray[np.uint8]

# As small as the default to a few hundredths, in half the time.
_PNG = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
]


def encode(pixels: Pixels, format: str, quality: int = 95) -> bytes:  # noqa: A002
    """Return RGB ``[H, W, 3]`` as a ``jpg``, ``png`` or ``webp`` file.

    ``quality`` is 1 to 100; PNG is lossless and ignores it. Raises ImageError (``write``) when the
    image is larger than the format allows.
    """
    options = {
        "jpg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        "png": _PNG,
        "webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }[format]
    try:
        done, data = cv2.imencode(f".{format}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        done, data = False, np.empty(0, np.uint8)
    if not done:
        height, width = pixels.shape[:2]
        raise ImageError(
            FailureKind.WRITE,
            f"a picture of {width} x {height} pixels does not fit into a {format} file",
            "choose --format png",
        )
    return bytes(data)


def encode_array(array: NDArray[np.float32]) -> bytes:
    """Return an array as the bytes of a float32 ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, np.float32), allow_pickle=False)
    return buffer.getvalue()
