"""What is read from a damaged file, held against what Pillow reads from it."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gradcam_cli.errors import ImageError
from gradcam_cli.images.files import Picture, read_picture
from tests.mutations import mutate, seeds

__all__ = ["compare"]

_ENDS = r"ends before its last line|ends inside its header|declares no size"
NAMED = {
    "jpg": _ENDS + "|premature end",
    "png": _ENDS + "|checksums do not agree|the PNG file is damaged",
    "gif": _ENDS + "|holds no picture data",
    # The decoder of AV1 in OpenCV finds damage that the one in Pillow draws.
    "avif": _ENDS + "|the AVIF file is damaged",
    # Where the compression is no longer named, what is there is not enough.
    "tif": _ENDS
    + "|directory is damaged|cannot be read rightly|does not state|numbers, not|damaged",
}
"""Why files may be refused that Pillow reads, by ending; others may be cut, and that is all."""

_MOST_PIXELS = 4_000_000


def by_pillow(data: bytes) -> NDArray[Any] | None:
    """Return the levels ``[H, W, 3]`` on white that Pillow reads; None for those not compared."""
    image: Image.Image = Image.open(io.BytesIO(data))
    if image.width * image.height > _MOST_PIXELS:
        return None
    image.load()
    mode = image.mode
    if mode == "I":
        return None
    if mode == "F" or mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.float64) * (255 if mode == "F" else 1 / 257)
        return np.dstack([levels] * 3)
    image = ImageOps.exif_transpose(image)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB")).astype(np.float64)
    levels = np.asarray(image.convert("RGBA")).astype(np.float64)
    alpha = levels[:, :, 3:] / 255
    return np.asarray(levels[:, :, :3] * alpha + 255 * (1 - alpha))


def compare(name: str, rng: random.Random, folder: Path) -> str:
    """Damage one of the ``seeds``, read it both ways, and return how that ended.

    Raises AssertionError where pixels differ, or where only one of the two finds the file sound.
    """
    path, whole = folder / "damaged", seeds()[name]
    data = mutate(rng, whole)
    path.write_bytes(data)
    ending = name.rpartition(".")[2]
    picture: Picture | None = None
    refusal = ""
    try:
        picture = read_picture(path)
    except ImageError as error:
        refusal = error.message
    expected: NDArray[Any] | None = None
    complaint = ""
    try:
        # Bytes behind a JPEG 2000 codestream are no part of it, for all that Pillow says.
        expected = by_pillow(data[: len(whole)] if ending == "jp2" else data)
    except UnidentifiedImageError:
        return "not known to Pillow"
    except Exception as error:  # noqa: BLE001  whatever damage makes it raise
        complaint = str(error) or type(error).__name__
    if complaint and picture is None:
        return "refused by both"
    if complaint and picture and not picture.warning:
        path.write_bytes(whole)
        assert np.array_equal(picture.pixels, read_picture(path).pixels), (name, complaint)
        return "damaged elsewhere"
    if complaint:
        return "drawn with a warning"
    if picture is None and expected is None:
        return "not compared"
    if picture is None:
        assert re.search(NAMED.get(ending, _ENDS), refusal), (name, "read by Pillow", refusal)
        return "refused for a reason"
    if expected is not None:
        assert picture.pixels.shape == expected.shape, name
        off = np.abs(picture.pixels - expected).max()
        assert off <= (3 if ending == "jpg" else 1), (name, off)
    return "same with a warning" if picture.warning else "same"
