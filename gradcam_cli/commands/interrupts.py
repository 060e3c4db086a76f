"""Ctrl-C, SIGTERM and a closed terminal are heeded, whatever is being done when they come."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from gradcam_cli.commands import say

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_ECHO = 0.3
"""Seconds; a signal to a whole process group arrives from the parent process as well."""

_last: dict[int, float] = {}
"""When each signal was handled last, whoever did it."""

Handler = Callable[[int, FrameType | None], None]


class Interrupted(BaseException):
    """A signal asks the process to stop. No KeyboardInterrupt, which click turns into code 130."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Stop(threading.Event):
    """Set when the work should come to an end; ``number`` is the signal that asked for it, or 0."""

    number = 0


def heed_signals() -> None:
    """Raise Interrupted on every signal that asks to stop, unless it is ignored (``nohup``)."""
    _handle(_without_echo(_interrupt))


@contextmanager
def heeding() -> Iterator[None]:
    """Raise Interrupted behind the block as well, if there was a signal in it.

    What libraries run while they are imported, callbacks most of all, can swallow it.
    """
    arrived: list[int] = []

    def heed(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        _interrupt(number, frame)

    before = _handle(_without_echo(heed))
    try:
        yield
    finally:
        _restore(before)
    if arrived:
        raise Interrupted(arrived[0])


@contextmanager
def stopping() -> Iterator[Stop]:
    """Turn the first signal into an event; the second one interrupts at once."""
    stop = Stop()

    def heed(number: int, frame: FrameType | None) -> None:
        if stop.number:
            _interrupt(number, frame)
        stop.number = number
        stop.set()
        again = "Ctrl-C again" if number == signal.SIGINT else "a second signal"
        say.at_once(f"stopping after the pictures in flight; {again} stops at once")

    before = _handle(_without_echo(heed))
    try:
        yield stop
    finally:
        _restore(before)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signal module's signature
    raise Interrupted(number)


def _without_echo(handler: Handler) -> Handler:
    def handle(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - _last.get(number, -_ECHO) >= _ECHO:
            _last[number] = now
            handler(number, frame)

    return handle


def _handle(handler: Handler) -> dict[int, Any]:
    """Set a handler for the signals that are not ignored, and return those before."""
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    heard = {n: old for n, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in heard:
        signal.signal(number, handler)
    return heard


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
