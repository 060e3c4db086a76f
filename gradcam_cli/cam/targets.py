"""Which score is differentiated: weights of the classes, or another score in their place.

A target is a function ``(hot, logits, xp) -> weights``, all ``[N, C]``: ``hot`` is the one-hot of
each image's target class, and the score is ``sum_c weights_c logits_c`` with the weights taken as
constants. Weights and scores need not be logits: under ``--score probability`` they are
probabilities. ``xp`` is ``numpy`` or ``keras.ops``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Target = Callable[[Any, Any, Any], Any]
"""``(hot, logits, xp) -> weights``, each float ``[N, C]``."""

FINER_CLASSES = 3
"""How many similar classes Finer-CAM compares with (T in the paper)."""

FINER_STRENGTH = 0.6
"""How much of them Finer-CAM takes away (gamma in the paper)."""


def target_class(hot: Any, logits: Any, xp: Any) -> Any:  # noqa: ARG001
    """Return ``hot``: the score is the target class's own."""
    return hot


def contrast(other: int) -> Target:
    """Return the target ``y_c - y_other``: what speaks for the class and against another one.

    ``other`` is a class index. For the class itself the weights are zero.
    """

    def weights(hot: Any, logits: Any, xp: Any) -> Any:  # noqa: ARG001
        return hot - xp.where(xp.arange(hot.shape[1]) == other, xp.ones_like(hot), 0.0)

    return weights


def finer(hot: Any, logits: Any, xp: Any) -> Any:
    """Return the weights of ``y_c - 0.6 mean_d y_d``, d the three classes most similar to c.

    Similar are those whose logits are closest to the target class's, ``|y_d - y_c|``; of equally
    close ones the first. With fewer than four classes all others count; with one, nothing does.

    Zhang et al. 2025, "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual
    Explanation" (CVPR), with the paper's T = 3 and gamma = 0.6. The paper also finds similar
    classes by the dense layer's weights; logits, the way of its code, need no such layer. Its code
    weighs the three by their probabilities instead of equally, and lets the gradient pass through
    these weights.
    """
    taken = min(FINER_CLASSES, hot.shape[1] - 1)
    own = xp.sum(hot * logits, axis=1, keepdims=True)
    distance = xp.where(hot > 0, float("inf"), xp.abs(logits - own))
    similar = xp.zeros_like(hot)
    classes = xp.expand_dims(xp.arange(hot.shape[1]), 0)
    for _ in range(taken):
        # not argmin: Keras's is made of operations that vectorized_map runs one by one
        nearest = distance == xp.min(distance, axis=1, keepdims=True)
        chosen = classes == xp.min(xp.where(nearest, classes, hot.shape[1]), axis=1, keepdims=True)
        similar = xp.where(chosen, 1.0, similar)
        distance = xp.where(chosen, float("inf"), distance)
    return hot - similar * (FINER_STRENGTH / max(taken, 1))


def residual_softmax(weights: Any, logits: Any, xp: Any) -> Any:
    """Return the score ``sum_c weights_c (y_c + log softmax(y)_c)`` of each image, float ``[N]``.

    ``weights``, ``logits``: float ``[N, C]``. It is differentiated as it stands, for its Hessian is
    wanted. Only a softmax makes probabilities of logits in this way.

    Cai 2025, arXiv:2501.06261, the utility function ReST: the logit less the cross-entropy.
    """
    peak = xp.max(logits, axis=1, keepdims=True)
    total = peak + xp.log(xp.sum(xp.exp(logits - peak), axis=1, keepdims=True))
    return xp.sum(weights * (2 * logits - total), axis=1)
