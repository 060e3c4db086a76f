"""Activations and gradients of one layer become a map per image: the methods of one pass.

The alphabet, here and everywhere: N images, H x W image, h x w network input, u x v feature
grid, K channels, C classes, A activations ``[N, u, v, K]``, G = d score / d A ``[N, u, v, K]``,
HA = the score's Hessian with respect to A, times A ``[N, u, v, K]``.

Every function is pure and returns signed values ``[N, u, v]``, before ReLU and scaling. ``xp`` is
the array namespace to compute in, ``numpy`` or ``keras.ops``: the same lines run inside the traced
network and in a plain test. Nothing here needs more than float32. NaN or an infinity in one image
stays in that image's map.
"""

from __future__ import annotations

from typing import Any


def cam(A: Any, G: Any, xp: Any) -> Any:
    """Return the class activation map ``M_ij = sum_k w_k A_ijk``.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``. Where global average pooling feeds
    a dense layer, ``G_ijk = w_k / (u v)``, so the dense weights are the gradient's sum over the
    grid and need not be looked up; the map's mean over the grid plus the bias is the logit.

    Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", eq. 2.
    """
    return _weighted(A, xp.sum(G, axis=(1, 2)), xp)


def grad_cam(A: Any, G: Any, xp: Any) -> Any:
    """Return the gradient-weighted map ``L_ij = sum_k a_k A_ijk``, ``a_k = mean_ij G_ijk``.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``, before the paper's ReLU.

    Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", eq. 1 and 2.
    """
    return _weighted(A, xp.mean(G, axis=(1, 2)), xp)


def grad_cam_plus_plus(A: Any, G: Any, xp: Any) -> Any:
    """Return ``sum_k w_k A_ijk``, ``w_k = sum_ij alpha_ijk ReLU(G_ijk)``.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``. With S_k = sum_ab A_abk,
    ``alpha = G^2 / (2 G^2 + S G^3)``, and zero where G is. What is summed, ``alpha ReLU(G)``, is
    computed as ``1 / (2/G + S)``, the same number without powers that leave float32.

    Chattopadhay et al. 2018, "Grad-CAM++: Improved Visual Explanations for Deep Convolutional
    Networks", eq. 5, 19 and 20: the sum over all A of the channel times G cubed, not their product
    cell by cell. Two departures. The paper differentiates exp(score), eq. 12 and 13, which puts the
    factor exp(score) before every weight of an image; it is left out, for it overflows float32 at
    a logit of 89 and cancels when the map is scaled. And where S is negative, as it can be without
    a ReLU, the denominator can be zero, which the paper leaves open: that cell then counts nothing.
    """
    rising = G > 0
    denominator = 2 / xp.where(rising, G, 1.0) + xp.sum(A, axis=(1, 2), keepdims=True)
    counted = xp.logical_and(rising, denominator != 0)
    nothing = G - G  # zero, but NaN where G is not finite
    parts = xp.where(counted, 1 / xp.where(counted, denominator, 1.0), nothing)
    return _weighted(A, xp.sum(parts, axis=(1, 2)), xp)


def hires_cam(A: Any, G: Any, xp: Any) -> Any:
    """Return ``sum_k G_ijk A_ijk``, the gradient and the activation multiplied cell by cell.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``. Where one linear layer follows, the
    map's sum plus the bias is the score.

    Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks", the definition in section 3. The paper applies no ReLU to the
    map that the guarantee speaks of; it is applied where every map is scaled.
    """
    return xp.sum(G * A, axis=3)


def layer_cam(A: Any, G: Any, xp: Any) -> Any:
    """Return ``sum_k ReLU(G_ijk) A_ijk``.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``, before the paper's ReLU.

    Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
    eq. 6 to 8. Eq. 9, tanh of the scaled map, belongs to the paper's fusing of layers and is not
    applied to a map alone.
    """
    return xp.sum(xp.maximum(G, 0.0) * A, axis=3)


def xgrad_cam(A: Any, G: Any, xp: Any) -> Any:
    """Return ``sum_k w_k A_ijk``, ``w_k = sum_ij G_ijk A_ijk / sum_ab A_abk``.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``, before the paper's ReLU. The map's
    sum is that of G times A.

    Fu et al. 2020, "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs",
    the weights of section 3. The authors' code adds 1e-6 to the sum below; here a channel whose
    sum is zero weighs nothing, so that no constant is compared with activations of any size.
    """
    total = xp.sum(A, axis=(1, 2), keepdims=True)
    shares = xp.where(total != 0, A / xp.where(total != 0, total, 1.0), 0.0)
    return _weighted(A, xp.sum(G * shares, axis=(1, 2)), xp)


def eigen_cam(A: Any, xp: Any) -> Any:
    """Return the projection of A, as uv x K, on its first right singular vector.

    ``A``: float ``[N, u, v, K]``; result ``[N, u, v]``. A is not centred, as in the paper. Of the
    vector's two signs that one is taken with which the map agrees with sum_k A_ijk: their product,
    summed over the grid, is not negative. So behind a ReLU the map is nowhere negative.

    Muhammad and Yeasin 2020, "Eigen-CAM: Class Activation Map using Principal Components",
    L = A V_1 with A = U S V^T. The sign is left open there.
    """
    return _projected(A, xp)


