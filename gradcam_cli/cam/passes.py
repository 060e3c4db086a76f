"""Methods that run the network many times for one image, and make a map of its scores.

One image at a time: x is the network's input ``[h, w, c]`` as it was scaled, A the activations
``[u, v, K]``, and each of P passes changes one or the other. ``alter`` makes the batch of the
passes numbered ``at`` and is pure in ``xp``, so that it runs inside the traced network and nothing
that is altered leaves the device; ``combine`` makes a map of all the scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradcam_cli.images.fit import Cells, Span, upsampling

_PATCHES = 4
"""How many occluding patches lie side by side; smaller ones hardly move a good network's score."""


@dataclass(frozen=True, slots=True)
class Passes:
    """A method of many passes over one image.

    ``count(u, v, K)`` is the number of passes P. ``alter`` is ``(A, at, xp) -> [B, u, v, K]`` where
    only what lies behind the layer is run again, and ``(x, A, at, cells, xp) -> [B, h, w, c]``
    where the ``whole`` network is; ``at`` is int32 ``[B]``, and ``cells`` say where the grid lies
    in the input (None: it tiles it). ``combine(A, before, scores, xp)`` takes the score of the
    untouched image and those of all passes, ``[P]``, and returns the signed map ``[u, v]``.
    ``needless(A, xp)`` says of which passes, bool ``[P]``, the score need not be found: the change
    changes nothing, so it is that of the untouched image, or the map does not depend on it.
    """

    count: Callable[[int, int, int], int]
    alter: Callable[..., Any]
    combine: Callable[[Any, Any, Any, Any], Any]
    whole: bool = False
    needless: Callable[[Any, Any], Any] | None = None


def _a_channel(_u: int, _v: int, K: int) -> int:
    return K


def _a_cell(u: int, v: int, _K: int) -> int:
    return u * v


def without_channel(A: Any, at: Any, xp: Any) -> Any:
    """Return the activations without channel ``at``: ``[B, u, v, K]``, one channel of each zero."""
    ablated = xp.equal(xp.arange(A.shape[-1])[None], at[:, None])
    return xp.where(ablated[:, None, None], 0.0, A[None])


def _silent(A: Any, xp: Any) -> Any:
    return xp.all(A == 0, axis=(0, 1))


def ablation_cam(A: Any, before: Any, scores: Any, xp: Any) -> Any:
    """Return ``sum_k w_k A_k``, ``w_k = y - y_k``, y_k the score without channel k.

    ``A`` float ``[u, v, K]``, ``before`` y, ``scores`` ``[K]``; result ``[u, v]``. The paper
    divides by y, a factor that all channels share: it changes no scaled map where y is positive,
    and turns the map into its opposite where y is a negative logit, so it is left out. Behind a
    linear head ``w_k = sum_ij G_ijk A_ijk``: the share of the score that the channel has.

    Desai & Ramaswamy 2020, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via
    Gradient-free Localization", ``w_k = (y - y_k) / y`` and its sum over the maps.
    """
    return xp.einsum("uvk,k->uv", A, before - scores)


def only_cell(A: Any, at: Any, xp: Any) -> Any:
    """Return the activations in cell ``at`` alone, row by row: ``[B, u, v, K]``, zero elsewhere."""
    u, v = A.shape[:2]
    cells = xp.reshape(xp.arange(u * v), (1, u, v))
    here = xp.equal(cells, at[:, None, None])
    return xp.where(here[..., None], A[None], 0.0)


def recipro_cam(A: Any, before: Any, scores: Any, xp: Any) -> Any:
    """Return ``y_ij - min y``, y_ij the score when cell i, j is all that the layer gives.

    ``A`` float ``[u, v, K]``, ``scores`` ``[u v]``; result ``[u, v]``, not negative. Divided by its
    maximum it is the paper's ``(y - min y) / (max y - min y)``. The masks hold one cell, as in
    the authors' code; the paper's other variant smears the cell with a 3 x 3 Gaussian. The paper
    takes the probability for y, here it is what the maps explain, the logit unless told otherwise.

    Byun & Lee 2022, "Recipro-CAM: Fast Gradient-free Visual Explanations for Convolutional Neural
    Networks", section 3.
    """
    del before
    return xp.reshape(scores, A.shape[:2]) - xp.min(scores)


def masked_by_channel(x: Any, A: Any, at: Any, cells: Cells | None, xp: Any) -> Any:
    """Return the network's input times channel ``at``, enlarged and brought to 0..1: ``[B, ...]``.

    A channel is enlarged bilinearly, then its minimum becomes 0 and its maximum 1. What is masked
    is zero after scaling, which is the mean colour where scaling subtracts it, otherwise black. A
    channel that is the same everywhere masks everything.
    """
    down, across = upsampling(A.shape[:2], x.shape[:2], cells, beyond=True)
    channels = xp.transpose(xp.take(A, at, axis=2), (2, 0, 1))
    masks = _unit(channels, xp)  # first of all, so that large numbers do not hide small changes
    masks = xp.einsum("bhv,wv->bhw", xp.einsum("hu,buv->bhv", down, masks), across)
    return x[None] * _unit(masks, xp)[..., None]


