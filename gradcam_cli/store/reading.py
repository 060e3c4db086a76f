"""Manifests become records again; lines that are damaged are passed by, and reported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gradcam_cli.errors import GradcamError
from gradcam_cli.regular import open_regular
from gradcam_cli.store.records import OTHER_VERSION, Record
from gradcam_cli.text import line_text

MANIFEST = "manifest.jsonl"
MOST_A_RECORD = 16_000_000
"""Bytes; a record of a thousand classes, each explained, has one."""

_MANIFESTS = re.compile(r"manifest(-\d+-of-\d+)?\.jsonl")
_BEGINNING = b'{"schema_version"'
"""How every line of ours begins."""
_FEW = 5


@dataclass(frozen=True, slots=True)
class Damaged:
    """A line of a manifest that is not a record; ``number`` counts from 1.

    ``start`` and ``size`` are its place and its length in bytes, ``reason`` says what it is.
    """

    path: Path
    number: int
    start: int
    size: int
    reason: str


Report = Callable[[Damaged], None]


def _pass_by(line: Damaged) -> None:
    """Say nothing of a damaged line."""


def damage(lines: Sequence[Damaged]) -> str:
    """Return one sentence on damaged lines, one at least, all of the same manifest."""
    foreign = [line for line in lines if line.reason == OTHER_VERSION]
    if foreign and len(foreign) < len(lines):
        rest = [line for line in lines if line.reason != OTHER_VERSION]
        return f"{damage(foreign)}; {damage(rest)}"
    numbers = [str(line.number) for line in lines[:_FEW]]
    if len(lines) > _FEW:
        numbers.append(f"{len(lines) - _FEW} more")
    *most, last = numbers
    named = f"lines {', '.join(most)} and {last}" if most else f"line {last}"
    are = "are" if most else "is"
    if foreign:
        return f"{named} of {lines[0].path} {are} of another version of gradcam"
    return f"{named} of {lines[0].path} {are} damaged ({lines[0].reason})"


def manifest_name(shard: tuple[int, int] | None = None) -> str:
    """Return the manifest's file name; each shard of a run has its own."""
    return MANIFEST if shard is None else f"manifest-{shard[0]}-of-{shard[1]}.jsonl"


def manifests(folder: Path) -> list[Path]:
    """Return the manifests of a folder: a whole run's, and each shard's."""
    return sorted(path for path in folder.iterdir() if _MANIFESTS.fullmatch(path.name))


