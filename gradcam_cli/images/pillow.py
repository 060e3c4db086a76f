"""Files that OpenCV reads wrongly, or not at all, are read by Pillow.

It is asked for the one format that the file's first bytes announce, raises what is wrong in the
call that decodes, and is imported when the first such file comes.
"""

from __future__ import annotations

import importlib
import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.images.header import Header, undecodable

Levels = NDArray[np.uint8] | NDArray[np.uint16]

_CLASSES = {
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "JPEG 2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "PNM": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
}


def read_pillow(data: bytes, header: Header) -> Levels:
    """Return grey ``[H, W]``, BGR or BGRA ``[H, W, 3 or 4]`` levels that fill their 8 or 16 bits.

    They are not yet upright, with straight alpha. Raises ImageError (``not-a-picture``).
    """
    try:
        image = _loaded(data, header.format, (header.width, header.height))
        return _levels(image)
    except MemoryError:
        raise
    except Exception as error:
        raise undecodable(header.format, header.detail, error) from error


def read_grey_tiff(data: bytes, width: int, height: int) -> NDArray[np.uint8] | None:
    """Return ``[H, W]`` bytes of a TIFF of one grey image; None where they cannot be decoded."""
    try:
        image = _loaded(data, "TIFF", (width, height))
        return np.asarray(image, np.uint8)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  whatever a damaged file makes it raise
        return None


def pillow_complaint(data: bytes, header: Header) -> str:
    """Return what Pillow says of a file that it can open but not decode, or an empty text."""
    try:
        _opened(data[: header.end], header.format).load()
    except MemoryError:
        raise
    except SyntaxError:  # of a kind that Pillow does not know
        return ""
    except Exception as error:  # noqa: BLE001  whatever damage makes it raise
        return f"it cannot be decoded whole: {error}"
    return ""


def _opened(data: bytes, name: str) -> Any:
    """Return an image that nothing was decoded of; the classes know no limit of their own."""
    module, kind = _CLASSES[name]
    return getattr(importlib.import_module(module), kind)(io.BytesIO(data))


def _loaded(data: bytes, name: str, size: tuple[int, int]) -> Any:
    image = _opened(data, name)
    if image.size != size:
        raise ValueError(f"its size is unclear: {image.size[0]} x {image.size[1]}")
    image.load()
    return image


def _levels(image: Any) -> Levels:
    if image.mode == "I":  # 16 bits, of PNM
        return np.asarray(image).astype(np.uint16)
    clear = image.has_transparency_data
    if image.mode in ("1", "L") and not clear:
        return np.asarray(image.convert("L"), np.uint8)
    code = cv2.COLOR_RGBA2BGRA if clear else cv2.COLOR_RGB2BGR
    levels = np.asarray(image.convert("RGBA" if clear else "RGB"), np.uint8)
    return np.asarray(cv2.cvtColor(levels, code), np.uint8)
