"""HEIC images are read where pillow-heif is installed: ``pip install 'gradcam-cli[heic]'``."""

from __future__ import annotations

import importlib
import io

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.images.header import undecodable


def read_heic(data: bytes) -> NDArray[np.uint8]:
    """Return grey ``[H, W]``, BGR or BGRA ``[H, W, 3 or 4]`` levels of a HEIC file's main image.

    They are upright, of 8 bits, with straight alpha. Raises ImageError (``not-a-picture``).
    """
    library = importlib.import_module("pillow_heif")
    try:
        # Turns are properties of the image, which the library makes; EXIF only repeats them.
        file = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, bgr_mode=True)
        levels = np.array(file)
        bits, premultiplied = int(file.info["bit_depth"]), bool(file.premultiplied_alpha)
    except MemoryError:
        raise
    except Exception as error:
        raise undecodable("HEIF (HEIC)", why=error) from error
    if levels.dtype == np.uint16:  # in their upper bits
        levels = cv2.convertScaleAbs(levels, alpha=255 / (((1 << bits) - 1) << (16 - bits)))
    levels = np.asarray(levels, np.uint8)
    if levels.ndim == 3 and levels.shape[2] == 2:
        levels = levels[:, :, [0, 0, 0, 1]]
    if premultiplied and levels.ndim == 3 and levels.shape[2] == 4:
        white = cv2.cvtColor(255 - levels[:, :, 3], cv2.COLOR_GRAY2BGR)
        levels = np.asarray(cv2.add(np.ascontiguousarray(levels[:, :, :3]), white), np.uint8)
    return levels
