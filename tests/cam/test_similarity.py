from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradcam_cli.cam.similarity import cosine_similarity, cosine_slope, reference
from gradcam_cli.errors import GradcamError
from gradcam_cli.isolation import tf
from gradcam_cli.models.arrays import read_target


def looped(vector: Any, other: Any) -> float:
    """The cosine of the angle in exact sums of Python's floats, 0 where there is no angle."""
    one, two = ([float(number) for number in each] for each in (vector, other))
    length, reach = math.hypot(*one), math.hypot(*two)
    if length == 0 or reach == 0:
        return 0.0
    return math.fsum(x / length * (y / reach) for x, y in zip(one, two, strict=True))


@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
def test_cosine_by_hand(xp: Any) -> None:
    Y = np.array([[3, 4], [-3, -4], [4, -3], [5, 0], [0, 0]], np.float32)
    found = cosine_similarity(Y, np.array([30, 40], np.float32), xp)
    np.testing.assert_allclose(found, [1, -1, 0, 0.6, 0], atol=1e-7)


@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
def test_slope_is_what_a_tape_finds(xp: Any) -> None:
    Y = np.array([[3, 4, -1], [0.1, -2, 5], [0, 0, 0]], np.float32)
    r = np.array([1, 2, -2], np.float32)
    given = tf.constant(Y)
    with tf.GradientTape() as tape:
        tape.watch(given)
        lengths = tf.maximum(tf.norm(given, axis=1), 1e-9) * np.linalg.norm(r)
        cosine = tf.reduce_sum(given * r, axis=1) / lengths
    expected = tape.gradient(cosine, given).numpy()
    expected[2] = 0  # zeros have no direction
    np.testing.assert_allclose(cosine_slope(Y, r, xp), expected, atol=1e-6)


numbers = st.sampled_from((2.0**60, 1.0, 2.0**-60)).flatmap(
    lambda most: st.floats(-most, most, width=32, allow_subnormal=False)
)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(2, 6), st.integers(1, 3))
def test_cosine_equals_loops(data: st.DataObject, length: int, count: int) -> None:
    Y = data.draw(arrays(np.float32, (count, length), elements=numbers))
    r = data.draw(arrays(np.float32, (length,), elements=numbers))
    expected = [looped(row, r) for row in Y]
    for xp in (np, keras.ops):
        np.testing.assert_allclose(cosine_similarity(Y, r, xp), expected, atol=1e-5)


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_no_length_is_too_large_or_too_small(size: float) -> None:
    rng = np.random.default_rng(1)
    Y, r = rng.normal(size=(4, 9)).astype(np.float32), rng.normal(size=9).astype(np.float32)
    there = [looped(row, r) for row in Y]
    for xp in (np, keras.ops):
        np.testing.assert_allclose(cosine_similarity(Y * np.float32(size), r, xp), there, atol=1e-6)
        np.testing.assert_allclose(cosine_similarity(Y, r * np.float32(size), xp), there, atol=1e-6)


def test_half_precision_does_not_overflow() -> None:
    Y = np.full((1, 64), 60_000, np.float16)
    np.testing.assert_allclose(cosine_similarity(Y, np.ones(64, np.float16), np), [1], atol=1e-2)


def test_the_gradient_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(2)
    Y, r = 3 * rng.normal(size=(2, 5)), rng.normal(size=5)
    variable = tf.Variable(Y.astype(np.float32))
    with tf.GradientTape() as tape:
        score = tf.reduce_sum(cosine_similarity(variable, tf.constant(r, tf.float32), keras.ops))
    found = tape.gradient(score, variable).numpy()
    for n, d in np.ndindex(Y.shape):
        up, down = Y[n].copy(), Y[n].copy()
        up[d] += 1e-5
        down[d] -= 1e-5
        slope = (looped(up, r) - looped(down, r)) / 2e-5
        np.testing.assert_allclose(found[n, d], slope, atol=1e-5)


def test_zeros_have_no_gradient_rather_than_nan() -> None:
    variable = tf.Variable(np.array([[0, 0, 0], [1, 2, 2]], np.float32))
    with tf.GradientTape() as tape:
        similar = cosine_similarity(variable, tf.constant([1.0, 0, 0]), keras.ops)
    slopes = tape.gradient(similar, variable).numpy()
    np.testing.assert_allclose(similar, [0, 1 / 3], rtol=1e-6)
    # (r - s y / |y|) / |y| with s = 1/3, |y| = 3
    np.testing.assert_allclose(slopes, np.array([[0, 0, 0], [8, -2, -2]]) / 27, atol=1e-7)


# ------------------------------------------------------------------------------ the reference


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, ">f4"])
def test_a_saved_vector_is_read_and_scaled(tmp_path: Path, shape: Any, dtype: Any) -> None:
    np.save(tmp_path / "v.npy", np.array([2, -4, 5, 6], dtype).reshape(shape))
    found = reference(read_target(tmp_path / "v.npy"), 4, "--target v.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array([2, -4, 5, 6]) / 9, rtol=1e-7)


def test_huge_and_tiny_vectors_are_scaled() -> None:
    for size in (1e-320, 1e300):
        found = reference(np.array([3 * size, 4 * size]), 2, "x")
        np.testing.assert_allclose(found, [0.6, 0.8], rtol=1e-2)


@pytest.mark.parametrize(
    ("values", "length", "message"),
    [
        (np.ones(3), 4, "a vector of 3 numbers, but the network's output has 4"),
        (np.ones((1, 5)), 4, "a vector of 5 numbers, but the network's output has 4"),
        (np.ones(0), 4, "a vector of 0 numbers, but the network's output has 4"),
        (np.ones((4, 1)), 4, r"an array of shape \[4, 1\] is not one vector"),
        (np.ones((2, 4)), 4, r"an array of shape \[2, 4\] is not one vector"),
        (np.array(1.0), 4, r"an array of shape \[\] is not one vector"),
        (np.ones((1, 1, 4)), 4, r"an array of shape \[1, 1, 4\] is not one vector"),
        (np.array([1, np.nan]), 2, "the vector holds infinities or NaN"),
        (np.array([1, -np.inf]), 2, "the vector holds infinities or NaN"),
        (np.zeros(2), 2, "the vector is zero everywhere"),
        (np.ones(1), 1, "the network's output is a single number"),
    ],
)
def test_other_vectors_are_refused(values: Any, length: int, message: str) -> None:
    with pytest.raises(GradcamError, match=f"^--target v.npy: {message}") as caught:
        reference(values, length, "--target v.npy")
    assert caught.value.hint


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.npy").write_bytes(b"cat")
    with pytest.raises(GradcamError, match=r"^--target: .*v\.npy is not a readable \.npy file"):
        read_target(tmp_path / "v.npy")
    with pytest.raises(GradcamError, match=r"^--target: there is no file .*w\.npy") as caught:
        read_target(tmp_path / "w.npy")
    assert "v.npy" in caught.value.hint
    with (tmp_path / "large.npy").open("wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(GradcamError, match=r"it has 20 MB, and --target takes at most"):
        read_target(tmp_path / "large.npy")
