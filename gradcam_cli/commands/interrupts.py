"""Ctrl-C is heeded, whatever is being done when it comes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gradcam_cli.commands import say

__all__ = ["heeding", "stopping"]


@contextmanager
def heeding() -> Iterator[None]:
    """Raise KeyboardInterrupt behind the block as well, if there was one in it.

    What libraries run while they are imported, callbacks most of all, can swallow it.
    """
    interrupted = threading.Event()

    def heed(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, heed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted.is_set():
        raise KeyboardInterrupt


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event; the second one interrupts as usual."""
    stop = threading.Event()

    def first(number: int, frame: object) -> None:  # noqa: ARG001  the signal module's signature
        stop.set()
        signal.signal(signal.SIGINT, before)
        say.at_once("stopping after the pictures in flight; Ctrl-C again stops at once")

    before = signal.signal(signal.SIGINT, first)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
