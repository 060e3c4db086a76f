"""Each method a second time: nested loops over the paper's indices, in plain Python floats."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def cells(u: int, v: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(u) for j in range(v))


def weighted(A: Array, weight: Callable[[int, int], float]) -> Array:
    """sum_k w_k A^k, the weight of image n and channel k being ``weight(n, k)``."""
    N, u, v, K = A.shape
    result = np.zeros((N, u, v))
    for n in range(N):
        for k in range(K):
            w = weight(n, k)
            for i, j in cells(u, v):
                result[n, i, j] += w * float(A[n, i, j, k])
    return result


def grad_cam(A: Array, G: Array) -> Array:
    """Selvaraju et al. 2017: a_k = 1/Z sum_i sum_j dy/dA_ij^k (eq. 1), sum_k a_k A^k (eq. 2)."""
    _, u, v, _ = A.shape

    def weight(n: int, k: int) -> float:
        a = 0.0
        for i, j in cells(u, v):
            a += float(G[n, i, j, k])
        return float(a / (u * v))

    return weighted(A, weight)


def cam(A: Array, G: Array) -> Array:
    """Zhou et al. 2016, eq. 2, with w_k = sum_ij dy/dA_ij^k (a GAP head spreads w_k evenly)."""
    _, u, v, _ = A.shape
    return weighted(A, lambda n, k: sum(float(G[n, i, j, k]) for i, j in cells(u, v)))


def grad_cam_plus_plus(A: Array, G: Array) -> Array:
    """Chattopadhay et al. 2018, eq. 5 and 19; alpha is zero where its denominator is."""
    _, u, v, _ = A.shape

    def weight(n: int, k: int) -> float:
        activation = 0.0
        for a, b in cells(u, v):
            activation += float(A[n, a, b, k])
        w = 0.0
        for i, j in cells(u, v):
            g = float(G[n, i, j, k])
            denominator = 2 * g**2 + activation * g**3
            alpha = g**2 / denominator if denominator != 0 else 0.0
            w += alpha * max(g, 0.0)
        return w

    return weighted(A, weight)


def hires_cam(A: Array, G: Array) -> Array:
    """Draelos and Carin 2020: sum_k dy/dA_ij^k A_ij^k."""
    N, u, v, K = A.shape
    result = np.zeros((N, u, v))
    for n in range(N):
        for i, j in cells(u, v):
            for k in range(K):
                result[n, i, j] += float(G[n, i, j, k]) * float(A[n, i, j, k])
    return result


def layer_cam(A: Array, G: Array) -> Array:
    """Jiang et al. 2021: w_ij^k = relu(g_ij^k) (eq. 6), A-hat = w A (eq. 7), summed (eq. 8)."""
    N, u, v, K = A.shape
    result = np.zeros((N, u, v))
    for n in range(N):
        for i, j in cells(u, v):
            for k in range(K):
                w = max(float(G[n, i, j, k]), 0.0)
                result[n, i, j] += w * float(A[n, i, j, k])
    return result


def xgrad_cam(A: Array, G: Array) -> Array:
    """Fu et al. 2020: w_k = sum_ij (A_ij^k / sum_ab A_ab^k) dy/dA_ij^k, zero where the sum is."""
    _, u, v, _ = A.shape

    def weight(n: int, k: int) -> float:
        total = sum(float(A[n, a, b, k]) for a, b in cells(u, v))
        if total == 0:
            return 0.0
        w = 0.0
        for i, j in cells(u, v):
            w += float(A[n, i, j, k]) / total * float(G[n, i, j, k])
        return w

    return weighted(A, weight)


def eigen_cam(A: Array) -> Array:
    """Muhammad and Yeasin 2020: A V_1, with the sign with which the map agrees with sum_k A^k."""
    N, u, v, K = A.shape
    result = np.zeros((N, u, v))
    for n in range(N):
        rows = [[float(A[n, i, j, k]) for k in range(K)] for i, j in cells(u, v)]
        peak = max((abs(a) for row in rows for a in row), default=0.0) or 1.0
        rows = [[a / peak for a in row] for row in rows]
        gram = [[sum(row[k] * row[m] for row in rows) for m in range(K)] for k in range(K)]
        first = leading_eigenvector(gram)
        projection = [sum(a * b for a, b in zip(row, first, strict=True)) for row in rows]
        agreement = sum(p * sum(row) for p, row in zip(projection, rows, strict=True))
        sign = -1.0 if agreement < 0 else 1.0
        for (i, j), p in zip(cells(u, v), projection, strict=True):
            result[n, i, j] = sign * p * peak
    return result


def eigen_grad_cam(A: Array, G: Array) -> Array:
    """As Eigen-CAM, of G times A."""
    return eigen_cam(np.asarray(G, np.float64) * np.asarray(A, np.float64))


def leading_eigenvector(matrix: list[list[float]]) -> list[float]:
    """Jacobi's rotations: each makes one pair of entries zero, until all are."""
    K = len(matrix)
    a = [row[:] for row in matrix]
    vectors = [[float(row == column) for column in range(K)] for row in range(K)]
    for _ in range(60):
        for p in range(K):
            for q in range(p + 1, K):
                if a[p][q] == 0:
                    continue
                theta = 0.5 * math.atan2(2 * a[p][q], a[q][q] - a[p][p])
                c, s = math.cos(theta), math.sin(theta)
                for row in range(K):
                    x, y = a[row][p], a[row][q]
                    a[row][p], a[row][q] = c * x - s * y, s * x + c * y
                    x, y = vectors[row][p], vectors[row][q]
                    vectors[row][p], vectors[row][q] = c * x - s * y, s * x + c * y
                for column in range(K):
                    x, y = a[p][column], a[q][column]
                    a[p][column], a[q][column] = c * x - s * y, s * x + c * y
    largest = max(range(K), key=lambda k: a[k][k])
    return [vectors[row][largest] for row in range(K)]


