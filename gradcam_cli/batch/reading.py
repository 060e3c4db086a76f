"""Manifests become records again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gradcam_cli.batch.records import Record
from gradcam_cli.errors import GradcamError
from gradcam_cli.regular import open_regular
from gradcam_cli.text import line_text

__all__ = [
    "MANIFEST",
    "manifest_name",
    "manifests",
    "placed",
    "read_folder",
    "read_manifest",
    "record_at",
]

MANIFEST = "manifest.jsonl"
MOST_A_RECORD = 16_000_000
"""Bytes; a record of a thousand classes, each explained, has one."""

_MANIFESTS = re.compile(r"manifest(-\d+-of-\d+)?\.jsonl")


def manifest_name(shard: tuple[int, int] | None = None) -> str:
    """Return the manifest's file name; each shard of a run has its own."""
    return MANIFEST if shard is None else f"manifest-{shard[0]}-of-{shard[1]}.jsonl"


def manifests(folder: Path) -> list[Path]:
    """Return the manifests of a folder: a whole run's, and each shard's."""
    return sorted(path for path in folder.iterdir() if _MANIFESTS.fullmatch(path.name))


def read_manifest(folder: Path, name: str = MANIFEST) -> Iterator[Record]:
    """Yield the records of an output folder in order; a torn last line is left out.

    Raises GradcamError when there is no manifest, or a line in its middle is not a record.
    """
    for record, _ in placed(folder / name):
        yield record


def placed(path: Path) -> Iterator[tuple[Record, int]]:
    """Yield a manifest's records, each with the byte that its line begins at."""
    try:
        with open_regular(path) as file:
            yield from _records(file, path)
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
    for record in _latest(path):
        if record.source == source:
            return record
    raise GradcamError(f"{path} was changed by somebody else meanwhile", "run again")


def read_folder(folder: Path) -> Iterator[Record]:
    """Yield one record a picture of an output folder, its latest, whichever shards wrote there.

    Of several manifests the one that was written to last comes first, and is believed; within one,
    pictures come in the order of their first records. A run may be at work: what it adds meanwhile
    is left out. Raises GradcamError when there is no manifest, or a line in one's middle is not a
    record.
    """
    try:
        paths = sorted(manifests(folder), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    except OSError as error:
        raise _cannot_read(folder, error) from error
    if not paths:
        raise GradcamError(f"{folder} has no manifest", "name the output folder of a run")
    seen: set[str] = set()
    for path in paths:
        for record in _latest(path):
            if record.source not in seen:
                seen.add(record.source)
                yield record


def _latest(path: Path) -> Iterator[Record]:
    """Yield the last record of each picture in one manifest."""
    try:
        # Open all the while: a run that ends meanwhile puts a shorter manifest in its place.
        with open_regular(path) as file:
            places = {record.source: place for record, place in _records(file, path)}
            for place in places.values():
                file.seek(place)
                yield Record.from_json(line_text(file.readline(MOST_A_RECORD)))
    except OSError as error:
        raise _cannot_read(path, error) from error


def _records(file: BinaryIO, path: Path) -> Iterator[tuple[Record, int]]:
    """Yield a manifest's records, each with where its line begins."""
    place = 0
    for number, line in enumerate(iter(lambda: file.readline(MOST_A_RECORD), b""), 1):
        whole = line.endswith(b"\n")
        if not whole and len(line) < MOST_A_RECORD:
            return
        try:
            if not whole:
                raise ValueError(f"it is longer than {MOST_A_RECORD // 1_000_000} MB")
            yield Record.from_json(line_text(line)), place
        except ValueError as error:
            raise GradcamError(
                f"line {number} of {path} is not a record: {error}",
                "start the run anew with --overwrite, or name another folder",
            ) from error
        place += len(line)


def _cannot_read(path: Path, error: OSError) -> GradcamError:
    return GradcamError(
        f"cannot read {path}: {error.strerror or error}", "name the output folder of a run"
    )
