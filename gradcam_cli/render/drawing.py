"""One map, or all of an image's, are drawn: the functions of the ARTIFACTS table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import ClassMap
from gradcam_cli.cam.maps import normalised
from gradcam_cli.images.encode import encode, encode_array
from gradcam_cli.images.fit import Placement, place, seen, shrink, strips, to_picture
from gradcam_cli.render.colours import blended, coloured
from gradcam_cli.spec.draw import DrawSpec

__all__ = ["Drawing", "array", "heatmap", "overlay", "to_draw"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What there is to draw: an image, and its maps; one map for what is drawn per map.

    ``pixels`` are RGB uint8 ``[H, W, 3]``; ``placement`` says where the network's input lies in
    them.
    """

    pixels: NDArray[np.uint8]
    placement: Placement
    maps: tuple[ClassMap, ...]
    spec: DrawSpec


def to_draw(
    pixels: NDArray[np.uint8],
    placement: Placement,
    maps: tuple[ClassMap, ...],
    spec: DrawSpec,
    resize: str,
) -> Drawing:
    """Return a drawing of the size that was asked for; ``resize`` is how the image was fitted."""
    if spec.max_size:
        pixels = shrink(pixels, spec.max_size)
        height, width = pixels.shape[:2]
        placement = place((height, width), placement.network, resize)
    return Drawing(pixels, placement, maps, spec)


def overlay(drawing: Drawing) -> bytes:
    """Return the first map on the image, as a file of the format asked for."""
    spec, shown = drawing.spec, drawing.maps[0]
    pixels = blended(
        drawing.pixels,
        strips(normalised(shown.raw), drawing.placement, shown.cells),
        seen(drawing.placement, shown.cells),
        spec.intensity,
        spec.blend,
        spec.colormap,
    )
    return encode(pixels, spec.format, spec.quality)


def heatmap(drawing: Drawing) -> bytes:
    """Return the first map's colours alone, at the image's size."""
    spec, shown = drawing.spec, drawing.maps[0]
    heat = to_picture(normalised(shown.raw), drawing.placement, shown.cells)
    return encode(coloured(heat, spec.colormap), spec.format, spec.quality)


def array(drawing: Drawing) -> bytes:
    """Return the first raw map as a float32 ``.npy`` file, ``[u, v]``."""
    return encode_array(drawing.maps[0].raw)
