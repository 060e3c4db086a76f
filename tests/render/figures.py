"""Drawings to make figures of, and ways to find things in pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from gradcam_cli.cam.answer import ClassMap
from gradcam_cli.images.fit import place
from gradcam_cli.render.drawing import Caption, Drawing, to_draw
from gradcam_cli.spec.draw import DrawSpec

Pixels = NDArray[np.uint8]


def a_map(
    index: int,
    seed: int = 0,
    *,
    probability: float | None = 0.5,
    empty: str = "",
    method: str = "gradcam",
    layer: str = "last",
) -> ClassMap:
    rng = np.random.default_rng(seed + index)
    raw = rng.normal(size=(5, 7)).astype(np.float32)
    raw = -np.abs(raw) if empty else raw
    return ClassMap(f"class{index}", index, probability, 3.25, raw, empty, method, layer)


def a_drawing(
    maps: Sequence[ClassMap],
    names: Mapping[int, str] | None = None,
    size: tuple[int, int] = (300, 400),
    spec: DrawSpec | None = None,
) -> Drawing:
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    pixels = np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    captions = {
        each.index: Caption((names or {}).get(each.index, f"name {each.index}"), rank)
        for rank, each in enumerate(maps, 1)
    }
    spec = spec or DrawSpec(format="png")
    return to_draw(pixels, place(size, (224, 224)), tuple(maps), spec, "squash", captions)


def opened(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def places(part: Pixels, whole: Pixels) -> list[tuple[int, int]]:
    """Return where one picture lies in another, level by level the same: left, top."""
    close = cv2.matchTemplate(whole, part, cv2.TM_SQDIFF) < 1 + 1e-4 * part.size
    height, width = part.shape[:2]
    return [
        (int(x), int(y))
        for y, x in np.argwhere(close)
        if np.array_equal(whole[y : y + height, x : x + width], part)
    ]


def lettered(text: str, size: float, dpi: float, colour: str = "#1a1a1a") -> Pixels:
    """Return a line of text alone, cut out to its ink."""
    figure = Figure(figsize=(8, 1), dpi=dpi)
    family = ["DejaVu Sans"]
    figure.text(0.5, 0.5, text, size=size, family=family, color=colour, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return inked(opened(buffer.getvalue()))


def inked(pixels: Pixels) -> Pixels:
    """Return the part of a white picture that is not white."""
    rows, columns = np.nonzero((pixels < 250).any(axis=2))
    return pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
