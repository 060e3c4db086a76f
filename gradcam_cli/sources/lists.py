"""A list of paths, in a file or on standard input, becomes the paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from gradcam_cli.errors import GradcamError
from gradcam_cli.regular import open_regular, pieces
from gradcam_cli.text import NotTextError, in_utf8, is_unmarked_utf16

_START = 4096  # bytes
_PIECE = 1 << 16
_LONGEST = 1 << 16  # bytes, far beyond any path
_EMPTIEST = 1 << 20  # bytes of blank lines, or of zero bytes


def check_list(path: Path, nul: bool) -> None:
    """Raise GradcamError for a list that does not exist, or that begins like something else.

    Pipes are left alone: what is read from them is gone.
    """
    try:
        if path.is_fifo():
            return
        with open_regular(path) as file:
            start = next(in_utf8([file.read(_START)]))
    except FileNotFoundError:
        hint = f"for a picture of that name, write ./@{path}"
        raise GradcamError(f"the list {path} does not exist", hint) from None
    except NotTextError as error:
        raise _not_a_list(f"the list {path}", error.reason) from error
    except OSError as error:
        raise _cannot_read(path, error) from error
    _check_zeros(start, f"the list {path}", nul)


def listed(path: Path, nul: bool) -> Iterator[Path]:
    """Yield the paths in a list, a file or a pipe; raises GradcamError."""
    try:
        yield from entries(pieces(path), nul, f"the list {path}")
    except OSError as error:
        raise _cannot_read(path, error) from error


def piped(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what comes on standard input, not line by line: a line may have no end."""
    return iter(lambda: cast(BufferedReader, stream).read1(_PIECE), b"")


def entries(
    chunks: Iterable[bytes], nul: bool, name: str = "the list on standard input"
) -> Iterator[Path]:
    """Yield the paths of a list, which may come in pieces of any length.

    Lines end as on any system, in UTF-8 or what a byte order mark says; with ``nul`` a path ends
    in a zero byte. On systems where names are bytes, any bytes are taken. Raises GradcamError for
    zero bytes in a list of lines, for lines where zero bytes should be, and for what holds no path
    as far as one can be.
    """
    end, rest, ended, without = b"\0" if nul else b"\n", b"", False, 0
    try:
        for chunk in in_utf8(chunks):
            if not nul:
                _check_zeros(chunk, name, nul)
                chunk = chunk.replace(b"\r", b"\n")
            *whole, rest = (rest + chunk).split(end)
            ended = ended or bool(whole)
            for entry in whole:
                yield from _entry(entry, name)
            if nul and not ended and len(rest) > _LONGEST:
                raise _has_lines(name)
            without = 0 if any(map(bytes.strip, whole)) else without + len(chunk)
            if len(rest) > _LONGEST or without > _EMPTIEST:
                raise _endless(name)
    except NotTextError as error:
        raise _not_a_list(name, error.reason) from error
    if nul and not ended and b"\n" in rest and not os.path.lexists(rest):
        raise _has_lines(name)
    yield from _entry(rest, name)


def _entry(entry: bytes, name: str) -> Iterator[Path]:
    entry = entry.removeprefix(b"\xef\xbb\xbf")  # lists that were joined have a mark in the middle
    if len(entry) > _LONGEST:
        raise _endless(name)
    if entry.strip():
        yield Path(os.fsdecode(entry))


def _check_zeros(data: bytes, name: str, nul: bool) -> None:
    if nul or b"\0" not in data:
        return
    if is_unmarked_utf16(data):
        raise _not_a_list(name, "UTF-16 text without a byte order mark")
    raise GradcamError(
        f"{name} holds zero bytes, so it is not one path a line",
        "give -0 for a list that `find -print0` made; any other must be a text file",
    )


def _has_lines(name: str) -> GradcamError:
    return GradcamError(f"{name} has no zero byte to end a path", "leave out -0 for lines")


def _endless(name: str) -> GradcamError:
    return GradcamError(
        f"{name} goes on for more than {_LONGEST:,} bytes without a path",
        "a list is a text file, one path a line",
    )


def _not_a_list(name: str, reason: str) -> GradcamError:
    return GradcamError(f"{name} is {reason}", "save it as UTF-8, one path a line")


def _cannot_read(path: Path, error: OSError) -> GradcamError:
    message = f"the list {path} cannot be read: {error.strerror}"
    return GradcamError(message, "a list is a text file, one path a line")
