"""Records are counted, and worked on in threads ahead of who takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from gradcam_cli.regular import open_regular
from gradcam_cli.store.reading import manifests
from gradcam_cli.store.records import Record

_THREADS = 4
_AHEAD = 64
_PIECE = 1 << 20
_R = TypeVar("_R")


def ahead(records: Iterable[Record], work: Callable[[Record], _R]) -> Iterator[tuple[Record, _R]]:
    """Yield each record with what ``work`` makes of it, in order; threads work ahead."""
    with ThreadPoolExecutor(_THREADS) as threads:
        waiting: deque[tuple[Record, Future[_R]]] = deque()
        for record in records:
            waiting.append((record, threads.submit(work, record)))
            if len(waiting) > _AHEAD:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def count_lines(folder: Path) -> int:
    """Return how many lines a folder's manifests have; 0 where they cannot be read."""
    total = 0
    with suppress(OSError):  # said where the folder is read
        for path in manifests(folder):
            with open_regular(path) as file:
                total += sum(piece.count(b"\n") for piece in iter(lambda: file.read(_PIECE), b""))
    return total
