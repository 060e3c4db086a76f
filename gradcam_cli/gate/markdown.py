"""A result becomes a page of Markdown, and lines that GitHub shows beside a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gradcam_cli.gate.audit import Place
from gradcam_cli.gate.judge import sentence
from gradcam_cli.gate.result import Result
from gradcam_cli.text import encodable, printable

MOST_BYTES = 1_000_000
"""GitHub drops a step's whole summary above 1 MiB."""
MOST_ANNOTATIONS = 10
"""GitHub shows no more of one kind a step."""

_ROOM = 200  # bytes for the last line
_LONGEST = 2000  # characters of a cell
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#!|&~$@]")


def summary(result: Result, most: int = MOST_BYTES) -> str:
    """Return a result as Markdown of at most ``most`` bytes: what differs, worst first.

    It is empty where not even the counts have room.
    """
    mark = "passed" if result.passed else "failed"
    text = f"## gradcam {result.kind} {mark}\n\n{_cell(result.sentence())}.\n\n"
    changes = [f"- {_cell(change)}\n" for change in result.changes[:50]]
    lines = [*changes, "\n", *_table(result), *_places(result.places)]
    size = len(text.encode())
    if size > most - _ROOM:
        return ""
    for number, line in enumerate(lines):
        size += len(line.encode())
        if size > most - _ROOM:
            return f"{text}\n{len(lines) - number} more lines were cut off here.\n"
        text += line
    return text


def _table(result: Result) -> Iterator[str]:
    head = "| picture | | times its limit | what |\n| --- | --- | ---: | --- |\n"
    for case in result.wrong():
        what = "; ".join(case.reasons)
        if case.files:
            what += f" ({', '.join(case.files.values())})"
        beyond = f"{case.beyond:.1f}" if case.beyond else ""
        cells = _cell(case.picture), result.word(case), beyond, _cell(what)
        yield f"{head}| {' | '.join(cells)} |\n"
        head = ""


def _places(places: Iterable[Place]) -> Iterator[str]:
    head = "\n| class | pictures | heat in one place | by chance | where |\n"
    head += "| --- | ---: | ---: | ---: | --- |\n"
    for place in places:
        if place.sameness is None or place.chance is None:
            continue
        where = place_in_words(place.centre) if place.found else ""
        yield (
            f"{head}| {_cell(place.name)} | {place.pictures} | {place.share:.2f} "
            f"| {place.chance:.3f} | {where} |\n"
        )
        head = ""


def place_in_words(centre: tuple[float, float]) -> str:
    """Return where a place ``(y, x)`` of shares lies in an image, in words."""
    y, x = centre
    rows = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    columns = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    return " ".join(part for part in (rows, columns) if part) or "middle"


def workflow_commands(result: Result) -> list[str]:
    """Return workflow commands for what differs, classes in one place first, then pictures.

    They are ten at most: the tenth counts the rest.
    """
    lines = [
        f"::error title={_property('gradcam one place')}"
        f"::{_message(f'{place.name}: {sentence(place.measured)}')}"
        for place in result.shortcuts
        if place.measured
    ]
    lines += [
        f"::error file={_property(case.picture)},title={_property(f'gradcam {case.status}')}"
        f"::{_message(case.picture + ': ' + '; '.join(case.reasons))}"
        for case in result.wrong()
    ]
    more = len(lines) - MOST_ANNOTATIONS + 1
    return lines if more <= 1 else [*lines[:-more], f"::error title=gradcam::{more} more differ"]


def _cell(text: str) -> str:
    """Return text as a table's cell that nothing in it breaks out of."""
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", printable(cut))


def _message(text: str) -> str:
    """Return text as a workflow command's message: one line, of which it cannot break out."""
    return encodable(text[:_LONGEST]).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
