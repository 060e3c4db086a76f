"""What people read becomes lines: data on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gradcam_cli.cam.empty import cause
from gradcam_cli.commands import tables
from gradcam_cli.commands.bars import above, clearing, closing_bar, progress_bar
from gradcam_cli.errors import GradcamError
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from gradcam_cli.store.records import Prediction, Record

_FEW = 3
_WIDE = 10_000


class _Console(Console):
    """A console that prints above the progress bars."""

    def print(self, *objects: Any, **options: Any) -> None:
        with above():
            super().print(*objects, **options)


def _console(stderr: bool = False) -> Console:
    console = _Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        # A pipe has no edge: nothing may be cut or wrapped at 80 columns.
        console = _Console(stderr=stderr, highlight=False, emoji=False, width=_WIDE)
    return console


def _say(marked: str) -> None:
    """Print on standard error; on a terminal lines end between words."""
    console = _console(stderr=True)
    text = Text.from_markup(marked, emoji=False)
    console.print(_wrapped(text, console.width) if console.is_terminal else text)


def _wrapped(text: Text, width: int) -> Text:
    """Return a sentence in lines; a path that is longer than a line stays whole."""
    ends, used = [], 0
    for word in re.finditer(r"\S+\s*", text.plain):
        if used and used + cell_len(word[0].rstrip()) > width:
            ends.append(word.start())
            used = 0
        used += cell_len(word[0])
    lines = text.divide(ends)
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


def error(problem: GradcamError) -> None:
    """Print what went wrong and what to do, two lines."""
    _say(f"[bold red]error:[/] {escape(_one_line(problem.message))}")
    if problem.hint:
        _say(f"[bold]hint:[/] {escape(_one_line(problem.hint))}")


def warn(sentence: str) -> None:
    """Print a warning."""
    _say(f"[bold yellow]warning:[/] {escape(_one_line(sentence))}")


def note(sentence: str) -> None:
    """Print something that is good to know."""
    _say(f"[dim]{escape(_one_line(sentence))}[/]")


def at_once(sentence: str) -> None:
    """Print from a signal handler, which must not enter a buffered stream a second time."""
    with suppress(OSError):  # the terminal may be what has gone
        os.write(sys.stderr.fileno(), f"{clearing()}{sentence}\n".encode())


def command(text: str) -> None:
    """Print a line for GitHub's runner, as it is: it reads standard error as well."""
    with above():
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def json_line(values: object) -> None:
    """Print one JSON value as a line on standard output."""
    line(json.dumps(values))


def line(text: str) -> None:
    """Print a line on standard output, and hand it on at once."""
    with above():
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Iterable[object]], title: str = "") -> None:
    """Print a table on standard output, as ``tables.table`` fits it to the terminal.

    Columns whose name ends in ``#`` have numbers, in ``~`` names that may be broken.
    """
    console = _console()
    if title:
        titled(console, title)
    console.print(tables.table(columns, rows, console.width))


def titled(console: Console, title: str) -> None:
    """Print what stands above a table; its own title is wrapped to the table's width."""
    console.print(Text(printable(title), style="italic"), soft_wrap=True)


def terminal() -> Console:
    """Return standard output as a console, for what is more than lines and tables."""
    return _console()


def predicted(record: Record) -> Table:
    """Return one image's top-k as a table; without ids where names would be broken for them."""
    console = _console()
    rows = [(row.rank, row.name, row.id, _number(row)) for row in record.predictions]
    unit = (
        "score#" if any(row.probability is None for row in record.predictions) else "probability#"
    )
    full = tables.table(("rank#", "name~", "id", unit), rows, _WIDE)
    if console.measure(full, options=console.options.update(width=_WIDE)).maximum <= console.width:
        return full
    short = [(rank, name, number) for rank, name, _, number in rows]
    return tables.table(("rank#", "name~", unit), short, console.width)


def predictions(record: Record, table: bool = True) -> None:
    """Print one image's top-k, or why it failed; without ``table`` only what is wrong with it."""
    if record.error is not None:
        warn(f"{printable(record.source)}: {record.error.message}")
        return
    if table:
        console = _console()
        titled(console, record.source)
        console.print(predicted(record))
    if record.warning:
        warn(f"{printable(record.source)}: {record.warning}")
    for item in record.explanations:
        if item.empty:
            why = cause(item.empty_reason)
            warn(f"{printable(record.source)}: the map of {item.name} is empty: {why}")
    sys.stdout.flush()


def _number(row: Prediction) -> str:
    if row.probability is not None:
        return f"{row.probability:.4f}"
    return "not finite" if row.score is None else f"{row.score:.4g}"


@contextmanager
def progress(count: int, before: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a bar with images/s and time left on a terminal; yields what each image calls.

    ``before`` of the ``count`` images are finished already.
    """
    if quiet or count <= _FEW or not sys.stderr.isatty():
        yield lambda: None
        return
    bar = progress_bar(total=count, initial=before, unit="picture", delay=1.0)
    try:
        yield bar.update
    finally:
        closing_bar(bar)
