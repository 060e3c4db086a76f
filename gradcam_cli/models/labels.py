"""A file of class names, in whatever form it was exported, becomes Labels."""

from __future__ import annotations

import csv
import functools
import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeVar

from gradcam_cli.errors import GradcamError
from gradcam_cli.regular import read_bounded, readable
from gradcam_cli.text import NotTextError, decoded

_MOST_LABELS = 1_000_000
_MOST_COMMAS = 4 * _MOST_LABELS
_MOST_COLUMNS = 1000
_LONGEST = 1000  # characters of a label

WORDNET_ID = re.compile(r"n[0-9]{8}", re.IGNORECASE)
_INDEX = re.compile(r"[0-9]{1,9}")
_NUMBERED_LINE = re.compile(r"([0-9]{1,9})\s+(\S.*)")
_ID_LINE = re.compile(r"(n[0-9]{8})\s+(\S.*)")
_NAME_HEADERS = {"name", "names", "label", "labels", "class", "classes", "class_name", "category"}
_ID_HEADERS = {"id", "wnid", "synset", "synset_id", "wordnet_id", "wordnet"}
_INDEX_HEADERS = {"index", "idx", "number", "class_index", "class_id", "class_idx", "label_id"}
_FORMS = "one label a line, CSV with a name column, or JSON ([...], {index: name}, {name: index})"


_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Labels:
    """The names of a model's classes in the order of its outputs.

    ``ids`` are WordNet ids, as many as names, or empty.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]


@functools.cache
def imagenet_labels() -> Labels:
    """Return the names and WordNet ids of ImageNet's 1000 classes, from the package's own table."""
    table = Path(__file__).with_name("imagenet_classes.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines()]
    return Labels(names=tuple(row[2] for row in rows), ids=tuple(row[1] for row in rows))


def read_labels(path: Path) -> Labels:
    """Read class names from a text, CSV (``.csv``, ``.tsv``) or JSON file.

    Text has one label a line; where every line starts with an index (Teachable Machine's
    ``0 Cat``) or a WordNet id, that is taken off. JSON is a list, Keras's class index
    ``{"0": ["n01440764", "tench"]}``, ``{"0": "cat"}``, or ``class_indices`` ``{"cat": 0}``.
    CSV has a column of names, and may have one of indices, one of ids and a header.

    Raises GradcamError, with the line where there is one, for a file that cannot be read, that
    leaves a class without a name, or that is too large for one of labels.
    """
    text = _text(path)
    if not text.strip():
        raise GradcamError(f"{path} has no labels", f"needed: {_FORMS}")
    labels = _parsed(path, text)
    for index, name in enumerate((*labels.names, *labels.ids)):
        if len(name) > _LONGEST:
            raise GradcamError(
                f"{path}: the label of class {index % len(labels.names)} has {len(name):,} "
                f"characters, and a label has at most {_LONGEST:,}",
                f"needed: {_FORMS}",
            )
    return labels


def label_bytes(path: Path) -> bytes:
    """Return what is in a file of labels, or comes out of a pipe; raises GradcamError."""
    with readable(path, "--labels", f"needed: a file with {_FORMS}", GradcamError):
        return read_bounded(path, "--labels", piped=True)


def _parsed(path: Path, text: str) -> Labels:
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv"):
        return _from_table(path, text)
    if ending == ".json":
        return _from_json(path, text)
    if text.lstrip()[0] in "{[" and _is_json(text):
        return _from_json(path, text)
    return _from_lines(path, text)


def _text(path: Path) -> str:
    """Return a file's text with plain line ends."""
    data = label_bytes(path)
    # Counted before anything is made of them: each takes many times its own length then.
    for mark, most, name in ((b"\n", _MOST_LABELS, "lines"), (b",", _MOST_COMMAS, "commas")):
        if data.count(mark) > most:
            raise GradcamError(
                f"{path} has more than {most:,} {name}, too many for a file of labels",
                f"needed: {_FORMS}",
            )
    try:
        return decoded(data)
    except NotTextError as error:
        raise GradcamError(
            f"{path}, line {error.line}: {error.reason}",
            f"save it as UTF-8; needed: a file with {_FORMS}",
        ) from error