def eigen_grad_cam(A: Any, G: Any, xp: Any) -> Any:
    """Return the projection of G times A, as uv x K, on its first right singular vector.

    ``A``, ``G``: float ``[N, u, v, K]``; result ``[N, u, v]``. Not centred; the sign is that with
    which the map agrees with HiResCAM, sum_k G_ijk A_ijk, as in `eigen_cam`.

    No paper: Gildenblat 2021, pytorch-grad-cam, which centres each channel first and leaves the
    sign to the decomposition.
    """
    return _projected(G * A, xp)


def shapley_cam(A: Any, G: Any, HA: Any, xp: Any) -> Any:
    """Return ``sum_k w_k A_ijk``, ``w_k = mean_ij (G_ijk - HA_ijk / 2)``.

    ``A``, ``G``, ``HA``: float ``[N, u, v, K]``; result ``[N, u, v]``, before ReLU. For a score
    that is quadratic in A, ``sum_ijk (G - HA / 2) A`` is the score less its value at zero. Where
    the score is linear in A piece by piece (ReLU and pooling, then the logit), HA is zero and this
    is Grad-CAM; the paper's own score, `targets.residual_softmax`, bends everywhere.

    Cai 2025, "CAMs as Shapley Value-based Explainers", arXiv:2501.06261, ShapleyCAM.
    """
    return _weighted(A, xp.mean(G - HA / 2, axis=(1, 2)), xp)


def moments(G: Any) -> tuple[Any, Any, Any]:
    """Return G, its square and its cube: what `smooth_grad_cam_plus_plus` needs the means of.

    Summed over noisy copies of an image, batch by batch, and divided by their number at the end.
    """
    return G, G * G, G * G * G


def smooth_grad_cam_plus_plus(A: Any, G1: Any, G2: Any, G3: Any, xp: Any) -> Any:
    """Return ``sum_k w_k A_ijk``, ``w_k = sum_ij alpha_ijk ReLU(G1_ijk)``.

    ``A``: float ``[N, u, v, K]``, of the image itself; ``G1``, ``G2``, ``G3``: the means over its
    noisy copies of the gradient, its square and its cube; result ``[N, u, v]``. With S_k =
    sum_ab A_abk, ``alpha = G2 / (2 G2 + S G3)``, and zero where the denominator is.

    Omeiza et al. 2019, "Smooth Grad-CAM++: An Enhanced Inference Level Visualization Technique for
    Deep Convolutional Neural Network Models". Two departures. The paper's numerator is the mean
    first derivative, with which one copy without noise would not give Grad-CAM++; the mean square
    does. And exp(score) is left out of the derivatives, for the copies' weights would be exp of
    their scores, and the copy with the highest score would decide alone.
    """
    denominator = 2 * G2 + xp.sum(A, axis=(1, 2), keepdims=True) * G3
    alpha = xp.where(denominator != 0, G2 / xp.where(denominator != 0, denominator, 1.0), 0.0)
    return _weighted(A, xp.sum(alpha * xp.maximum(G1, 0.0), axis=(1, 2)), xp)


def _weighted(A: Any, weights: Any, xp: Any) -> Any:
    return xp.einsum("nuvk,nk->nuv", A, weights)


def _projected(X: Any, xp: Any) -> Any:
    """Return ``[N, u, v, K]`` projected on the first right singular vector, by way of eigh.

    The Gram matrix of the shorter side, uv or K, has that vector among its eigenvectors, at a
    third to a fifth of an SVD's time (16 images of 14 x 14 x 512: 93 ms against 252 ms; of
    7 x 7 x 2048: 12 ms against 69 ms). Numbers are brought to 1 first, for their squares leave
    float32; images that are not finite are taken out, for eigh fails on them and takes the batch
    with it.
    """
    _, u, v, K = X.shape
    X = xp.reshape(X, (-1, u * v, K))
    finite = xp.all(xp.isfinite(X), axis=(1, 2), keepdims=True)
    X = xp.where(finite, X, 0.0)
    peak = xp.max(xp.abs(X), axis=(1, 2), keepdims=True)
    X = X / xp.where(peak > 0, peak, 1.0)
    if u * v <= K:
        values, vectors = xp.linalg.eigh(xp.einsum("npk,nqk->npq", X, X))
        projection = vectors[..., -1] * xp.sqrt(xp.maximum(values[..., -1:], 0.0))
    else:
        _, vectors = xp.linalg.eigh(xp.einsum("npk,npl->nkl", X, X))
        projection = xp.einsum("npk,nk->np", X, vectors[..., -1])
    agreement = xp.sum(projection * xp.sum(X, axis=2), axis=1, keepdims=True)
    projection = xp.where(agreement < 0, -projection, projection) * peak[..., 0]
    return xp.reshape(xp.where(finite[..., 0], projection, float("nan")), (-1, u, v))
