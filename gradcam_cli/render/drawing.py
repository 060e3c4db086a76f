"""One map, or all of an image's, are drawn: the functions of the ARTIFACTS table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import ClassMap
from gradcam_cli.cam.maps import displayed
from gradcam_cli.images.encode import encode, encode_array
from gradcam_cli.images.fit import Placement, place, seen, shrink, strips, to_picture
from gradcam_cli.render.colours import blended, coloured
from gradcam_cli.spec.draw import DrawSpec


@dataclass(frozen=True, slots=True)
class Caption:
    """What there is to say of a class that is drawn: its name, and its rank among all, from 1."""

    name: str
    rank: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """What there is to draw: an image, and its maps; one map for what is drawn per map.

    ``pixels`` are RGB uint8 ``[H, W, 3]``; ``placement`` says where the network's input lies in
    them. ``captions`` are those of the maps' classes, by index.
    """

    pixels: NDArray[np.uint8]
    placement: Placement
    maps: tuple[ClassMap, ...]
    spec: DrawSpec
    captions: Mapping[int, Caption] = field(default_factory=dict)


def to_draw(
    pixels: NDArray[np.uint8],
    placement: Placement,
    maps: tuple[ClassMap, ...],
    spec: DrawSpec,
    resize: str,
    captions: Mapping[int, Caption] | None = None,
) -> Drawing:
    """Return a drawing of the size that was asked for; ``resize`` is how the image was fitted."""
    if spec.max_size:
        pixels = shrink(pixels, spec.max_size)
        height, width = pixels.shape[:2]
        placement = place((height, width), placement.network, resize)
    return Drawing(pixels, placement, maps, spec, captions or {})


def sized(drawing: Drawing, width: int, height: int) -> Drawing:
    """Return a drawing whose image has another size, in pixels; its maps are drawn at that size."""
    before, now = drawing.pixels.shape[:2], (height, width)
    way = cv2.INTER_AREA if width < before[1] else cv2.INTER_CUBIC
    pixels = np.asarray(cv2.resize(drawing.pixels, (width, height), interpolation=way), np.uint8)
    left, top, right, bottom = drawing.placement.box
    across, down = width / before[1], height / before[0]
    box = (left * across, top * down, right * across, bottom * down)
    return replace(
        drawing, pixels=pixels, placement=replace(drawing.placement, picture=now, box=box)
    )


def overlay(drawing: Drawing) -> bytes:
    """Return the first map on the image, as a file of the format asked for."""
    spec = drawing.spec
    return encode(on_picture(drawing, drawing.maps[0]), spec.format, spec.quality)


def on_picture(drawing: Drawing, shown: ClassMap) -> NDArray[np.uint8]:
    """Return a map on the image, RGB uint8 ``[H, W, 3]``."""
    spec = drawing.spec
    return blended(
        drawing.pixels,
        strips(displayed(shown.raw, shown.method), drawing.placement, shown.cells),
        seen(drawing.placement, shown.cells),
        spec.intensity,
        spec.blend,
        spec.colormap,
    )


def heatmap(drawing: Drawing) -> bytes:
    """Return the first map's colours alone, at the image's size."""
    spec, shown = drawing.spec, drawing.maps[0]
    heat = to_picture(displayed(shown.raw, shown.method), drawing.placement, shown.cells)
    return encode(coloured(heat, spec.colormap), spec.format, spec.quality)


def array(drawing: Drawing) -> bytes:
    """Return the first raw map as a float32 ``.npy`` file, ``[u, v]``."""
    return encode_array(drawing.maps[0].raw)
