"""Each method a second time: nested loops over the paper's indices, in plain Python floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def grad_cam(A: Array, G: Array) -> Array:
    """Selvaraju et al. 2017: a_k = 1/Z sum_i sum_j dy/dA_ij^k (eq. 1), sum_k a_k A^k (eq. 2)."""
    N, u, v, K = A.shape
    result = np.zeros((N, u, v))
    for n in range(N):
        for k in range(K):
            a = 0.0
            for i in range(u):
                for j in range(v):
                    a += float(G[n, i, j, k])
            a /= u * v
            for i in range(u):
                for j in range(v):
                    result[n, i, j] += a * float(A[n, i, j, k])
    return result


def cam(A: Array, G: Array) -> Array:
    """Zhou et al. 2016, eq. 2, with w_k = sum_ij dy/dA_ij^k (a GAP head spreads w_k evenly)."""
    N, u, v, K = A.shape
    result = np.zeros((N, u, v))
    for n in range(N):
        for k in range(K):
            w = sum(float(G[n, i, j, k]) for i in range(u) for j in range(v))
            for i in range(u):
                for j in range(v):
                    result[n, i, j] += w * float(A[n, i, j, k])
    return result


ORACLES: dict[str, Callable[[Array, Array], Array]] = {"gradcam": grad_cam, "cam": cam}
