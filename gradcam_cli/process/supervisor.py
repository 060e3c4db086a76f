"""A parent outlives the process that does the work, and says how it ended if nobody else does."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

_TAIL_BYTES = 4096
_TAIL_LINES = 12
_GREETING = re.compile(r"I\d{4} |WARNING: All log messages before absl")
_PR_SET_PDEATHSIG = 1

Death = Callable[[int, list[str]], int]
"""Given how the worker ended (``os.waitstatus_to_exitcode``) and its last lines, an exit code."""


def supervised(captured: int | None, death: Death) -> Callable[[int], None]:
    """Go on in a child process; returns what it must call with its exit code when it leaves.

    A library that calls ``_exit(1)``, as TensorFlow does on an unknown flag, runs no handler of
    any kind: only a parent sees it, and can give it another exit code than a failed gate's. The
    parent waits, passes signals on, and leaves with the code that it was given, or with what
    ``death`` returns; it dies with the child and the child with it. Where the system is not Linux,
    or the process has threads already, there is no parent and nothing changes.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return lambda _: None
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, no child's end is heard of
    reading, writing = os.pipe()
    parent = os.getpid()
    watched = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        child = os.fork()
    except OSError:  # no more processes for this user
        child = -1
    if child > 0:
        _outlive(child, watched, reading, captured, death)
    if child == 0:
        _die_with(parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(reading)
    return lambda code: _write(writing, code)


def _write(writing: int, code: int) -> None:
    with suppress(OSError):  # nobody listens: there was no fork
        os.write(writing, bytes([code]))


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it was faster
        os._exit(1)


def _outlive(
    child: int, watched: set[signal.Signals], reading: int, captured: int | None, death: Death
) -> NoReturn:
    status = _wait(child, watched)
    os.set_blocking(reading, False)
    with suppress(BlockingIOError):  # a process that the child started may have the pipe as well
        if code := os.read(reading, 1):
            os._exit(code[0])
    code_of_death = death(os.waitstatus_to_exitcode(status), _last_lines(captured))
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code_of_death)


def _wait(child: int, watched: set[signal.Signals]) -> int:
    """Wait for the child's end, and pass signals on to it."""
    while True:
        arrived = signal.sigwaitinfo(watched)
        if arrived.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
        elif arrived.si_signo != signal.SIGINT or arrived.si_code <= 0:
            # The terminal's Ctrl-C reaches the child as well, a hang-up perhaps this process alone.
            with suppress(ProcessLookupError):
                os.kill(child, arrived.si_signo)


def _last_lines(captured: int | None) -> list[str]:
    if captured is None:
        return []
    with suppress(OSError):
        size = os.fstat(captured).st_size
        tail = os.pread(captured, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        lines = tail.decode(errors="replace").splitlines()
        return [line for line in lines if line.strip() and not _GREETING.match(line)][-_TAIL_LINES:]
    return []
