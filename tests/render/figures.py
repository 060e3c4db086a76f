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
    height, width = part.shape[:2]
    if height > whole.shape[0] or width > whole.shape[1]:
        return []
    down, across = whole.shape[0] - height + 1, whole.shape[1] - width + 1
    close = np.ones((down, across), bool)
    for y, x in ((0, 0), (height - 1, width - 1), (height // 2, width // 2), (height // 3, 0)):
        close &= (whole[y : y + down, x : x + across] == part[y, x]).all(axis=2)
    return [
        (int(x), int(y))
        for y, x in np.argwhere(close)
        if np.array_equal(whole[y : y + height, x : x + width], part)
    ]


def reads(text: str, whole: Pixels, size: float, colour: str = "#1a1a1a") -> list[tuple[int, int]]:
    """Return where a line of text stands, set by the test itself, at 216 dots to the inch."""
    found: set[tuple[int, int]] = set()
    for shift in (0, 0.25, 0.5, 0.75):  # letters begin anywhere between two pixels
        alone = lettered(text, size, 216, colour, shift)
        match = cv2.matchTemplate(whole, alone, cv2.TM_CCOEFF_NORMED)
        found |= {(int(x), int(y)) for y, x in np.argwhere(match > 0.9)}
    places: list[tuple[int, int]] = []
    for x, y in sorted(found):
        if all(abs(x - a) > 3 or abs(y - b) > 3 for a, b in places):
            places.append((x, y))
    return places


def lettered(
    text: str, size: float, dpi: float, colour: str = "#1a1a1a", shift: float = 0
) -> Pixels:
    """Return a line of text alone, ``shift`` of a pixel to the right, cut out to its ink."""
    figure = Figure(figsize=(8, 1), dpi=dpi)
    family = ["DejaVu Sans"]
    at = 0.5 + shift / (8 * dpi)
    figure.text(at, 0.5, text, size=size, family=family, color=colour, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return inked(opened(buffer.getvalue()))


def inked(pixels: Pixels) -> Pixels:
    """Return the part of a white picture that is not white."""
    rows, columns = np.nonzero((pixels < 250).any(axis=2))
    return pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
