"""What can go wrong, and what to do about it.

::

    GradcamError            a sentence for the user and a hint; exit code 2
    ├── ModelError          the model, its weights, a layer or a class
    └── ImageError          one picture: becomes a failed record, the run goes on
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum

__all__ = ["ExitCode", "GradcamError", "ImageError", "ModelError", "nearest", "suggestion"]


class ExitCode(IntEnum):
    """How a command ended, for the shell."""

    DONE = 0
    GATE_FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    NO_PICTURE = 4
    INTERRUPTED = 130


class GradcamError(Exception):
    """Something the user can mend: one plain sentence, and a hint that says how.

    Raised for wrong usage and configuration; shown as two lines, without a traceback.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[GradcamError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class ModelError(GradcamError):
    """A model, its weights, a layer or a class that cannot be had."""


class ImageError(GradcamError):
    """One picture that cannot be used.

    ``kind`` is a word for grouping: ``empty``, ``truncated``, ``not-a-picture``, ``unreadable``,
    ``too-large``, ``vanished``, ``write``.
    """

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str, str]]:  # type: ignore[override]
        return type(self), (self.kind, self.message, self.hint)


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names most like ``word``, best first; spelling and case are forgiven."""
    by_key: dict[str, str] = {}
    for name in known:
        by_key.setdefault(name.casefold(), name)
    hits = difflib.get_close_matches(word.casefold(), by_key, n=count, cutoff=0.6)
    if len(hits) < count:
        part = word.casefold()
        hits += [key for key in by_key if part and part in key and key not in hits]
    return [by_key[key] for key in hits[:count]]


def suggestion(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return ``did you mean ...?`` for a misspelt name, or ``otherwise`` when nothing is near."""
    names = nearest(word, known)
    if not names:
        return otherwise
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
    return f"did you mean {listed}?"
