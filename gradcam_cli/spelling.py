"""A misspelt name is answered with the nearest that are known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

_MOST = 10_000
"""Names of a folder; more are not compared."""


def nearest(typed: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names most like ``typed``, best first; spelling and case are forgiven."""
    by_key: dict[str, str] = {}
    for name in known:
        by_key.setdefault(name.casefold(), name)
    hits = difflib.get_close_matches(typed.casefold(), by_key, n=count, cutoff=0.6)
    if len(hits) < count:
        part = typed.casefold()
        hits += [key for key in by_key if part and part in key and key not in hits]
    return [by_key[key] for key in hits[:count]]


def suggestion(typed: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return ``did you mean ...?`` for a misspelt name, or ``otherwise`` when nothing is near."""
    names = nearest(typed, known)
    if not names:
        return otherwise
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
    return f"did you mean {listed}?"


def nearby(path: Path) -> str:
    """Return what there is instead of a path that does not exist, as a hint."""
    folder = path.parent
    try:
        names = sorted(each.name for each in islice(folder.iterdir(), _MOST))
    except NotADirectoryError:
        return f"{folder} is a file, not a folder"
    except OSError:
        return f"there is no folder {folder}"
    where = "the working folder" if folder == Path() else str(folder)
    return suggestion(path.name, names, f"nothing in {where} has a name like it")
