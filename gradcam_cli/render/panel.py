"""An image and all its maps become one figure: the artifact ``panel``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import ClassMap
from gradcam_cli.cam.methods import METHODS
from gradcam_cli.render.colours import colour_table
from gradcam_cli.render.drawing import Drawing, on_picture, sized
from gradcam_cli.render.lettering import plain_name, wrapped
from gradcam_cli.render.page import DOTS, Line, Page, Picture, painted
from gradcam_cli.text import printable

Pixels = NDArray[np.uint8]

_WIDTH = 480
"""Points, that the lengths here are for; wider panels are larger as a whole."""
_MARGIN, _GAP, _BAR, _BAR_SPACE = 6.0, 6.0, 6.0, 28.0
_NAME, _NUMBER, _HEADING = 8.0, 7.0, 8.5
_LEADING = 1.25
_GREY = "#5a5a5a"
_COLUMNS = ((1.7, 6), (2.6, 4), (4.5, 3), (math.inf, 2))
"""How many columns there are at most, up to which proportion of width to height."""
_TALLEST = 2.0
"""How much higher than wide a picture's place is at most."""


@dataclass(frozen=True, slots=True)
class _Cell:
    pixels: Pixels
    name: list[str]
    below: list[str]


@dataclass(frozen=True, slots=True)
class _Grid:
    """``scale`` is the panel's width in units of ``_WIDTH``; the rest is in pixels."""

    scale: float
    columns: int
    cell: int
    width: int
    height: int


def panel(drawing: Drawing) -> bytes:
    """Return the image and each of its maps on it, side by side, as a file of the format asked for.

    Each method and layer has rows of its own. Every overlay has its class's name, rank and
    probability below it, and every row the colours of the heat beside it.
    """
    spec = drawing.spec
    return painted(panel_page(drawing), spec.format, DOTS, spec.quality)


def panel_page(drawing: Drawing) -> Page:
    """Return the panel, to be painted with ``DOTS`` pixels a point."""
    rows: dict[tuple[str, str], list[ClassMap]] = {}
    for each in drawing.maps:
        rows.setdefault((each.method, each.layer), []).append(each)
    groups = list(rows.items())
    grid = _grid(drawing, max(len(maps) for _, maps in groups))
    small = sized(drawing, grid.width, grid.height)
    page, top = Page(drawing.spec.panel_width, 0), _MARGIN * grid.scale
    for (method, layer), maps in groups:
        if len(groups) > 1:
            top = _heading(page, top, _named(method, layer, groups), grid.scale)
        cells = [_Cell(small.pixels, ["original"], [])]
        cells += [_mapped(small, each, grid) for each in maps]
        for start in range(0, len(cells), grid.columns):
            top = _row(page, top, cells[start : start + grid.columns], grid, drawing.spec.colormap)
    page.height = math.ceil(top + (_MARGIN - _GAP) * grid.scale)
    return page


def colour_bar(colormap: str, width: int, height: int) -> Pixels:
    """Return the colours of the heat, hottest at the top, RGB uint8 ``[height, width, 3]``."""
    levels = np.rint(np.linspace(255, 0, height)).astype(np.intp)
    return np.repeat(colour_table(colormap)[levels][:, np.newaxis], width, axis=1)


def _grid(drawing: Drawing, most: int) -> _Grid:
    """Return how large an image is, and how many stand in a row."""
    scale = drawing.spec.panel_width / _WIDTH
    height, width = drawing.pixels.shape[:2]
    fitting = next(columns for upto, columns in _COLUMNS if width / height <= upto)
    cells = most + 1
    columns = math.ceil(cells / math.ceil(cells / fitting))
    room = _WIDTH - 2 * _MARGIN - _BAR_SPACE - (columns - 1) * _GAP
    cell = math.floor(room / columns * scale * DOTS)
    shown = min(cell / width, _TALLEST * cell / height)
    return _Grid(scale, columns, cell, max(1, round(width * shown)), max(1, round(height * shown)))


