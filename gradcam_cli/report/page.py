"""A run's records become one HTML page that needs no network and trusts no record."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from gradcam_cli import __version__
from gradcam_cli.cam.empty import cause
from gradcam_cli.errors import GradcamError
from gradcam_cli.report.rows import Rows
from gradcam_cli.report.summary import ClassCount, Summary, summarise
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.store.records import Record
from gradcam_cli.text import printable

_OURS = b'<meta name="generator" content="gradcam">'
_HEAD = 1024  # bytes in which a page of ours says so
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_LABELS = {
    "model": "model",
    "weights": "weights",
    "layer": "layer",
    "method": "method",
    "score_kind": "score",
    "precision": "precision",
}


def check_place(path: Path) -> None:
    """Raise GradcamError when a page may not be written here: another file is in its place."""
    if not os.path.lexists(path):
        return
    try:
        ours = path.is_file() and _OURS in _head(path)
    except OSError as error:
        raise GradcamError(
            f"cannot read {path}: {error.strerror or error}", "choose another file with -o"
        ) from error
    if not ours:
        raise GradcamError(
            f"{path} is there and is not a report of gradcam's",
            "choose another file with -o, or remove it",
        )


def write_page(records: Iterable[Record], folder: Path, path: Path) -> Summary:
    """Write the page of an output folder's records, whole or not at all; returns its numbers.

    Links lead from the page's place to the folder, so that both can be moved together. Raises
    GradcamError when the page cannot be written.
    """
    rows = Rows(_base(folder, path))
    summary = summarise(_noted(records, rows))
    write_bytes(path, _pieces(summary, rows, folder.resolve().name))
    return summary


def _noted(records: Iterable[Record], rows: Rows) -> Iterator[Record]:
    for record in records:
        rows.add(record)
        yield record


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _base(folder: Path, path: Path) -> str:
    """Return the URL of the folder as seen from the page."""
    way = Path(os.path.relpath(folder, path.parent)).as_posix()
    return "" if way == "." else quote(os.fsencode(way)) + "/"


def _pieces(summary: Summary, rows: Rows, name: str) -> Iterator[bytes]:
    style, script = _part("page.css"), _part("page.js")
    policy = (
        "default-src 'none'; img-src 'self' file:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    before, _, after = _part("page.html").partition("{{records}}")
    values = {
        "policy": policy,
        "title": _text(f"Heatmaps in {name}"),
        "style": style,
        "script": script,
        "summary": _summary(summary),
        "version": __version__,
    }
    yield _filled(before, values)
    yield from rows.pieces()
    yield _filled(after, values)


def _part(name: str) -> str:
    return files("gradcam_cli.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return what the page's policy knows a style or script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _filled(template: str, values: Mapping[str, str]) -> bytes:
    return _PLACE.sub(lambda found: values[found[1]], template).encode()


def _text(text: str) -> str:
    """Return any text as HTML that shows it, and does nothing else."""
    return escape(printable(text))


def _summary(summary: Summary) -> str:
    """Return what the page says without a script: the counts, and the table of classes."""
    parts = [_counts(summary), _settings(summary), _used(summary)]
    parts += [f'<p class="notice">{_text(note)}</p>' for note in summary.notes]
    return "\n".join([*parts, _classes(summary.classes)])


def _counts(summary: Summary) -> str:
    failed = sum(summary.failed.values())
    empty = {cause(reason): count for reason, count in summary.empty.items()}
    cards = [
        _card(summary.pictures, "pictures", "", {"done": summary.done}),
        _card(failed, "failed", "failed", summary.failed),
        _card(summary.with_empty, "with an empty map", "empty", empty),
        _card(summary.with_warning, "with a warning", "warning", {}),
    ]
    return '<ul class="counts">\n' + "\n".join(cards) + "\n</ul>"


def _card(count: int, name: str, show: str, kinds: Mapping[str, int]) -> str:
    link = f'<a href="#show={show}" data-show="{show}">{name}</a>'
    listed = "".join(
        f"<li>{_text(kind) or 'unknown'}: {number:,}</li>" for kind, number in kinds.items()
    )
    return f"<li><strong>{count:,}</strong> {link}{f'<ul>{listed}</ul>' if listed else ''}</li>"


def _settings(summary: Summary) -> str:
    if len(summary.settings) < 2:
        return ""
    digests = ", ".join(
        f"{_text(digest) or 'unknown'} ({count:,})" for digest, count in summary.settings.items()
    )
    return (
        f'<p class="notice">The records were made with {len(summary.settings)} different settings, '
        f"so their numbers and maps cannot be compared: {digests}.</p>"
    )


def _used(summary: Summary) -> str:
    rows = []
    for key, label in _LABELS.items():
        values = summary.used[key]
        several = len(values) > 1
        shown = (
            _text(value) + (f" ({count:,})" if several else "") for value, count in values.items()
        )
        if values:
            rows.append(f"<dt>{label}</dt><dd>{', '.join(shown)}</dd>")
    return f'<dl class="used">\n{"".join(rows)}\n</dl>' if rows else ""


def _classes(classes: Iterable[ClassCount]) -> str:
    rows = "\n".join(map(_class, classes))
    if not rows:
        return ""
    return (
        '<h2 id="classes">Predicted classes</h2>\n'
        '<div class="classes" role="region" aria-labelledby="classes" tabindex="0">\n<table>\n'
        '<thead><tr><th scope="col">class</th><th scope="col">pictures</th>'
        '<th scope="col">mean probability</th><th scope="col">empty maps</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _class(row: ClassCount) -> str:
    """Return one row; a cell's ``data-value`` is what it is sorted by."""
    name = _text(row.name) or f"class {row.index}"
    share = row.empty / row.maps if row.maps else None
    known, empty = row.probability, "" if share is None else f"{share:.1%}"
    return (
        f'<tr><td><a href="#class={row.index}" data-class="{row.index}" title="{_text(row.id)}">'
        f'{name}</a></td><td data-value="{row.pictures}">{row.pictures:,}</td>'
        f'<td data-value="{-1 if known is None else known}">'
        f"{'' if known is None else format(known, '.4f')}</td>"
        f'<td data-value="{-1 if share is None else share}">{empty}</td></tr>'
    )
