"""How pictures end in a check or an audit, and what people and files call it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

RESULT_VERSION = 1

Status = Literal["changed", "missing", "new", "failed", "allowed", "same"]
"""``allowed`` is what is missing or new, and may be."""

ORDER: tuple[str, ...] = get_args(Status)
"""Worst first."""

FINE = ("allowed", "same")
"""How a picture may end without counting against the result."""

_FEW = 3


def word_of(kind: str, status: str) -> str:
    """Return how a picture ended, for people: an audit has nothing that could have changed."""
    if kind == "audit" and status in ("changed", "same"):
        return "beyond" if status == "changed" else "within"
    return "not read" if status == "failed" else status


def counted(kind: str, statuses: Sequence[str], shortcuts: Sequence[str] = ()) -> str:
    """Return how many pictures ended how as one line; ``shortcuts`` are classes in one place."""
    counts, total = Counter(statuses), len(statuses)
    same = "as in the baseline" if kind == "check" else "within the limits"
    parts = [f"{counts['same']} of {total} picture{'s' * (total != 1)} {same}"]
    words = {"allowed": "missing or new, as allowed"}
    if kind == "audit":
        words["changed"] = "beyond a limit"
    found = [status for status in ORDER[:-1] if counts[status]]
    parts += [f"{counts[status]} {words.get(status, status)}" for status in found]
    if shortcuts:
        more = f" and {len(shortcuts) - _FEW} more" if len(shortcuts) > _FEW else ""
        parts.append(f"too much heat in one place: {', '.join(shortcuts[:_FEW])}{more}")
    return ", ".join(parts)
