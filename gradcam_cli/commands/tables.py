"""Rows become a table that fits the terminal and breaks no number, code or identifier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from gradcam_cli.text import printable

_SENTENCE = 20
"""Columns that a sentence has at least."""
_NAME = 6
"""Columns that a name has at least, where it has to be broken."""
_BETWEEN = 2


def table(columns: Sequence[str], rows: Iterable[Iterable[object]], width: int) -> Table:
    """Return a table that is at most ``width`` wide.

    Lines end between words. A column whose name ends in ``#`` has numbers, and is as wide as they
    are; one whose name ends in ``~`` has names, which are broken where no more is left for them.
    What does not fit otherwise becomes a list: each row's values below each other, behind the
    columns' names.
    """
    cells = [[Text(printable(str(cell))) for cell in row] for row in rows]
    widths = _widths(columns, cells, width)
    if widths is None:
        return _listed(columns, cells, width)
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name, wide in zip(columns, widths, strict=True):
        grid.add_column(
            name.rstrip("#~"),
            justify="right" if name.endswith("#") else "left",
            width=wide,
            overflow="fold",
        )
    for row in cells:
        grid.add_row(*row)
    return grid


def _widths(columns: Sequence[str], cells: Sequence[Sequence[Text]], most: int) -> list[int] | None:
    """Return the columns' widths; None where they cannot be had."""
    least, whole, full = [], [], []
    for place, name in enumerate(columns):
        head, texts = name.rstrip("#~"), [row[place].plain for row in cells]
        title, values = _longest(head.split()), _longest(texts)
        word = _longest(each for text in texts for each in text.split())
        if name.endswith("#"):
            word = needed = values
        else:
            needed = min(values, _NAME if name.endswith("~") else max(word, _SENTENCE))
        least.append(max(title, needed))
        whole.append(max(title, needed, word))
        full.append(max(1, values, _longest([head])))
    room = most - _BETWEEN * (len(columns) - 1)
    if sum(least) > room:
        return None
    return _grown(whole if sum(whole) <= room else least, full, room)


def _longest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _grown(widths: Sequence[int], upto: Sequence[int], most: int) -> list[int]:
    """Return widths that share what is left of ``most``, those first that lack the largest part."""
    grown = list(widths)
    while sum(grown) < min(most, sum(upto)):
        grown[min(range(len(grown)), key=lambda place: grown[place] / upto[place])] += 1
    return grown


def _listed(columns: Sequence[str], cells: Sequence[Sequence[Text]], most: int) -> Table:
    heads = [name.rstrip("#~") for name in columns]
    word = _longest(each for row in cells for cell in row for each in cell.plain.split())
    wide = max(_longest(" ".join(heads).split()), min(_longest(heads), most - _BETWEEN - word))
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column(style="bold", width=wide, overflow="fold")
    grid.add_column(overflow="fold")
    for number, row in enumerate(cells):
        if number:
            grid.add_row()
        for head, cell in zip(heads, row, strict=True):
            if cell:
                grid.add_row(head, cell)
    return grid
