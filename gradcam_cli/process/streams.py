"""The three standard streams are made fit for use, and native chatter is captured."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from contextlib import suppress
from typing import Any

_OUTPUT = 1
_ERRORS = 2


class _Output(io.FileIO):
    """Standard output; what went wrong with it is noted, to be distinguished from other faults."""

    fault: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.fault = error
            raise


class _Errors(io.FileIO):
    """Standard error; a message that cannot be delivered must not end the work."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare_streams(capture: bool) -> int | None:
    """Make ``sys.stdout`` and ``sys.stderr`` usable, whatever the process was started with.

    A descriptor that is closed is led to the null device, so that no file of ours gets its number
    and with it what libraries print; writing to a closed standard output fails still. With
    ``capture``, what C libraries write to descriptor 2 (TensorFlow greets, image libraries
    complain, and nobody listens) goes to a nameless file, whose descriptor is returned;
    ``sys.stderr`` still reaches the user.
    """
    _occupy()
    sys.stdout = _text(_Output(_OUTPUT, "w", closefd=False), sys.stdout)
    if not capture:
        sys.stderr = _text(_Errors(_ERRORS, "w", closefd=False), sys.stderr, lines=True)
        return None
    captured = _nameless_file()
    sys.stderr = _text(_Errors(os.dup(_ERRORS), "w"), sys.stderr, lines=True)
    os.dup2(captured, _ERRORS)
    return captured


def output_fault() -> OSError | None:
    """Return why standard output could not be written, having written what is still held back."""
    with suppress(OSError):
        sys.stdout.flush()
    return getattr(getattr(sys.stdout.buffer, "raw", None), "fault", None)


def silence_output() -> None:
    """Lead standard output nowhere, so that Python has nothing to complain of when it closes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _OUTPUT)


def _occupy() -> None:
    # The null device is opened the wrong way round for input and output: using them fails.
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest number that is free


def _text(raw: io.FileIO, before: Any, lines: bool = False) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=lines or raw.isatty(),
    )


def _nameless_file() -> int:
    """Return the descriptor of a file that nobody else can open, and that vanishes when closed."""
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # not every file system has such files
            return os.open(os.environ.get("TMPDIR") or "/tmp", os.O_TMPFILE | os.O_RDWR, 0o600)  # noqa: S108  nameless
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError:  # no place for temporary files
        if hasattr(os, "memfd_create"):
            return os.memfd_create("gradcam")
        return os.open(os.devnull, os.O_WRONLY)
