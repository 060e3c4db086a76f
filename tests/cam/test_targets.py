from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcam_cli.cam.similarity import cosine_similarity
from gradcam_cli.cam.targets import (
    contrast,
    finer,
    residual_softmax,
    target_class,
)
from tests.oracles import TARGETS

Array = NDArray[Any]


def one_hot(classes: list[int], count: int) -> Array:
    return np.eye(count, dtype=np.float32)[classes]


BOTH = pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])


@BOTH
def test_targets_by_hand(xp: Any) -> None:
    hot = one_hot([2, 0], 5)
    logits = np.array([[1, 9, 5, 4, 7.5], [3, 3, 8, 3, 3]], np.float32)
    np.testing.assert_array_equal(target_class(hot, logits, xp), hot)
    np.testing.assert_array_equal(
        contrast(1)(hot, logits, xp), [[0, -1, 1, 0, 0], [1, -1, 0, 0, 0]]
    )
    np.testing.assert_array_equal(contrast(0)(hot, logits, xp)[1], 0)
    # 4 and 7.5 are closest to 5; of 1 and 9, both four away, the first is taken
    got = np.asarray(finer(hot, logits, xp))
    np.testing.assert_allclose(got[0], [-0.2, 0, 1, -0.2, -0.2], rtol=1e-6)
    np.testing.assert_allclose(got[1], [1, -0.2, 0, -0.2, -0.2], rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@BOTH
def test_finer_cam_with_few_classes_takes_all_others(count: int, xp: Any) -> None:
    hot = one_hot([0], count)
    weights = np.asarray(finer(hot, np.arange(count, dtype=np.float32)[None], xp))[0]
    assert weights[0] == 1
    np.testing.assert_allclose(weights[1:], [-0.6 / max(count - 1, 1)] * (count - 1), rtol=1e-6)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_finer_cam_equals_its_loops(images: int, count: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    hot = one_hot([int(c) for c in rng.integers(0, count, images)], count)
    logits = rng.normal(size=(images, count)).astype(np.float32)
    if ties:
        logits = np.round(logits)
    for xp in (np, keras.ops):
        np.testing.assert_allclose(
            finer(hot, logits, xp), TARGETS["finercam"](hot, logits), rtol=1e-6
        )


@BOTH
def test_residual_softmax_is_the_logit_less_the_cross_entropy(xp: Any) -> None:
    logits = np.array([[1.0, 2.0, -1.0], [300.0, -300.0, 10.0]], np.float32)
    hot = one_hot([1, 2], 3)
    entropy = keras.losses.categorical_crossentropy(hot, logits, from_logits=True)
    expected = (hot * logits).sum(axis=1) - np.asarray(entropy)
    np.testing.assert_allclose(residual_softmax(hot, logits, xp), expected, rtol=1e-6)


def test_residual_softmax_bends_where_the_logit_does_not() -> None:
    """Its Hessian is that of the log-softmax: p p^T - diag(p)."""
    logits = tf.constant([[1.0, 2.0, -1.0]])
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            score = residual_softmax(one_hot([1], 3), logits, keras.ops)
        slope = tape.gradient(score, logits)
    p = np.exp([1.0, 2.0, -1.0]) / np.exp([1.0, 2.0, -1.0]).sum()
    np.testing.assert_allclose(slope[0], 2 * one_hot([1], 3)[0] - p, rtol=1e-5)
    hessian = outer.jacobian(slope, logits)[0, :, 0]
    np.testing.assert_allclose(hessian, np.outer(p, p) - np.diag(p), rtol=1e-4, atol=1e-6)


@BOTH
def test_cosine_similarity(xp: Any) -> None:
    embedding = np.array([[3, 4], [-4, 3], [0, 0], [1e18, 0]], np.float32)
    got = np.asarray(cosine_similarity(embedding, np.array([3, 4], np.float32), xp))
    np.testing.assert_allclose(got, [1, 0, 0, 0.6], rtol=1e-6, atol=1e-6)
    each = np.asarray(cosine_similarity(embedding, np.zeros_like(embedding), xp))
    np.testing.assert_array_equal(each, 0)


def test_the_gradient_of_a_similarity_is_finite_everywhere() -> None:
    embedding = tf.constant([[3.0, 4.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(embedding)
        score = cosine_similarity(embedding, tf.constant([1.0, 0.0]), keras.ops)
    # d (x / r) / dx = y^2 / r^3 = 16 / 125, d / dy = -x y / r^3 = -12 / 125
    np.testing.assert_allclose(
        tape.gradient(score, embedding), [[0.128, -0.096], [0.0, 0.0]], rtol=1e-5
    )
