"""A manifest is made whole again: torn and damaged lines go, what was done twice counts once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from gradcam_cli.regular import check_regular, open_regular
from gradcam_cli.store.atomic import cannot_write, write_bytes
from gradcam_cli.store.reading import Damaged, last_places, placed, torn


def last_lines(path: Path) -> Iterator[bytes]:
    """Yield each picture's last line, in the place of its first: as if it had been done once."""
    try:
        with open_regular(path) as file:
            for place in last_places(placed(path)):
                file.seek(place)
                yield file.readline()
    except OSError as error:
        raise cannot_write(path, error) from error


def cut_torn_line(path: Path) -> None:
    """Cut off a last line that a killed process left unfinished; raises OSError."""
    check_regular(path)
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        step, tail = 1 << 16, b""
        while end and b"\n" not in tail:
            start = max(0, end - step)
            file.seek(start)
            tail = file.read(end - start)
            end = start
        begin = end + tail.rfind(b"\n") + 1
        file.seek(begin)
        if torn(file.read(step)):
            file.truncate(begin)


def set_aside(path: Path, damaged: Sequence[Damaged]) -> Path:
    """Move damaged lines into a file of their own, and return it.

    A process that is killed meanwhile leaves them in both files, and never in none.
    """
    aside = path.with_name(path.name + ".damaged")
    with path.open("rb") as file:
        lines = b"".join(_line_at(file, line.start).rstrip(b"\n") + b"\n" for line in damaged)
    before = aside.read_bytes() if aside.exists() else b""
    if not before.endswith(lines):
        write_bytes(aside, before + lines)
    write_bytes(path, _without(path, {line.start for line in damaged}))
    return aside


def _line_at(file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    return file.readline()


def _without(path: Path, starts: set[int]) -> Iterator[bytes]:
    """Yield a file's lines but for those that start at these bytes."""
    place = 0
    with path.open("rb") as file:
        for line in file:
            if place not in starts:
                yield line
            place += len(line)
