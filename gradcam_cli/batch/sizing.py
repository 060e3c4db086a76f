"""A few batch sizes are tried, and the fastest that fits is kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from gradcam_cli.errors import OutOfMemory
from gradcam_cli.explain import Explainer

__all__ = ["SIZES", "try_sizes"]

SIZES = (8, 16, 32, 64, 128, 256)
"""What is tried, one after another, as long as it pays."""

_QUICK = 10.0
"""Seconds; no further size is tried when that would probably take longer than this in all."""
_WORTHWHILE = 1.05
"""A batch twice as large takes twice the memory: it must be at least this much faster."""


def try_sizes(trace: Callable[[int], Explainer]) -> Explainer | None:
    """Return the network traced for the batch size that does most pictures a second.

    ``trace(size)`` is called with growing sizes, and the network timed on blank pictures: until
    a size gains nothing, does not fit into memory, or trying takes too long. None when not even
    the smallest fits; a model whose file sets its batch size is not timed.
    """
    best: Explainer | None = None
    rate = 0.0
    start = time.perf_counter()
    for size in SIZES:
        began = time.perf_counter()
        try:
            explainer = trace(size)
            if explainer.model.ports.batch:
                return explainer
            if not explainer.fits():
                break
            faster = size / explainer.seconds()
        except OutOfMemory:
            break
        if faster < _WORTHWHILE * rate:
            break
        best, rate = explainer, faster
        now = time.perf_counter()
        if now - start + 2 * (now - began) > _QUICK:
            break
    return best
