"""What decoders write to file descriptor 2 is heard, and laid at the right picture's door.

libjpeg and libtiff complain there by themselves; no interface tells whose data they mean. Where
the descriptor leads to a regular file, the file's growth shows that somebody complained.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["overheard"]

T = TypeVar("T")

_STDERR = 2
_LONGEST = 200
_PATIENCE = 10.0
"""Seconds to wait for others to have decoded; one of them may hang for ever."""


class _Gate:
    """Many go in side by side, or one alone."""

    def __init__(self) -> None:
        self._inside = 0
        self._alone = False
        self._changed = threading.Condition()

    @contextmanager
    def beside(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone, _PATIENCE)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone, _PATIENCE)
            self._alone = True
            self._changed.wait_for(lambda: not self._inside, _PATIENCE)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


_GATE = _Gate()


def overheard(decode: Callable[[], T]) -> tuple[T, str]:
    """Return what ``decode`` returns, and the complaint that it caused, or an empty text.

    Other threads decode at the same time, and the complaint may be about theirs. So whoever heard
    one decodes again, alone.
    """
    with _GATE.beside():
        result, words = _listen(decode)
    if words:
        with _GATE.alone():
            _, words = _listen(decode)
    return result, words


def _listen(decode: Callable[[], T]) -> tuple[T, str]:
    before = _length()
    result = decode()
    after = _length()
    if after <= before:
        return result, ""
    try:
        said = os.pread(_STDERR, min(after - before, 4 * _LONGEST), before)
    except OSError:  # open for writing only
        return result, "the decoder complained"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return result, lines[0][:_LONGEST] if lines else ""


def _length() -> int:
    facts = os.fstat(_STDERR)
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0
