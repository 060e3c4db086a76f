"""A raw map is scaled to be shown; one with nothing to show says why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normalised(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the map in 0..1: negative evidence dropped (ReLU), then divided by the maximum.

    ``raw`` is float ``[u, v]``. A map with nothing positive, or with numbers that are not finite,
    is zero everywhere.
    """
    if not np.isfinite(raw).all():
        return np.zeros_like(raw)
    positive = np.maximum(raw, 0)
    peak = positive.max()
    return positive / peak if peak > 0 else positive


def why_empty(raw: NDArray[np.float32], no_gradient: bool, won: bool = True) -> str:
    """Return why a raw map ``[u, v]`` has nothing to show; empty when it has.

    ``no_gradient`` says that the gradient behind it is zero everywhere, ``won`` that the class is
    the likeliest of at least one cell, where a head answers cell by cell.
    """
    if not np.isfinite(raw).all():
        return "not finite"
    if raw.max() > 0:
        return ""
    if no_gradient:
        return "zero gradient" if won else "no cell won"
    return "all negative" if raw.min() < 0 else "zero everywhere"