def shapley_cam(A: Array, G: Array, HA: Array) -> Array:
    """Cai 2025: w_k = 1/Z sum_ij (dU/dA_ij^k - 1/2 (H A)_ij^k)."""
    _, u, v, _ = A.shape

    def weight(n: int, k: int) -> float:
        w = 0.0
        for i, j in cells(u, v):
            w += float(G[n, i, j, k]) - 0.5 * float(HA[n, i, j, k])
        return float(w / (u * v))

    return weighted(A, weight)


def smooth_grad_cam_plus_plus(A: Array, G1: Array, G2: Array, G3: Array) -> Array:
    """Omeiza et al. 2019, with the mean square above the line; D_p are the means of G^p."""
    _, u, v, _ = A.shape

    def weight(n: int, k: int) -> float:
        activation = sum(float(A[n, a, b, k]) for a, b in cells(u, v))
        w = 0.0
        for i, j in cells(u, v):
            d1, d2, d3 = (float(D[n, i, j, k]) for D in (G1, G2, G3))
            denominator = 2 * d2 + activation * d3
            alpha = d2 / denominator if denominator != 0 else 0.0
            w += alpha * max(d1, 0.0)
        return w

    return weighted(A, weight)


def random_map(image: bytes, grid: tuple[int, int]) -> Array:
    """The first 24 bits of each four bytes that SHAKE-256 gives."""
    u, v = grid
    seed = b"map\x00" + hashlib.sha256(image).digest()
    digest = hashlib.shake_256(seed).digest(4 * u * v)
    result = np.zeros((u, v))
    for number, (i, j) in enumerate(cells(u, v)):
        whole = int.from_bytes(digest[4 * number : 4 * number + 3], "big")
        result[i, j] = whole / 2**24
    return result


def finer(hot: Array, logits: Array) -> Array:
    """Zhang et al. 2025: y_c - 0.6/T sum_t y_d(t), d(t) the T = 3 classes of the closest logits."""
    N, C = hot.shape
    result = np.zeros((N, C))
    for n in range(N):
        c = int(np.argmax(hot[n]))
        others = [d for d in range(C) if d != c]
        others.sort(key=lambda d: abs(float(logits[n, d]) - float(logits[n, c])))
        result[n, c] = 1.0
        for d in others[:3]:
            result[n, d] = -0.6 / len(others[:3])
    return result


ORACLES: dict[str, Callable[..., Array]] = {
    "gradcam": grad_cam,
    "cam": cam,
    "gradcampp": grad_cam_plus_plus,
    "hirescam": hires_cam,
    "layercam": layer_cam,
    "xgradcam": xgrad_cam,
    "eigencam": eigen_cam,
    "eigengradcam": eigen_grad_cam,
    "finercam": grad_cam,
    "smoothgradcampp": smooth_grad_cam_plus_plus,
    "shapleycam": shapley_cam,
    "random": random_map,
}
"""By the names of METHODS: the arguments of the row's own function, without the last one, xp."""

TARGETS: dict[str, Callable[[Array, Array], Array]] = {"finercam": finer}
"""The weights of classes, for the rows that have a target of their own."""
