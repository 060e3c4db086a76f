"""Progress bars stand below what is printed, and are never in it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

_bars: list[tqdm[None]] = []


def progress_bar(**options: Any) -> tqdm[None]:
    """Return a new bar of tqdm's on standard error, which ``closing_bar`` ends."""
    bar: tqdm[None] = tqdm(file=sys.stderr, dynamic_ncols=True, leave=False, **options)
    _bars.append(bar)
    return bar


def closing_bar(bar: tqdm[None]) -> None:
    """Take a bar away."""
    _bars.remove(bar)
    bar.close()


@contextmanager
def above() -> Iterator[None]:
    """Take all bars away while something is printed, and show them below it."""
    shown = [bar for bar in _bars if time.time() >= bar.start_t + bar.delay]
    if not shown:
        yield
        return
    with tqdm.get_lock():
        for bar in shown:
            bar.clear(nolock=True)
        try:
            yield
            sys.stdout.flush()
        finally:
            for bar in shown:
                bar.refresh(nolock=True)


def clearing() -> str:
    """Return what takes a bar's line away that the cursor is in; nothing where there is no bar."""
    return "\r\x1b[K" if _bars else ""
