"""Where this process's own standard error goes, below Python."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stderr_at(place: str | Path | int) -> Iterator[None]:
    """Lead file descriptor 2 to a file, or another descriptor, while the block runs."""
    before = os.dup(2)
    there = place if isinstance(place, int) else os.open(place, os.O_RDWR | os.O_CREAT)
    os.dup2(there, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        if not isinstance(place, int):
            os.close(there)