def _from_lines(path: Path, text: str) -> Labels:
    lines = [line.strip() for line in text.rstrip().split("\n")]
    for number, line in enumerate(lines, start=1):
        if not line:
            raise GradcamError(
                f"{path}, line {number}: blank, so a class has no label",
                "write one label a line, in the order of the model's outputs",
            )
    numbered = [_NUMBERED_LINE.fullmatch(line) for line in lines]
    names = {int(match[1]): match[2] for match in numbered if match}
    if len(names) == len(lines) and set(names) == set(range(len(lines))):
        return Labels(names=tuple(names[index] for index in range(len(lines))), ids=())
    pairs = [match.groups() for match in map(_ID_LINE.fullmatch, lines) if match]
    if len(pairs) == len(lines):
        return Labels(names=tuple(name for _, name in pairs), ids=tuple(id_ for id_, _ in pairs))
    return Labels(names=tuple(lines), ids=())


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _from_json(path: Path, text: str) -> Labels:
    hint = 'needed: ["cat", "dog"], {"0": "cat", "1": "dog"} or {"cat": 0, "dog": 1}'

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) < len(pairs):
            twice = _twice(key for key, _ in pairs)
            raise GradcamError(f"{path}: the key {short(twice)} is there twice", hint)
        return seen

    try:
        value = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise GradcamError(f"{path}, line {error.lineno}: {error.msg}", hint) from error
    except (ValueError, RecursionError) as error:
        raise GradcamError(f"{path}, line 1: not a JSON file of labels", hint) from error
    if isinstance(value, list):
        entries: list[Any] = value
    elif not isinstance(value, dict):
        raise GradcamError(f"{path}, line 1: neither a list nor an object", hint)
    elif all(type(index) is int for index in value.values()):
        entries = _in_order(path, [(index, name) for name, index in value.items()], hint)
    elif all(_INDEX.fullmatch(key) for key in value):
        entries = _in_order(path, [(int(key), entry) for key, entry in value.items()], hint)
    else:
        wrong = next(key for key in value if not _INDEX.fullmatch(key))
        raise GradcamError(f"{path}: the key {short(wrong)} is not a class index", hint)
    return _from_entries(path, entries, hint)


def _in_order(path: Path, pairs: Sequence[tuple[int, Any]], hint: str) -> list[Any]:
    """Return the entries by index, having checked that the indices are 0..n-1, each once."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        twice = _twice(index for index, _ in pairs)
        raise GradcamError(f"{path}: class {short(twice)} is there twice", hint)
    missing = next((index for index in range(len(pairs)) if index not in entries), None)
    if missing is not None:
        raise GradcamError(f"{path}: no label for class {missing} of {len(pairs)}", hint)
    return [entries[index] for index in range(len(pairs))]


def _twice(items: Iterable[_Key]) -> _Key:
    """Return the first of the items that are there more than once."""
    return next(item for item, count in Counter(items).items() if count > 1)


def _from_entries(path: Path, entries: Sequence[Any], hint: str) -> Labels:
    names, ids = [], []
    if not entries:
        raise GradcamError(f"{path} has no labels", hint)
    for index, entry in enumerate(entries):
        parts = entry if isinstance(entry, list) else [entry]
        if len(parts) not in (1, 2) or not all(isinstance(p, str) and p.strip() for p in parts):
            raise GradcamError(
                f"{path}: the label of class {index} is not text: {short(entry)}", hint
            )
        names.append(parts[-1].strip())
        ids += [part.strip() for part in parts[:-1]]
    if len(ids) not in (0, len(names)):
        raise GradcamError(f"{path}: only {len(ids)} of {len(names)} labels have an id", hint)
    return Labels(names=tuple(names), ids=tuple(ids))


def _from_table(path: Path, text: str) -> Labels:
    """Read CSV; which column is which is said by the header, else by what stands in it."""
    rows = _rows(path, text)
    head = [re.sub(r"[\s-]+", "_", cell.casefold()) for cell in rows[0].cells]
    if _is_header(head, [row.cells for row in rows]):
        rows = rows[1:]
    else:
        head = [""] * len(head)
    if not rows:
        raise GradcamError(f"{path}, line 1: a header, but no labels", f"needed: {_FORMS}")
    columns = [[row.cells[c] for row in rows] for c in range(len(head))]
    index, ids, name = _columns(path, head, columns)
    for row in rows:
        if not row.cells[name]:
            raise GradcamError(f"{path}, line {row.line}: no name", "every class needs a name")
    if index is not None:
        rows = _by_index(path, rows, index)
    return Labels(
        names=tuple(row.cells[name] for row in rows),
        ids=tuple(row.cells[ids] for row in rows) if ids is not None else (),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: list[str]


def _is_header(head: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Recognise a header by its names, or by a name above a column of indices."""
    if any(cell in _NAME_HEADERS | _ID_HEADERS | _INDEX_HEADERS for cell in head):
        return True
    return len(head) > 1 < len(rows) and any(
        not _INDEX.fullmatch(rows[0][c]) and _all(_INDEX, [row[c] for row in rows[1:]])
        for c in range(len(head))
    )


