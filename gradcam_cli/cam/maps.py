"""A raw map is scaled to be shown; one with nothing to show says why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS

_FEW = 0.99
"""The share of pixels that are below the end of the scale in a map of pixels."""


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


def displayed(raw: NDArray[np.float32], method: str) -> NDArray[np.float32]:
    """Return the map in 0..1 as overlays show it: ``normalised``, unless it is a map of pixels.

    A few pixels have much larger gradients than all others, beside which nothing would be seen: the
    scale of such a map ends at the 99th percentile, and what is above is 1 (Smilkov et al. 2017,
    SmoothGrad, on outliers). ``raw`` is float ``[u, v]``, ``method`` a key of METHODS.
    """
    heat = normalised(raw)
    end = np.quantile(heat, _FEW) if method in METHODS and METHODS[method].needs == "pixels" else 0
    return np.minimum(heat / end, 1).astype(np.float32) if end > 0 else heat


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
