"""What every method must find in a case: from its two halves, called by hand under tapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS
from tests.cam.layers import error_bound
from tests.oracles import ORACLES, TARGETS
from tests.zoo.case import Built, Case

Array = NDArray[Any]

POOLED = {
    *("sequential", "sequential-no-input", "nested-sequential", "convolutions"),
    *("noise", "sigmoid", "multi-label", "linear", "regression", "softmax-nested", "float16"),
    *("bfloat16", "outputs", "outputs-named", "channels-first", "channels-first-input"),
    *("any-size", "wide", "grey", "grey-bare", "fixed-batch", "integer-input", "normalization"),
    *("norm-first", "transformer", "transformer-reshaped", "mixer"),
}
"""The cases whose layer is averaged into one dense layer: CAM is defined."""

ONE_PASS = [
    name
    for name, row in METHODS.items()
    if row.needs in ("activations", "gradient", "curvature") and name != "cam"
]


def applicable(case: Case) -> tuple[str, ...]:
    """The methods of one pass that are defined for a case."""
    names = [name for name in ONE_PASS if len(case.classes) > 1 or METHODS[name].target is None]
    return (*names, "cam") if case.name in POOLED else tuple(names)


def distances(
    built: Built, classes: Sequence[int], pixels: Array, softmax: bool, maps: dict[str, Array]
) -> dict[str, float]:
    """How far maps ``[classes, N, u, v]`` lie from the oracles', by method.

    Measured in what a relative error of 1 in A and G makes of a map; methods at a pole of their
    formula are left out. ``softmax`` tells that Shapley-CAM's score is ``y_c + log p_c``.
    """
    x = tf.constant(pixels, tf.float32)
    A = built.features(x)
    found: dict[str, float] = {}
    for place, index in enumerate(classes):
        slopes = _slopes(built, A, x, index, softmax)
        folded = {
            name: [np.asarray(built.fold(np.asarray(each)), np.float64) for each in arrays]
            for name, arrays in slopes.items()
        }
        for name, got in maps.items():
            key = name if name in ("finercam", "shapleycam") else "plain"
            arrays = folded[key][:1] if METHODS[name].needs == "activations" else folded[key]
            bound = error_bound(name, arrays)
            if bound is None:
                continue
            apart = np.abs(got[place] - ORACLES[name](*arrays)).max((1, 2))
            size = bound.max((1, 2))
            found[name] = max(found.get(name, 0.0), float((apart / (size + 1e-30)).max()))
    return found


def _slopes(built: Built, A: Any, x: Any, index: int, softmax: bool) -> dict[str, Sequence[Any]]:
    """A, and what is differentiated of it, by the score that is differentiated."""
    with tf.GradientTape() as outer:
        outer.watch(A)
        with tf.GradientTape(persistent=True) as inner:
            inner.watch(A)
            logits = tf.cast(built.head(A, x), tf.float32)
            score = tf.reduce_sum(logits[:, index])
            bent = score
            if softmax:
                bent += tf.reduce_sum(tf.nn.log_softmax(logits)[:, index])
            hot = np.eye(logits.shape[1])[[index] * len(logits)]
            weights = TARGETS["finercam"](hot, logits.numpy()) if len(hot[0]) > 1 else hot
            finer = tf.reduce_sum(logits * tf.constant(weights, tf.float32))
        G = inner.gradient(bent, A)
        along = tf.reduce_sum(G * tf.stop_gradient(A))
    HA = outer.gradient(along, A)
    HA = tf.zeros_like(A) if HA is None else HA
    return {
        "plain": (A, inner.gradient(score, A)),
        "finercam": (A, inner.gradient(finer, A)),
        "shapleycam": (A, G, HA),
    }
