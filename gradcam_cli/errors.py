"""What can go wrong, and what to do about it.

::

    GradcamError            a sentence for the user and a hint; exit code 2
    ├── ModelError          the model, its weights, a layer or a class
    │   └── OutOfMemory     the model does not fit into memory, or not with so many pictures
    └── ImageError          one picture: becomes a failed record, the run goes on
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from enum import IntEnum

__all__ = [
    "EMPTY",
    "ExitCode",
    "GradcamError",
    "ImageError",
    "ModelError",
    "OutOfMemory",
    "cause",
    "nearest",
    "printable",
    "suggestion",
]

EMPTY = {
    "not finite": "the layer or its gradient holds infinities or NaN: the weights may be broken, "
    "or too large for the model's precision",
    "all negative": "every part of the picture speaks against this class's own score; where that "
    "is the logit, --score probability looks at the class against the others",
    "no cell won": "the class is the likeliest one in no cell of the model's output here, so there "
    "is no score to explain; --score probability looks at its mean over all cells",
    "zero gradient": "the score does not change with the layer: its units are dead, or the "
    "score is a probability at a flat end of softmax or sigmoid (the logit has none)",
    "zero everywhere": "the layer itself is zero for this picture",
}
"""Every reason for an empty map, and what lies behind it."""

_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of writing."""


class ExitCode(IntEnum):
    """How a command ended, for the shell."""

    DONE = 0
    GATE_FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    NO_PICTURE = 4
    BROKEN = 70
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


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


class OutOfMemory(ModelError):  # noqa: N818  as the system calls it
    """A model that needs more memory than there is; a smaller batch may need less."""


class ImageError(GradcamError):
    """One picture that cannot be used.

    ``kind`` is a word for grouping: ``empty``, ``truncated``, ``not-a-picture``, ``unreadable``,
    ``too-large``, ``unread-type``, ``vanished``, ``write``.
    """

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str, str]]:  # type: ignore[override]
        return type(self), (self.kind, self.message, self.hint)


def cause(reason: str) -> str:
    """Return why a map is empty, with what lies behind it."""
    return f"{reason} ({EMPTY[reason]})" if reason in EMPTY else reason


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


def printable(text: str) -> str:
    """Return text that every terminal and page takes and none obeys.

    File names may hold any bytes: what is no UTF-8, steers a terminal, or turns the direction of
    writing becomes an escape.
    """
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), whole)