def _unit(maps: Any, xp: Any) -> Any:
    """Return maps ``[B, rows, columns]`` brought to 0..1, zeros where all is the same."""
    low = xp.min(maps, axis=(1, 2), keepdims=True)
    span = xp.max(maps, axis=(1, 2), keepdims=True) - low
    return (maps - low) / xp.where(span > 0, span, 1.0)


def score_cam(A: Any, before: Any, scores: Any, xp: Any) -> Any:
    """Return ``sum_k w_k A_k``, ``w = softmax_k(y_k - y_b)``, y_k the score of the masked input.

    ``A`` float ``[u, v, K]``, ``scores`` ``[K]``; result ``[u, v]``. y_b is the score of an input
    of zeros; the softmax over the channels is the same whatever y_b is, so it is not computed.
    Channels that are the same everywhere have no mask, and as in the authors' code no weight.

    Wang et al. 2020, "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
    Networks", definition 2 (the increase of confidence), eq. 6 and algorithm 1.
    """
    del before
    flat = _flat(A, xp)
    most = xp.max(xp.where(flat, xp.min(scores), scores))
    powers = xp.where(flat, 0.0, xp.exp(xp.where(flat, most, scores) - most))
    total = xp.sum(powers)
    return xp.einsum("uvk,k->uv", A, powers / xp.where(total > 0, total, 1.0))


def _flat(A: Any, xp: Any) -> Any:
    return xp.max(A, axis=(0, 1)) <= xp.min(A, axis=(0, 1))


def _drop(A: Any, before: Any, scores: Any, xp: Any) -> Any:
    return before - xp.reshape(scores, A.shape[:2])


def occlusion(patch: int = 0, stride: int = 0, fill: float = 0.0) -> Passes:
    """Return occlusion: ``y - y_ij``, y_ij the score while a patch hides the input around i, j.

    ``patch`` and ``stride`` are pixels of the network's input; by default a patch is a quarter of
    each side, and patches overlap by half. ``fill`` is what hides, as a number after scaling: 0
    is the mean colour, or grey, where scaling brings that to zero, otherwise black. There is no
    layer: for A it takes zeros ``[u, v, 1]``, a cell a patch (see ``occlusion_cells``).

    Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2: a
    grey square is moved over the image, and the score mapped. What falls is hot here, as in their
    text, where in their figure it is the score that remains.
    """

    def hidden(x: Any, A: Any, at: Any, cells: Cells | None, xp: Any) -> Any:
        del cells
        h, w = x.shape[:2]
        u, v = A.shape[:2]
        rows = _covered(at // v, u, h, *_sizes(h, patch, stride), xp)
        columns = _covered(at % v, v, w, *_sizes(w, patch, stride), xp)
        inside = xp.logical_and(rows[:, :, None], columns[:, None])
        return xp.where(inside[..., None], fill, x[None])

    return Passes(_a_cell, hidden, _drop, whole=True)


def occlusion_cells(
    size: tuple[int, int], patch: int = 0, stride: int = 0
) -> tuple[tuple[int, int], Cells]:
    """Return how many patches hide an input of ``(h, w)``, and where in it they lie."""
    spans, counts = [], []
    for side in size:
        length, step = _sizes(side, patch, stride)
        count = _patches(side, length, step)
        counts.append(count)
        spans.append(Span(_first(side, count, length, step) + length / 2, step, 0, side))
    return (counts[0], counts[1]), Cells(spans[0], spans[1])


def _sizes(side: int, patch: int, stride: int) -> tuple[int, int]:
    length = min(side, patch or max(1, math.ceil(side / _PATCHES)))
    return length, stride or max(1, length // 2)


def _patches(side: int, length: int, step: int) -> int:
    """Return how many patches it takes to reach both ends."""
    return math.ceil((side - length) / step) + 1


def _first(side: int, count: int, length: int, step: int) -> int:
    """Return where the first patch begins; they reach beyond both ends alike."""
    return -(((count - 1) * step + length - side) // 2)


def _covered(number: Any, count: int, side: int, length: int, step: int, xp: Any) -> Any:
    """Return which pixels of a side patch ``number`` hides, ``[B, side]``."""
    start = _first(side, count, length, step) + number[:, None] * step
    pixels = xp.arange(side)[None]
    return xp.logical_and(pixels >= start, pixels < start + length)


ABLATION_CAM = Passes(_a_channel, without_channel, ablation_cam, needless=_silent)
RECIPRO_CAM = Passes(_a_cell, only_cell, recipro_cam)
SCORE_CAM = Passes(_a_channel, masked_by_channel, score_cam, whole=True, needless=_flat)
OCCLUSION = occlusion()
