"""Maps become the rows of a sheet, and its pages become files."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import GradcamError
from gradcam_cli.render.lettering import plain_name
from gradcam_cli.render.page import DOTS, Page, painted, painted_pdf
from gradcam_cli.render.panel import shown_number
from gradcam_cli.render.sheet import Grid, Row, short_name
from gradcam_cli.sheet.choose import Class, Shown, ordered
from gradcam_cli.sheet.thumbs import Thumbs
from gradcam_cli.store.atomic import refuse_foreign, write_bytes
from gradcam_cli.text import printable

Item = TypeVar("Item")

ENDINGS = (".png", ".pdf", ".svg")
_MOST_PIXELS = 64_000_000
"""Of all pictures of a PDF file, which is in memory until it is written: 256 MB."""
_AHEAD = 24
"""Pictures that are read at a time."""
_ENDS = 8192
"""Bytes at both ends of a file, in one of which ours say whose they are."""
_MARK = "gradcam sheet"


def check_file(path: Path) -> None:
    """Raise GradcamError for a file that is of no kind of ours, or in whose place another lies."""
    if path.suffix.lower() not in ENDINGS:
        raise GradcamError(
            f"{path.name} is not a kind of sheet", "-o sheet.png, sheet.pdf or sheet.svg"
        )
    for each in (path, _numbered(path, 1)):
        _check_ours(each)


def _check_ours(path: Path) -> None:
    refuse_foreign(path, lambda each: _is_marked(each, _MARK), "sheet")


def _mark(path: Path, number: int) -> str:
    """Return what a page of the sheet at ``path`` says of itself; 0 stands for a single one."""
    return f"{_MARK} {hashlib.sha256(os.fsencode(path.stem)).hexdigest()[:16]} page {number}."


def _is_marked(path: Path, mark: str) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(_ENDS)
            file.seek(max(0, path.stat().st_size - _ENDS))
            return mark.encode() in start + file.read()
    except OSError:
        return False


def grid_for(path: Path, columns: int, beside: bool, pictures: int, used: int) -> Grid:
    """Return how large pictures are; of very many in one PDF file, they have fewer pixels.

    ``used`` is how many there are in the longest row.
    """
    place = Grid(columns, DOTS, beside).place
    most = math.sqrt(_MOST_PIXELS / max(1, pictures)) / place
    dots = min(DOTS, most) if path.suffix.lower() == ".pdf" else DOTS
    return Grid(columns, dots, beside, min(used, columns))


def rows(
    maps: Iterable[Shown], thumbs: Thumbs, grid: Grid, files: Mapping[str, str], named: bool
) -> Iterator[Row]:
    """Yield full rows of maps whose files are there; captions have the class if ``named``.

    ``files`` are what images are called, by source.
    """
    places = _places(iter(maps), thumbs, grid, files, named)
    yield from map(Row, _parts(places, grid.columns))


def class_rows(
    groups: Iterable[tuple[Class, list[Shown]]],
    order: str,
    thumbs: Thumbs,
    grid: Grid,
    files: Mapping[str, str],
) -> Iterator[Row]:
    """Yield a row a class: its first pictures by ``order``, with its name and their number."""
    for (index, _, name), maps in groups:
        first = ordered(maps, order)
        places = _places(iter(first), thumbs, grid, files, named=False, ahead=grid.columns)
        if row := list(islice(places, grid.columns)):
            heading = plain_name(name) or f"class {index}"
            yield Row(row, f"{heading} ({len(maps):,})")


def _places(
    maps: Iterator[Shown],
    thumbs: Thumbs,
    grid: Grid,
    files: Mapping[str, str],
    named: bool,
    ahead: int = _AHEAD,
) -> Iterator[tuple[Sequence[NDArray[np.uint8]], Sequence[str]]]:
    with ThreadPoolExecutor(thread_name_prefix="thumbs") as pool:
        for part in _parts(maps, max(grid.columns, ahead // grid.columns * grid.columns)):
            made = pool.map(lambda each: thumbs(each, *grid.picture), part)
            for shown, pictures in zip(part, made, strict=True):
                if pictures:
                    file = short_name(printable(files[shown.source]), grid)
                    yield pictures, _captions(shown, file, named)


def _captions(shown: Shown, file: str, named: bool) -> list[str]:
    known = plain_name(shown.name) or f"class {shown.shown[0]}"
    number = shown_number(shown.probability, shown.score)
    below = ", ".join(filter(None, [known if named else "", number]))
    return [each for each in (file, below, "empty map" if shown.empty else "") if each]


def write_pages(pages: Iterator[Page], path: Path, grid: Grid) -> list[Path]:
    """Write pages, and return the files: one PDF, or numbered PNG or SVG where there are several.

    Pages are made and written one at a time. Raises GradcamError when they cannot be written, or
    another file is in the place of one.
    """
    kind = path.suffix.lower()[1:]
    if kind == "pdf":
        write_bytes(path, painted_pdf(pages, grid.dots, _MARK))
        return [path]
    first = next(pages)
    second = next(pages, None)
    if second is None:
        write_bytes(path, painted(first, kind, grid.dots, mark=_mark(path, 0)))
        return [path]
    files = []
    for number, page in enumerate((each for part in ([first, second], pages) for each in part), 1):
        files.append(_numbered(path, number))
        _check_ours(files[-1])
        write_bytes(files[-1], painted(page, kind, grid.dots, mark=_mark(path, number)))
    return files


def remove_older(path: Path, files: Sequence[Path]) -> list[Path]:
    """Remove what an earlier sheet of this name left beside these ``files``; return what it was.

    Pages are counted on from the last one; the first that is gone or of another sheet ends that.
    """
    several = len(files) > 1
    left = [path] if several and _is_page(path, _mark(path, 0)) else []
    number = len(files) + 1 if several else 1
    while _is_page(_numbered(path, number), _mark(path, number)):
        left.append(_numbered(path, number))
        number += 1
    for each in left:
        with suppress(OSError):
            each.unlink()
    return [each for each in left if not os.path.lexists(each)]


def _is_page(path: Path, mark: str) -> bool:
    return path.is_file() and not path.is_symlink() and _is_marked(path, mark)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number:03d}{path.suffix}")


def _parts(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while part := list(islice(items, size)):
        yield part