def _mapped(small: Drawing, shown: ClassMap, grid: _Grid) -> _Cell:
    """Return a map on the image, with its class's name, rank and probability."""
    caption, room = small.captions.get(shown.index), grid.cell / DOTS
    name = plain_name(caption.name if caption else "") or f"class {shown.index}"
    if shown.slot == "similarity":  # to another image: no class speaks
        caption, name = None, "similarity"
    number = shown_number(shown.probability, shown.score)
    below = [f"rank {caption.rank}: {number}" if caption else number]
    if shown.empty_reason:
        below += wrapped(f"empty map: {shown.empty_reason}", room, _NUMBER * grid.scale)
    lines = wrapped(name, room, _NAME * grid.scale)
    return _Cell(on_picture(small, shown), lines, below)


def shown_number(probability: float | None, score: float | None) -> str:
    """Return a probability for people, or the score where there is none."""
    if probability is not None and math.isfinite(probability):
        return "<0.001" if 0 < probability < 0.0005 else f"{probability:.3f}"
    return "" if score is None else f"score {score:.3g}"


def _row(page: Page, top: float, cells: Sequence[_Cell], grid: _Grid, colormap: str) -> float:
    """Lay cells beside each other, and the heat's colours; return where the next row begins."""
    scale, size = grid.scale, _NUMBER * grid.scale
    bar_height = max(grid.height, round(2.2 * size * DOTS))
    ends = [_cell(page, place, top, cell, grid) for place, cell in enumerate(cells)]
    right = _MARGIN * scale + len(cells) * (grid.cell / DOTS + _GAP * scale)
    bar = colour_bar(colormap, round(_BAR * scale * DOTS), bar_height)
    page.pictures.append(Picture(_on_grid(right), top, bar))
    beside = right + (_BAR + 3) * scale
    page.lines.append(Line(beside, top + 0.8 * size, "max", size, "left", colour=_GREY))
    page.lines.append(Line(beside, top + bar_height / DOTS, "0", size, "left", colour=_GREY))
    return _on_grid(max(ends) + _GAP * scale)


def _cell(page: Page, place: int, top: float, cell: _Cell, grid: _Grid) -> float:
    """Lay an image and what stands below it; return where that ends."""
    scale, wide = grid.scale, grid.cell / DOTS
    left = _MARGIN * scale + place * (wide + _GAP * scale)
    inside = (grid.cell - grid.width) // 2 / DOTS
    page.pictures.append(Picture(_on_grid(left) + inside, top, cell.pixels))
    below = top + grid.height / DOTS + 2 * scale
    for lines, size, colour in ((cell.name, _NAME, "#1a1a1a"), (cell.below, _NUMBER, _GREY)):
        for line in lines:
            below += size * scale * _LEADING
            middle = left + wide / 2
            page.lines.append(Line(middle, below, line, size * scale, colour=colour))
    return below + 2 * scale


def _heading(page: Page, top: float, text: str, scale: float) -> float:
    size = _HEADING * scale
    for line in wrapped(text, page.width - 2 * _MARGIN * scale, size, bold=True):
        page.lines.append(Line(_MARGIN * scale, top + size, line, size, "left", bold=True))
        top += size * _LEADING
    return _on_grid(top + 2 * scale)


def _named(
    method: str, layer: str, groups: Sequence[tuple[tuple[str, str], list[ClassMap]]]
) -> str:
    """Return what tells rows apart: method, layer, or both."""
    title = METHODS[method].title if method in METHODS else method
    several = [len({key[part] for key, _ in groups}) > 1 for part in (0, 1)]
    parts = [title if several[0] else "", f"layer {printable(layer)}" if several[1] else ""]
    return ", ".join(filter(None, parts)) or title


def _on_grid(points: float) -> float:
    """Return a length in points that is a whole number of pixels."""
    return round(points * DOTS) / DOTS
