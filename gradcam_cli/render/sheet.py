"""Rows of small pictures with captions become pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.render.lettering import shortened, wrapped
from gradcam_cli.render.page import Line, Page, Picture
from gradcam_cli.render.panel import colour_bar

Pixels = NDArray[np.uint8]

_WIDE, _HIGH = 595.0, 842.0
"""A page of A4, in points."""
_MARGIN, _GAP, _BESIDE = 24.0, 8.0, 2.0
_TITLE, _HEADING, _CAPTION, _LEADING = 13.0, 9.5, 7.0, 1.25
_GREY = "#5a5a5a"
_CAPITAL = 0.73
"""How high capitals are, as a share of the letters' size."""
_BELOW = 2.5
"""Points between a heading and its pictures."""
_BAR, _BESIDE_BAR = (90.0, 6.0), 50.0
_LEAST = 150.0
_FOOT = 10.0
"""Points below the foot's last line."""
_NAME_LINES = 4
"""Of a file's name; longer ones lose their middle."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How large pictures are: ``columns`` places across a page of A4, ``dots`` pixels a point.

    A place holds one picture, or two ``beside`` each other. Where no row has more than ``used``
    places, pages are as wide as these.
    """

    columns: int
    dots: float
    beside: bool = False
    used: int = 0

    @property
    def place(self) -> float:
        """Return the width of a place in points."""
        return (_WIDE - 2 * _MARGIN - (self.columns - 1) * _GAP) / self.columns

    @property
    def width(self) -> float:
        """Return the width of a page in points."""
        used = self.used or self.columns
        return 2 * _MARGIN + max(used * (self.place + _GAP) - _GAP, _BAR[0] + _BESIDE_BAR)

    @property
    def beside_bar(self) -> float:
        """Return how much is left of a line beside the colours of the heat; 0 if too little is."""
        left = self.width - 2 * _MARGIN - _BAR[0] - _BESIDE_BAR
        return left if left >= _LEAST else 0

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
    rows: Iterable[Row], grid: Grid, title: str = "", colormap: str = "", foot: str = ""
) -> Iterator[Page]:
    """Yield pages of A4, one at a time; a single one is as high as what is on it.

    The first has the title, and the colours of the heat where they are known; all have the foot.
    """
    page, number = Page(grid.width, _HIGH), 1
    top, last = _MARGIN, 0.0
    below = wrapped(foot, grid.width - 3 * _MARGIN, _CAPTION) if foot else []
    most = _HIGH - _MARGIN - max(0, len(below) - 1) * _CAPTION * _LEADING
    for place, row in enumerate(rows):
        if not place:
            top = _top(page, title, colormap, grid, row.heading)
        high = _height(row, grid)
        if last and top + high > most:
            _lay_foot(page, below)
            yield page
            number += 1
            page, top = Page(grid.width, _HIGH), _MARGIN
            page.lines.append(Line(grid.width - _MARGIN, _HIGH - _FOOT, str(number), 7, "right"))
        last = _lay(page, top, row, grid)
        top += high
    if number == 1:
        page.height = math.ceil(last + _HIGH - most)
    _lay_foot(page, below)
    yield page


def _lay_foot(page: Page, lines: Sequence[str]) -> None:
    for number, line in enumerate(reversed(lines)):
        level = page.height - _FOOT - number * _CAPTION * _LEADING
        page.lines.append(Line(_MARGIN, level, line, _CAPTION, "left", colour=_GREY))


def _top(page: Page, title: str, colormap: str, grid: Grid, heading: str) -> float:
    """Set the title, and the colours at its right; return where the first row begins.

    Without a title the colours stand at the right of the first row's heading, if it has one.
    """
    lines = wrapped(title, grid.beside_bar or page.width - 2 * _MARGIN, _TITLE, bold=True)
    lines = lines if title else []
    size = _TITLE if lines else _HEADING if heading else _CAPTION
    top = level = first = _MARGIN + _CAPITAL * size
    if colormap and lines and not grid.beside_bar:
        level += _TITLE * _LEADING
    for line in lines:
        top = level
        page.lines.append(Line(_MARGIN, level, line, _TITLE, "left", bold=True))
        level += _TITLE * _LEADING
    if colormap:
        _lay_bar(page, first, colormap, grid.dots)
    own = colormap and not (heading and grid.beside_bar)
    start = top + 1.25 * _GAP if lines else top + 0.75 * _GAP if own else _MARGIN
    return round(start * grid.dots) / grid.dots


def _lay_bar(page: Page, level: float, colormap: str, dots: float) -> None:
    """Lay the colours of the heat in the page's right corner, on a line of text."""
    wide, high = (round(each * dots) for each in _BAR)
    bar = np.ascontiguousarray(colour_bar(colormap, high, wide)[::-1].transpose(1, 0, 2))
    right = page.width - _MARGIN - 18
    page.pictures.append(Picture(right - _BAR[0], level - _BAR[1], bar))
    page.lines.append(Line(right - _BAR[0] - 3, level, "0", _CAPTION, "right", colour=_GREY))
    page.lines.append(Line(right + 3, level, "max", _CAPTION, "left", colour=_GREY))


def short_name(file: str, grid: Grid) -> str:
    """Return a file's name that is not too long to stand below a place."""
    return shortened(file, grid.place, _CAPTION, _NAME_LINES)


def _captions(captions: Sequence[str], grid: Grid) -> list[str]:
    return [line for each in captions for line in wrapped(each, grid.place, _CAPTION)]


def _heading(row: Row, grid: Grid) -> list[str]:
    room = grid.beside_bar or grid.width - 2 * _MARGIN
    return wrapped(row.heading, room, _HEADING, bold=True) if row.heading else []


def _height(row: Row, grid: Grid) -> float:
    lines = max((len(_captions(captions, grid)) for _, captions in row.places), default=0)
    heading = len(_heading(row, grid)) * _HEADING * _LEADING + (_BELOW if row.heading else 0)
    return heading + _picture_height(row) / grid.dots + lines * _CAPTION * _LEADING + 3 + _GAP


def _picture_height(row: Row) -> int:
    return max((len(each) for pictures, _ in row.places for each in pictures), default=0)


def _lay(page: Page, top: float, row: Row, grid: Grid) -> float:
    """Lay a row's heading, pictures and captions, and return where its last line stands."""
    for line in _heading(row, grid):
        level = top + _CAPITAL * _HEADING
        page.lines.append(Line(_MARGIN, level, line, _HEADING, "left", bold=True))
        top += _HEADING * _LEADING
    top += _BELOW if row.heading else 0
    high = _picture_height(row)
    last = top + high / grid.dots
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
        last = max(last, below)
    return last