def latest_first(folder: Path) -> list[Path]:
    """Return the manifests of a folder, the one that was written to last first.

    Raises GradcamError for a folder that cannot be read.
    """
    try:
        return sorted(manifests(folder), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    except OSError as error:
        raise _cannot_read(folder, error) from error


def read_manifest(
    folder: Path, name: str = MANIFEST, damaged: Report = _pass_by
) -> Iterator[Record]:
    """Yield the records of an output folder in order; a torn last line is left out.

    ``damaged`` is called with every line that is not a record. Raises GradcamError when there is no
    manifest, or the file is not one.
    """
    for record, _ in placed(folder / name, damaged):
        yield record


def placed(path: Path, damaged: Report = _pass_by) -> Iterator[tuple[Record, int]]:
    """Yield a manifest's records, each with the byte that its line begins at."""
    try:
        with open_regular(path) as file:
            yield from _records(file, path, damaged)
    except OSError as error:
        raise _cannot_read(path, error) from error


def record_at(path: Path, start: int, source: str) -> Record:
    """Return a picture's record, from the line that began at a byte when it was last seen there.

    Whoever else writes to the manifest may have made it shorter since: then it is searched. Raises
    GradcamError when the record has gone.
    """
    try:
        with open_regular(path) as file:
            file.seek(start)
            record = Record.from_json(line_text(file.readline(MOST_A_RECORD)))
        if record.source == source:
            return record
    except ValueError:
        pass
    except OSError as error:
        raise _cannot_read(path, error) from error
    for record in _latest(path, _pass_by):
        if record.source == source:
            return record
    raise GradcamError(f"{path} was changed by somebody else meanwhile", "run again")


def read_folder(folder: Path, damaged: Report = _pass_by) -> Iterator[Record]:
    """Yield one record a picture of an output folder, its latest, whichever shards wrote there.

    Of several manifests the one that was written to last comes first, and is believed; within one,
    pictures come in the order of their first records. A run may be at work: what it adds meanwhile
    is left out. ``damaged`` is called with every line that is not a record. Raises GradcamError
    when there is no manifest, one of the files is not a manifest, or all records are of another
    version of gradcam.
    """
    paths = latest_first(folder)
    if not paths:
        raise GradcamError(f"{folder} has no manifest", "name the output folder of a run")
    seen: set[str] = set()
    foreign: list[Path] = []

    def noted(line: Damaged) -> None:
        if line.reason == OTHER_VERSION:
            foreign.append(line.path)
        damaged(line)

    for path in paths:
        for record in _latest(path, noted):
            if record.source not in seen:
                seen.add(record.source)
                yield record
    if foreign and not seen:
        raise GradcamError(
            f"the records in {foreign[0]} are of another version of gradcam",
            "read them with the version that made them, or start the run anew with --overwrite",
        )


def torn(line: bytes) -> bool:
    """Tell by its beginning whether a line without an end is what a killed run leaves behind."""
    beginning = line[: len(_BEGINNING)]
    return not beginning.strip(b"\0") or _BEGINNING.startswith(beginning)


def _latest(path: Path, damaged: Report) -> Iterator[Record]:
    """Yield the last record of each picture in one manifest."""
    try:
        # Open all the while: a run that ends meanwhile puts a shorter manifest in its place.
        with open_regular(path) as file:
            for place in last_places(_records(file, path, damaged)):
                file.seek(place)
                yield Record.from_json(line_text(file.readline(MOST_A_RECORD)))
    except OSError as error:
        raise _cannot_read(path, error) from error


def last_places(records: Iterable[tuple[Record, int]]) -> Iterable[int]:
    """Return where the last record of each picture stands, in the order of the first ones.

    A picture whose file another one has taken over since, in a run over another list, has none.
    """
    places: dict[str, int] = {}
    owners: dict[str, str] = {}
    files: dict[str, list[str]] = {}
    for record, place in records:
        for name in files.pop(record.source, ()):  # what it made before is not its own any more
            if owners.get(name) == record.source:
                del owners[name]
        places[record.source] = place
        files[record.source] = [name for name, _ in record.every_file()]
        for name in files[record.source]:
            owner = owners.get(name, record.source)
            if owner != record.source:
                places.pop(owner, None)
            owners[name] = record.source
    return places.values()


def _records(file: BinaryIO, path: Path, damaged: Report) -> Iterator[tuple[Record, int]]:
    """Yield a manifest's records, each with where its line begins.

    Raises GradcamError for a file in which no line is, or ever was, a record.
    """
    foreign: Damaged | None = None
    ours = False
    place = 0
    for number, line in enumerate(iter(lambda: file.readline(MOST_A_RECORD), b""), 1):
        if not line.endswith(b"\n") and len(line) < MOST_A_RECORD and torn(line):
            break
        record = _record(line)
        if isinstance(record, Record):
            ours = True
            yield record, place
        else:
            found = Damaged(path, number, place, len(line), record)
            damaged(found)
            ours = ours or _BEGINNING in line
            foreign = foreign or found
        place += len(line)
    if foreign and not ours:
        raise GradcamError(
            f"{path} is not a manifest of gradcam: line {foreign.number} is {foreign.reason}",
            "name another folder, or start the run anew with --overwrite",
        )


def _record(line: bytes) -> Record | str:
    """Return the record of a line, or what the line is instead."""
    if not line.endswith(b"\n"):
        return "without an end"
    try:
        return Record.from_json(line_text(line))
    except json.JSONDecodeError:
        return "not JSON"
    except UnicodeDecodeError:
        return "not UTF-8 text"
    except ValueError as error:
        return str(error)


def _cannot_read(path: Path, error: OSError) -> GradcamError:
    return GradcamError(
        f"cannot read {path}: {error.strerror or error}", "name the output folder of a run"
    )