def _columns(
    path: Path, head: Sequence[str], columns: Sequence[Sequence[str]]
) -> tuple[int | None, int | None, int]:
    """Return which columns hold the indices, the ids and the names."""
    free = list(range(len(columns)))

    def take(headers: set[str], pattern: re.Pattern[str]) -> int | None:
        known = [c for c in free if head[c] in headers]
        alike = [c for c in free if head[c] not in _NAME_HEADERS and _all(pattern, columns[c])]
        found = next(iter(known or alike), None) if len(free) > 1 else None
        if found is not None:
            free.remove(found)
        return found

    ids = take(_ID_HEADERS - {"id"}, WORDNET_ID)  # `id` may just as well be the index
    index = take(_INDEX_HEADERS, _INDEX)
    if len(free) == 2 and ids is None and not any(head):
        ids = free.pop(0)
    named = free if len(free) == 1 else [c for c in free if head[c] in _NAME_HEADERS]
    if len(named) != 1:
        raise GradcamError(
            f"{path}, line 1: which of the {len(columns)} columns holds the names?",
            "call it `name` in the first line",
        )
    if ids is None:
        ids = next((c for c in free if head[c] == "id"), None)
    return index, ids, named[0]


def _all(pattern: re.Pattern[str], cells: Sequence[str]) -> bool:
    return all(pattern.fullmatch(cell) for cell in cells)


def _by_index(path: Path, rows: Sequence[_Row], column: int) -> list[_Row]:
    """Return the rows in the order of their indices, which must be 0..n-1, each once."""
    order: dict[int, _Row] = {}
    for row in rows:
        cell = row.cells[column]
        index = int(cell) if _INDEX.fullmatch(cell) else -1
        if not 0 <= index < len(rows) or index in order:
            wrong = "is there twice" if index in order else "is not a class index"
            raise GradcamError(
                f"{path}, line {row.line}: {short(cell)} {wrong}",
                f"the indices of {len(rows)} classes go from 0 to {len(rows) - 1}",
            )
        order[index] = row
    return [order[index] for index in range(len(rows))]


def _rows(path: Path, text: str) -> list[_Row]:
    """Return the rows, split at the delimiter that gives every one as many cells."""
    widest: list[_Row] = []
    broken: GradcamError | None = None
    for delimiter in (",", ";", "\t"):
        try:
            rows = _split(path, text.rstrip("\n "), delimiter)
        except GradcamError as error:
            broken = broken or error
            continue
        width = len(rows[0].cells)
        if width > 1 and all(len(row.cells) == width for row in rows):
            return rows
        if not widest or max(len(r.cells) for r in rows) > max(len(r.cells) for r in widest):
            widest = rows
    if not widest and broken:
        raise broken
    for row in widest:
        if len(row.cells) != len(widest[0].cells):
            raise GradcamError(
                f"{path}, line {row.line}: {len(row.cells)} columns where the first line has "
                f"{len(widest[0].cells)}",
                "put names that contain the delimiter in double quotes",
            )
    return widest


def _split(path: Path, text: str, delimiter: str) -> list[_Row]:
    reader = csv.reader(text.split("\n"), delimiter=delimiter, strict=True)
    rows = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                raise GradcamError(
                    f"{path}, line {reader.line_num}: blank, so a class has no label",
                    "write one class a line",
                )
            if len(cells) > _MOST_COLUMNS:
                raise GradcamError(
                    f"{path}, line {reader.line_num}: {len(cells):,} columns",
                    "write one class a line",
                )
            rows.append(_Row(reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise GradcamError(
            f"{path}, line {reader.line_num}: {error}",
            "a name in double quotes needs its own quotes doubled",
        ) from error
    return rows
