"""Rows of small pictures with captions become pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.render.lettering import wrapped
from gradcam_cli.render.page import Line, Page, Picture
from gradcam_cli.render.panel import colour_bar

Pixels = NDArray[np.uint8]

_WIDE, _HIGH = 595.0, 842.0
"""A page of A4, in points."""
_MARGIN, _GAP, _BESIDE = 24.0, 8.0, 2.0
_TITLE, _HEADING, _CAPTION, _LEADING = 13.0, 9.5, 7.0, 1.25
_GREY = "#5a5a5a"
_BAR = (90.0, 6.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """How large pictures are: ``columns`` places across a page of A4, ``dots`` pixels a point.

    A place holds one picture, or two ``beside`` each other.
    """

    columns: int
    dots: float
    beside: bool = False

    @property
    def place(self) -> float:
        """Return the width of a place in points."""
        return (_WIDE - 2 * _MARGIN - (self.columns - 1) * _GAP) / self.columns

    @property
    def picture(self) -> tuple[int, int]:
        """Return how many pixels a picture has at most: across, and down."""
        wide = (self.place - _BESIDE) / 2 if self.beside else self.place
        across = max(1, math.floor(wide * self.dots))
        return across, max(1, min(across * 4 // 3, math.floor(0.6 * _HIGH * self.dots)))


@dataclass(frozen=True, slots=True)
class Row:
    """Up to ``columns`` places, each with its pictures and what stands below them."""

    places: Sequence[tuple[Sequence[Pixels], Sequence[str]]]
    heading: str = ""


def sheet_pages(
    rows: Iterable[Row], grid: Grid, title: str = "", colormap: str = ""
) -> Iterator[Page]:
    """Yield pages of A4, one at a time; a single one is as high as what is on it.

    The first has the title, and the colours of the heat where they are known.
    """
    page, number = Page(_WIDE, _HIGH), 1
    top = first = _top(page, title, colormap, grid)
    for row in rows:
        high = _height(row, grid)
        if top > first and top + high > _HIGH - _MARGIN:
            yield page
            number += 1
            page, first = Page(_WIDE, _HIGH), _MARGIN
            page.lines.append(Line(_WIDE - _MARGIN, _HIGH - 10, str(number), 7, "right"))
            top = first
        _lay(page, top, row, grid)
        top += high
    if number == 1:
        page.height = math.ceil(top - _GAP + _MARGIN)
    yield page


def _top(page: Page, title: str, colormap: str, grid: Grid) -> float:
    """Set the title, and the colours at its right; return where the first row begins."""
    top, room = _MARGIN, _WIDE - 2 * _MARGIN - (_BAR[0] + 50 if colormap else 0)
    for line in wrapped(title, room, _TITLE, bold=True) if title else []:
        top += _TITLE * _LEADING
        page.lines.append(Line(_MARGIN, top, line, _TITLE, "left", bold=True))
    if colormap:
        wide, high = (round(each * grid.dots) for each in _BAR)
        bar = np.ascontiguousarray(colour_bar(colormap, high, wide)[::-1].transpose(1, 0, 2))
        right, level = _WIDE - _MARGIN - 18, _MARGIN + _TITLE * _LEADING
        page.pictures.append(Picture(right - _BAR[0], level - _BAR[1], bar))
        page.lines.append(Line(right - _BAR[0] - 3, level, "0", _CAPTION, "right", colour=_GREY))
        page.lines.append(Line(right + 3, level, "max", _CAPTION, "left", colour=_GREY))
        top = max(top, level)
    return top + (1.25 * _GAP if top > _MARGIN else 0)


def _captions(captions: Sequence[str], grid: Grid) -> list[str]:
    return [line for each in captions for line in wrapped(each, grid.place, _CAPTION)]


def _height(row: Row, grid: Grid) -> float:
    lines = max((len(_captions(captions, grid)) for _, captions in row.places), default=0)
    heading = 1.6 * _HEADING if row.heading else 0
    return heading + _picture_height(row) / grid.dots + lines * _CAPTION * _LEADING + 3 + _GAP


def _picture_height(row: Row) -> int:
    return max((len(each) for pictures, _ in row.places for each in pictures), default=0)


def _lay(page: Page, top: float, row: Row, grid: Grid) -> None:
    if row.heading:
        line = Line(_MARGIN, top + _HEADING, row.heading, _HEADING, "left", bold=True)
        page.lines.append(line)
        top += 1.6 * _HEADING
    high = _picture_height(row)
    for number, (pictures, captions) in enumerate(row.places):
        left = _MARGIN + number * (grid.place + _GAP)
        below = top + high / grid.dots + 1
        used = sum(each.shape[1] for each in pictures) / grid.dots
        at = left + (grid.place - used - _BESIDE * (len(pictures) - 1)) / 2
        for each in pictures:
            page.pictures.append(Picture(at, top + (high - len(each)) / grid.dots, each))
            at += each.shape[1] / grid.dots + _BESIDE
        for text in _captions(captions, grid):
            below += _CAPTION * _LEADING
            page.lines.append(Line(left + grid.place / 2, below, text, _CAPTION, colour=_GREY))
