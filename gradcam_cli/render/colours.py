"""Heat becomes colours on a picture."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import GradcamError
from gradcam_cli.images.fit import Strip
from gradcam_cli.spelling import suggestion

Pixels = NDArray[np.uint8]

# What each name is in OpenCV; plain grey is not among its maps.
COLORMAPS: dict[str, int | None] = {
    "jet": cv2.COLORMAP_JET,
    "turbo": cv2.COLORMAP_TURBO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "magma": cv2.COLORMAP_MAGMA,
    "plasma": cv2.COLORMAP_PLASMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "hot": cv2.COLORMAP_HOT,
    "bone": cv2.COLORMAP_BONE,
    "gray": None,
    "parula": cv2.COLORMAP_PARULA,
    "rainbow": cv2.COLORMAP_RAINBOW,
    "ocean": cv2.COLORMAP_OCEAN,
    "cool": cv2.COLORMAP_COOL,
    "pink": cv2.COLORMAP_PINK,
    "spring": cv2.COLORMAP_SPRING,
    "summer": cv2.COLORMAP_SUMMER,
    "autumn": cv2.COLORMAP_AUTUMN,
    "winter": cv2.COLORMAP_WINTER,
    "deepgreen": cv2.COLORMAP_DEEPGREEN,
    "hsv": cv2.COLORMAP_HSV,
    "twilight": cv2.COLORMAP_TWILIGHT,
}


@functools.cache
def colour_table(name: str) -> Pixels:
    """Return the RGB colours of the 256 levels of heat, uint8 ``[256, 3]``, not writeable.

    Raises GradcamError for an unknown name.
    """
    if name not in COLORMAPS:
        hint = suggestion(name, COLORMAPS, "choose one of " + ", ".join(COLORMAPS))
        raise GradcamError(f"there is no colour map called {name}", hint)
    levels = np.arange(256, dtype=np.uint8)
    code = COLORMAPS[name]
    if code is None:
        table: Pixels = np.repeat(levels[:, np.newaxis], 3, axis=1)
    else:
        table = np.ascontiguousarray(cv2.applyColorMap(levels, code).reshape(256, 3)[:, ::-1])
    table.setflags(write=False)
    return table


def coloured(heat: Pixels, colormap: str = "jet") -> Pixels:
    """Return levels of heat, uint8 ``[H, W]``, in colours: RGB uint8 ``[H, W, 3]``."""
    return _coloured(heat, colour_table(colormap))


def blended(
    pixels: Pixels,
    heat: Iterable[Strip],
    covered: tuple[int, int, int, int],
    intensity: float = 0.4,
    blend: str = "add",
    colormap: str = "jet",
) -> Pixels:
    """Lay strips of heat over a picture, RGB uint8 ``[H, W, 3]``; the result is new.

    ``add`` is ``clip(picture + intensity * colour, 0, 255)``, ``mix`` is
    ``(1 - intensity) * picture + intensity * colour``; each is rounded once, and intensity 0 gives
    the picture itself. The strips fill ``covered`` ``(left, top, right, bottom)``; pixels outside
    stay as they are. Raises GradcamError for an unknown colour map.
    """
    left, top, right, bottom = covered
    whole = (bottom - top, right - left) == pixels.shape[:2]
    # OpenCV writes straight into it, which takes rows that lie one after another.
    result = np.empty(pixels.shape, np.uint8) if whole else np.array(pixels, order="C")
    table = colour_table(colormap)
    # The picture's levels are whole numbers, so rounding the share of colour rounds the sum.
    share = np.minimum(np.rint(table * np.float64(intensity)), 255).astype(np.uint8)
    for row, warm in heat:
        rows = slice(row, row + len(warm))
        part, drawn = pixels[rows, left:right], result[rows, left:right]
        if blend == "mix":
            colours = _coloured(warm, table)
            cv2.addWeighted(part, 1 - intensity, colours, intensity, 0, dst=drawn)
        else:
            cv2.add(part, _coloured(warm, share), dst=drawn)
    return result


def _coloured(heat: Pixels, table: Pixels) -> Pixels:
    # A user's table is applied channel by channel: RGB goes in, RGB comes out.
    colours = cv2.applyColorMap(heat, np.ascontiguousarray(table).reshape(256, 1, 3))
    return np.asarray(colours, np.uint8)
