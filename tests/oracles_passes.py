"""Methods of many passes and of pixels a second time: loops over the papers' indices, in floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Score = Callable[[Array], float]
"""The score of the network's input, or of a layer's activations put in."""


def ablation_cam(A: Array, rest: Score) -> Array:
    """Desai & Ramaswamy 2020: w_k = y - y_k, each channel set to zero in turn; sum_k w_k A_k."""
    u, v, K = A.shape
    y = rest(A)
    result = np.zeros((u, v))
    for k in range(K):
        ablated = np.array(A, float)
        for i in range(u):
            for j in range(v):
                ablated[i, j, k] = 0.0
        w = y - rest(ablated)
        for i in range(u):
            for j in range(v):
                result[i, j] += w * float(A[i, j, k])
    return result


def recipro_cam(A: Array, rest: Score) -> Array:
    """Byun & Lee 2022: y_ij of a mask that is 1 in cell (i, j); y_ij - min y."""
    u, v, K = A.shape
    result = np.zeros((u, v))
    for i in range(u):
        for j in range(v):
            masked = np.zeros((u, v, K))
            for k in range(K):
                masked[i, j, k] = float(A[i, j, k])
            result[i, j] = rest(masked)
    return np.asarray(result - min(result.flat))


def bilinear(heat: Array, size: tuple[int, int], spans: Any = None) -> Array:
    """Return a map at the centres of pixels; ``spans`` has the first centre and step of each axis.

    Beyond the outermost centres it goes on as it is there.
    """
    h, w = size
    u, v = heat.shape
    (top, down), (left, across) = spans or (
        (h / u / 2, h / u),
        (w / v / 2, w / v),
    )
    result = np.zeros(size)
    for y in range(h):
        for x in range(w):
            i = min(max((y + 0.5 - top) / down, 0.0), u - 1.0)
            j = min(max((x + 0.5 - left) / across, 0.0), v - 1.0)
            a, b = min(int(i), max(u - 2, 0)), min(int(j), max(v - 2, 0))
            p, q = i - a, j - b
            c, d = min(a + 1, u - 1), min(b + 1, v - 1)
            above = (1 - q) * float(heat[a, b]) + q * float(heat[a, d])
            below = (1 - q) * float(heat[c, b]) + q * float(heat[c, d])
            result[y, x] = (1 - p) * above + p * below
    return result


def score_mask(channel: Array, size: tuple[int, int], spans: Any = None) -> Array:
    """Wang et al. 2020, eq. 6: H = s(Up(A_k)), s(A) = (A - min A) / (max A - min A)."""
    if min(channel.flat) == max(channel.flat):
        return np.zeros(size)
    up = bilinear(channel.astype(float), size, spans)
    low, high = min(up.flat), max(up.flat)
    return (up - low) / (high - low) if high > low else np.zeros(size)


def score_cam(A: Array, x: Array, network: Score, spans: Any = None) -> Array:
    """Wang et al. 2020, algorithm 1: S_k = f(x * H_k) - f(x_b), softmax over k, sum_k a_k A_k."""
    u, v, K = A.shape
    baseline = network(np.zeros(x.shape))
    S: dict[int, float] = {}
    for k in range(K):
        channel = A[:, :, k]
        if min(channel.flat) < max(channel.flat):
            mask = score_mask(channel, (x.shape[0], x.shape[1]), spans)
            masked = np.array(x, float)
            for c in range(x.shape[2]):
                masked[:, :, c] *= mask
            S[k] = network(masked) - baseline
    result = np.zeros((u, v))
    if not S:
        return result
    most = max(S.values())
    total = sum(math.exp(s - most) for s in S.values())
    for k, s in S.items():
        for i in range(u):
            for j in range(v):
                result[i, j] += math.exp(s - most) / total * float(A[i, j, k])
    return result


def occlusion(x: Array, network: Score, patch: int, stride: int, fill: float = 0.0) -> Array:
    """Zeiler & Fergus 2014: what the score loses while a patch hides a part of the input."""
    h, w = x.shape[:2]
    starts = []
    for side in (h, w):
        count = 1
        while (count - 1) * stride + patch < side:
            count += 1
        beyond = (count - 1) * stride + patch - side
        starts.append([n * stride - beyond // 2 for n in range(count)])
    y = network(np.array(x, float))
    result = np.zeros((len(starts[0]), len(starts[1])))
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            hidden = np.array(x, float)
            for row in range(max(top, 0), min(top + patch, h)):
                for column in range(max(left, 0), min(left + patch, w)):
                    hidden[row, column] = fill
            result[i, j] = y - network(hidden)
    return result


def guided_grad_cam(heat: Array, g: Array, spans: Any = None) -> Array:
    """Selvaraju et al. 2017, section 3.2: ReLU(map), enlarged, times the guided gradient.

    Of its channels the largest absolute value is taken.
    """
    h, w, c = g.shape
    positive = np.array([[max(float(value), 0.0) for value in row] for row in heat])
    up = bilinear(positive, (h, w), spans)
    result = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            result[y, x] = max(abs(up[y, x] * float(g[y, x, k])) for k in range(c))
    return result


def guided_backpropagation(g: Array) -> Array:
    """Springenberg et al. 2014; of a pixel's channels the largest absolute value."""
    h, w, c = g.shape
    result = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            result[y, x] = max(abs(float(g[y, x, k])) for k in range(c))
    return result


ORACLES: dict[str, Callable[..., Array]] = {
    "ablationcam": ablation_cam,
    "reciprocam": recipro_cam,
    "scorecam": score_cam,
    "occlusion": occlusion,
    "guidedbackprop": guided_backpropagation,
    "guidedgradcam": guided_grad_cam,
}
"""By the names of METHODS."""
