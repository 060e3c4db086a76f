"""Pictures and lines of text become a file: JPEG, PNG, WebP, SVG, or a PDF of many pages."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gradcam_cli.render.emoji import STAND_IN, as_text, pixels, stood_in
from gradcam_cli.render.lettering import pictures, set_in, width

DOTS = 3
"""Pixels a point: 216 to the inch."""

_DRAWING = threading.RLock()
"""Matplotlib is not made for threads, and its settings are the process's."""
_SETTINGS: Any = {
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "gradcam",
}
"""Text stays text, and the same figure has the same bytes."""
_SHARES = {"left": 0.0, "center": 0.5, "right": 1.0}
_MIDDLE = 0.36
"""Where the middle of capitals lies above the line, as a share of the letters' size."""
_PROGRAM = "gradcam"


@dataclass(frozen=True, slots=True)
class Picture:
    """RGB or RGBA pixels, uint8 ``[h, w, 3]`` or ``[h, w, 4]``, at ``(x, y)`` points.

    They count from the page's upper left corner. A page that is painted with n dots a point shows
    n x n of them on a square point.
    """

    x: float
    y: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in ``size`` points, whose baseline begins, ends or is centred at a point."""

    x: float
    y: float
    text: str
    size: float
    align: Literal["left", "center", "right"] = "center"
    bold: bool = False
    colour: str = "#1a1a1a"


@dataclass(slots=True)
class Page:
    """A white page of ``width`` x ``height`` points, and what lies on it."""

    width: float
    height: float
    pictures: list[Picture] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


class _Pixels(Artist):
    """Pixels as they are: each becomes one of a raster's, none is interpolated."""

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self._picture = picture

    def draw(self, renderer: Any) -> None:
        pixels, figure = self._picture.pixels, self.get_figure(root=True)
        assert figure is not None  # noqa: S101  only figures draw
        points, dots = figure.dpi / 72, renderer.get_image_magnification()
        left, top = self._picture.x * points, self._picture.y * points
        low = figure.bbox.height - top - len(pixels) / dots
        solid = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])[::-1, :, :4]
        gc = renderer.new_gc()
        if dots == 1:  # a raster, whose pixels are the picture's
            renderer.draw_image(gc, round(left), round(low), solid)
        else:
            renderer.draw_image(gc, left, low, solid)
        gc.restore()


@contextmanager
def own_style() -> Iterator[None]:
    """Draw one by one, with matplotlib's own defaults, whatever a ``matplotlibrc`` says."""
    with _DRAWING, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def painted(
    page: Page,
    format: str,  # noqa: A002
    dots: float = DOTS,
    quality: int = 95,
    mark: str = _PROGRAM,
) -> bytes:
    """Return a page as a file, ``dots`` of its pictures' pixels to the point.

    ``mark`` is what PNG and SVG files name as the program that made them.
    """
    with own_style():
        data = saved(_figure(page, format, dots), format, dots * 72, quality, mark)
    if format != "svg":
        return data
    found = (each for line in page.lines for each in stood_in(line.text)[1])
    return re.sub(STAND_IN.encode(), lambda _: as_text(next(found)).encode(), data)


def painted_pdf(pages: Iterable[Page], dots: float = DOTS, mark: str = _PROGRAM) -> bytes:
    """Return pages as one PDF file, which names ``mark`` as the program that made it."""
    buffer = io.BytesIO()
    with own_style(), PdfPages(buffer, metadata=_undated("pdf", mark)) as file:
        for page in pages:
            file.savefig(_figure(page, "pdf", dots), dpi=dots * 72)
    return buffer.getvalue()


def _undated(format: str, mark: str) -> dict[str, Any] | None:  # noqa: A002
    """Return what a file says of its making."""
    made: dict[str, dict[str, Any]] = {
        "pdf": {"Creator": mark, "Producer": _PROGRAM, "CreationDate": None},
        "svg": {"Creator": mark, "Date": None},
        "png": {"Software": mark},
    }
    return made.get(format)


def saved(
    figure: Figure,
    format: str,  # noqa: A002
    dpi: float,
    quality: int = 95,
    mark: str = _PROGRAM,
) -> bytes:
    """Return a figure as a file without a date in it."""
    options: dict[str, Any] = {}
    if format in ("jpg", "webp"):
        options["pil_kwargs"] = {"quality": quality}
    if format == "jpg":
        options["pil_kwargs"]["subsampling"] = 0  # letters and colour bars have sharp edges
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format, dpi=dpi, metadata=_undated(format, mark), **options)
    return buffer.getvalue()


def _figure(page: Page, format: str, dots: float) -> Figure:  # noqa: A002
    figure = Figure(figsize=(page.width / 72, page.height / 72), facecolor="white")
    for picture in page.pictures:
        figure.add_artist(_Pixels(picture), clip=False)
    for line in page.lines:
        # What draws an SVG has its own fonts: there, emoji stay text.
        raster = 0 if format in ("pdf", "svg") else dots
        pictured = pictures(line.text, line.size, line.bold, raster) if format != "svg" else []
        left, align = line.x, line.align
        if pictured:
            wide = width(line.text, line.size, line.bold)
            left, align = left - _SHARES[align] * wide, "left"
        text, font = set_in(line.text, line.size, line.bold, logical=format == "svg")
        figure.text(
            left / page.width,
            1 - line.y / page.height,
            text,
            fontproperties=font,
            horizontalalignment=align,
            verticalalignment="baseline",
            color=line.colour,
            parse_math=False,
        )
        for at, each in pictured:
            shown = pixels(each, max(1, round(line.size * dots)))
            top = line.y - _MIDDLE * line.size - len(shown) / dots / 2
            figure.add_artist(_Pixels(Picture(left + at, top, shown)), clip=False)
    return figure
