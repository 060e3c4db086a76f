"""Decoded numbers of any depth become levels 0 to 255 of RGB, on white."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.images.header import Header

Pixels = NDArray[np.uint8]
Levels = NDArray[np.uint8] | NDArray[np.uint16]

_STRIP = 1 << 22  # pixels
_DEPTHS = (255, 1023, 4095)
"""What cameras and scanners put into 16 bits; more than these is bright enough to be seen."""


def rgb(decoded: Levels, header: Header, white: int = 0) -> Pixels:
    """Return grey ``[H, W]``, BGR or BGRA ``[H, W, 3 or 4]`` as 8-bit RGB ``[H, W, 3]``.

    What is transparent is laid on white, which is what viewers and web pages show. ``white`` is the
    number that is white in 16-bit images that do not say it, or 0. It is done a strip at a time,
    so that what lies between takes no memory.
    """
    height, width = decoded.shape[:2]
    pixels: Pixels = np.empty((height, width, 3), np.uint8)
    whites = _whites(decoded, header, white)
    rows = max(1, _STRIP // width)
    for start in range(0, height, rows):
        pixels[start : start + rows] = _strip(decoded[start : start + rows], header, whites)
    return pixels


def darkness(decoded: Levels, header: Header, white: int = 0) -> str:
    """Return a warning when 16-bit levels are so low that they may be fewer bits; else nothing."""
    unsaid = decoded.dtype == np.uint16 and not header.white and not white
    if not unsaid or _whites(decoded, header, white) != (65535,):
        return ""
    top = _top(decoded)
    likely = next((depth for depth in _DEPTHS if top <= depth), 0)
    if not top or not likely:
        return ""
    bits = likely.bit_length()
    return (
        f"no level is above {top} of 65535: if the file holds {bits}-bit levels, "
        f"--white {likely} makes them bright"
    )


def _top(decoded: Levels) -> int:
    """Return the highest number of the colours, opacity left out."""
    colours = decoded[:, :, :3] if decoded.ndim == 3 else decoded
    return int(colours.max())


def _whites(decoded: Levels, header: Header, white: int) -> tuple[int, ...]:
    """Return the number that is white, for all channels or for each of them."""
    if header.white:
        return header.white
    if decoded.dtype == np.uint8:
        return (255,)
    if white:
        return (white,)
    stated = header.stated_white
    return (stated,) if stated and _top(decoded) <= stated else (65535,)


def _strip(decoded: Levels, header: Header, whites: tuple[int, ...]) -> Pixels:
    clear = None
    if header.transparent_grey is not None and decoded.ndim == 2:
        clear = decoded == header.transparent_grey
    pixels = _scaled(decoded, header.black, whites)
    if pixels.ndim == 2:
        pixels = cv2.bitwise_not(pixels) if header.inverted else pixels
        colour = _array(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB))
        if clear is not None:
            colour[clear] = 255
        return colour
    deep = pixels.shape[2] == 4
    colour = _array(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if deep else cv2.COLOR_BGR2RGB))
    if header.inverted:
        colour = _array(cv2.bitwise_not(colour))
    if not deep or header.opaque:
        return colour
    alpha = np.ascontiguousarray(pixels[:, :, 3])
    if alpha.min() == 255:
        return colour
    alpha = _array(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB))
    if not header.premultiplied:
        colour = _array(cv2.multiply(colour, alpha, scale=1 / 255))
    return _array(cv2.add(colour, cv2.bitwise_not(alpha)))


def _scaled(decoded: Levels, black: int, whites: tuple[int, ...]) -> Pixels:
    """Stretch numbers so that white becomes 255; what is brighter is white as well."""
    if decoded.dtype == np.uint8 and set(whites) == {255} and not black:
        return _array(decoded)
    if len(set(whites)) > 1:
        parts = zip(cv2.split(decoded), whites, strict=False)
        return _array(cv2.merge([_scaled(part, black, (white,)) for part, white in parts]))
    if black:
        decoded = cv2.subtract(decoded, black)
    return _array(cv2.convertScaleAbs(decoded, alpha=255 / (whites[0] - black)))


def _array(value: object) -> Pixels:
    return np.asarray(value, np.uint8)
