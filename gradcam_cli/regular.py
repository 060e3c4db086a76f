"""Files that a user names are opened without waiting for ever, and read up to a bound.

Regular files, and the null device, which is an empty one. Where lists and labels may be piped
(``--labels <(command)``), pipes as well. Whatever else is named ends in an OSError that says what
it is: its ``strerror`` is for people.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gradcam_cli.errors import GradcamError, ModelError
from gradcam_cli.spelling import nearby

_KB, _MB, _GB = 1000, 1000**2, 1000**3

MOST_BYTES = {
    "--architecture": 32 * _MB,
    "BASELINE": 512 * _MB,
    "CHECK": 512 * _MB,
    "--config": 100 * _KB,
    "--custom-objects": 16 * _MB,
    "--input": _GB,
    "--labels": 32 * _MB,
    "--model": 64 * _GB,
    "--regions": 256 * _MB,
    "--target": 16 * _MB,
    "--truth": 32 * _MB,
    "--weights": 64 * _GB,
}
"""How large a file each option takes; tens of times what was ever seen."""

_PIECE = 1 << 16  # bytes
_PATIENCE = 5.0  # seconds until somebody writes into a named pipe
# Ends that this process was born with. Behind any other name of a pipe nobody may ever come.
_INHERITED = re.compile(r"/dev/fd/|/proc/\d+/(task/\d+/)?fd/")
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe waits for whoever writes into it
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_PIPED: dict[tuple[str, int, int], bytes] = {}
"""What came out of pipes: it comes once, and is asked for again."""


@contextmanager
def readable(
    path: Path, option: str, hint: str, kind: type[GradcamError] = ModelError
) -> Iterator[None]:
    """Turn an OSError of a file that ``option`` names into an error of a ``kind``, with a hint."""
    named = f"{option}: " if option else ""
    try:
        yield
    except FileNotFoundError:
        raise kind(f"{named}there is no file {path}", nearby(path)) from None
    except OSError as error:
        raise kind(f"{named}cannot read {path}: {error.strerror}", hint) from error


def check_regular(path: Path, option: str = "") -> None:
    """Raise OSError for what ``open_regular`` does not open; nothing is opened."""
    _check(path, _facts(path), option)


def open_regular(path: Path, option: str = "") -> BinaryIO:
    """Open a regular file for reading, never larger than ``option`` takes; raises OSError."""
    check_regular(path, option)
    return _opened(path, option)


def read_bounded(path: Path, option: str, *, piped: bool = False) -> bytes:
    """Return a file's bytes, never more than ``option`` takes; raises OSError.

    With ``piped`` a pipe is read as well, once, until whoever writes into it closes it.
    """
    facts = _facts(path)
    if piped and stat.S_ISFIFO(facts.st_mode):
        key = os.fspath(path), facts.st_dev, facts.st_ino
        if key not in _PIPED:
            _PIPED[key] = _joined(pieces(path), option)
        return _PIPED[key]
    with open_regular(path, option) as file:
        return _joined(iter(lambda: file.read(_PIECE) or b"", b""), option)


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a regular file or a pipe as they come; raises OSError.

    Waiting for a pipe can be interrupted. A named one that nobody opens for writing is given up
    after a few seconds.
    """
    if not stat.S_ISFIFO(_facts(path).st_mode):
        with open_regular(path) as file:
            yield from iter(lambda: file.read(_PIECE) or b"", b"")
        return
    with _opened(path, pipe=True) as file:
        end = file.fileno()
        if not _INHERITED.match(os.path.realpath(path)):
            yield _first_piece(end)
        os.set_blocking(end, True)
        while piece := os.read(end, _PIECE):
            yield piece


def _facts(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            reason = f"it is a link to {path.readlink()}, which does not exist"
            raise OSError(errno.ENOLINK, reason, os.fspath(path)) from None
        raise
    except ValueError:  # of a zero byte, which a configuration file can spell
        raise OSError(errno.EINVAL, "no file can have such a name", os.fspath(path)) from None


def _opened(path: Path, option: str = "", *, pipe: bool = False) -> BinaryIO:
    """Open what was checked before, and check again: it may be another thing by now."""
    end = os.open(path, _READ)
    try:
        facts = os.fstat(end)
        if not (pipe and stat.S_ISFIFO(facts.st_mode)):
            _check(path, facts, option)
        return os.fdopen(end, "rb")
    except BaseException:
        os.close(end)
        raise


def _check(path: Path, facts: os.stat_result, option: str) -> None:
    null = os.stat(os.devnull)  # noqa: PTH116  Path.stat() would do the same
    if stat.S_ISCHR(facts.st_mode) and facts.st_rdev == null.st_rdev:
        return
    for is_one, name in _KINDS:
        if is_one(facts.st_mode):
            raise OSError(errno.EINVAL, f"it is {name}, not a regular file", os.fspath(path))
    if facts.st_size > MOST_BYTES.get(option, facts.st_size):
        raise _too_large(_size(facts.st_size), option)


def _joined(chunks: Iterator[bytes], option: str) -> bytes:
    """Return all of the chunks, which may be more than a file's size said."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MOST_BYTES[option]:
            raise _too_large(f"more than {_size(MOST_BYTES[option])}", option)
    return bytes(data)


def _first_piece(end: int) -> bytes:
    """Wait until somebody has a pipe open for writing, and return what has come by then."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            if piece := os.read(end, _PIECE):
                return piece
        except BlockingIOError:
            return b""
        time.sleep(0.02)
    raise OSError(errno.ETIMEDOUT, "it is a named pipe (FIFO) that nobody writes into")


def _too_large(size: str, option: str) -> OSError:
    reason = f"it has {size}, and {option} takes at most {_size(MOST_BYTES[option])}"
    return OSError(errno.EFBIG, reason)


def _size(count: int) -> str:
    for unit, name in ((_GB, "GB"), (_MB, "MB"), (_KB, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
