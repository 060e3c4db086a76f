"""Activations and gradients of one layer become a map per picture; the METHODS table.

The alphabet, here and everywhere: N pictures, H x W picture, h x w network input, u x v feature
grid, K channels, C classes, A activations ``[N, u, v, K]``, G = d score / d A ``[N, u, v, K]``.

Every method is a pure function ``(A, G, xp) -> [N, u, v]`` of signed values, before ReLU and
scaling. ``xp`` is the array namespace to compute in, ``numpy`` or ``keras.ops``: the same lines
run inside the traced network and in a plain test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["METHODS", "Method", "cam", "grad_cam"]


def cam(A: Any, G: Any, xp: Any) -> Any:
    """Return the class activation map ``M_ij = sum_k w_k A_ijk``.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``. Where global average pooling feeds
    a dense layer, ``G_ijk = w_k / (u v)``, so the dense weights are the gradient's sum over the
    grid and need not be looked up; the map's mean over the grid plus the bias is the logit.

    Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", eq. 2.
    """
    return xp.einsum("nuvk,nk->nuv", A, xp.sum(G, axis=(1, 2)))


def grad_cam(A: Any, G: Any, xp: Any) -> Any:
    """Return the gradient-weighted map ``L_ij = sum_k a_k A_ijk``, ``a_k = mean_ij G_ijk``.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``, before the paper's ReLU.

    Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", eq. 1 and 2.
    """
    return xp.einsum("nuvk,nk->nuv", A, xp.mean(G, axis=(1, 2)))


@dataclass(frozen=True, slots=True)
class Method:
    """One row of METHODS: the function, and what has to be known about it."""

    compute: Callable[[Any, Any, Any], Any]
    title: str
    formula: str
    paper: str
    needs_pooled_head: bool = False


METHODS: dict[str, Method] = {
    "gradcam": Method(
        grad_cam,
        "Grad-CAM",
        "ReLU(sum_k mean_ij(G_ijk) A_k)",
        "Selvaraju et al. 2017, arXiv:1610.02391",
    ),
    "cam": Method(
        cam,
        "CAM",
        "sum_k w_k A_k, w the dense weights behind global average pooling",
        "Zhou et al. 2016, arXiv:1512.04150",
        needs_pooled_head=True,
    ),
}
