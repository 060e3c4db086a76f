from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.cam.gradients import (
    cam,
    eigen_cam,
    eigen_grad_cam,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    moments,
    shapley_cam,
    smooth_grad_cam_plus_plus,
    xgrad_cam,
)

Array = NDArray[Any]

A = np.array([[[[1.0, 2.0], [0.0, 1.0]], [[3.0, 0.0], [1.0, 1.0]]]])
G = np.array([[[[4.0, -1.0], [0.0, -1.0]], [[0.0, -1.0], [0.0, 1.0]]]])
BY_HAND = {
    # a = (4/4, -2/4) = (1, -0.5)
    grad_cam: [[1 - 1.0, -0.5], [3.0, 1 - 0.5]],
    # w = (4, -2)
    cam: [[4 - 4.0, -2.0], [12.0, 4 - 2.0]],
    # sums of A (5, 4); w = (1 / (2/4 + 5), 1 / (2/1 + 4)) = (2/11, 1/6)
    grad_cam_plus_plus: [[2 / 11 + 2 / 6, 1 / 6], [6 / 11, 2 / 11 + 1 / 6]],
    hires_cam: [[4 - 2.0, -1.0], [0.0, 1.0]],
    layer_cam: [[4.0, 0.0], [0.0, 1.0]],
    # w = (4/5, (-2 - 1 + 1)/4) = (0.8, -0.5)
    xgrad_cam: [[0.8 - 1.0, -0.5], [2.4, 0.8 - 0.5]],
}


@pytest.mark.parametrize("method", BY_HAND, ids=lambda method: method.__name__)
def test_a_method_by_hand(method: Any) -> None:
    np.testing.assert_allclose(method(A, G, np), [BY_HAND[method]], rtol=1e-12, atol=1e-15)


def random_layer(seed: int, shape: tuple[int, ...] = (2, 4, 5, 6)) -> Array:
    return np.maximum(np.random.default_rng(seed).normal(size=shape), 0).astype(np.float32)


def gradient_of(score: Any, activations: Array) -> Array:
    tensor = tf.constant(activations)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        total = tf.reduce_sum(score(tensor))
    return np.asarray(tape.gradient(total, tensor))


def hessian_times(score: Any, activations: Array) -> Array:
    tensor = tf.constant(activations)
    with tf.GradientTape() as outer:
        outer.watch(tensor)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            total = tf.reduce_sum(score(tensor))
        projected = tf.reduce_sum(tape.gradient(total, tensor) * activations)
    return np.asarray(outer.gradient(projected, tensor))


def test_behind_a_pooled_dense_layer_five_methods_agree() -> None:
    activations = random_layer(1)
    weights, bias = np.random.default_rng(2).normal(size=6).astype(np.float32), 0.3

    def logit(tensor: Any) -> Any:
        return tf.tensordot(tf.reduce_mean(tensor, axis=(1, 2)), weights, 1) + bias

    slope = gradient_of(logit, activations)
    maps = {method: method(activations, slope, np) for method in BY_HAND}
    expected = activations @ weights
    np.testing.assert_allclose(maps[cam], expected, rtol=1e-4, atol=1e-5)
    for method in (grad_cam, hires_cam, xgrad_cam):
        np.testing.assert_allclose(20 * maps[method], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        maps[cam].mean(axis=(1, 2)) + bias, logit(tf.constant(activations)), rtol=1e-4
    )
    bent = hessian_times(lambda tensor: logit(tensor) + 0 * tf.reduce_sum(tensor**2), activations)
    np.testing.assert_array_equal(bent, 0)
    shapley = shapley_cam(activations, slope, bent, np)
    np.testing.assert_array_equal(shapley, maps[grad_cam])


def test_behind_one_linear_layer_hires_cam_adds_up_to_the_logit() -> None:
    activations = np.random.default_rng(3).normal(size=(2, 4, 5, 6)).astype(np.float32)
    weights = np.random.default_rng(4).normal(size=(4, 5, 6)).astype(np.float32)

    def logit(tensor: Any) -> Any:
        return tf.reduce_sum(tensor * weights, axis=(1, 2, 3)) - 1.5

    slope = gradient_of(logit, activations)
    added = hires_cam(activations, slope, np).sum(axis=(1, 2)) - 1.5
    np.testing.assert_allclose(added, logit(tf.constant(activations)), rtol=1e-4, atol=1e-4)
    same = xgrad_cam(np.abs(activations), slope, np).sum(axis=(1, 2))
    np.testing.assert_allclose(same, (np.abs(activations) * slope).sum(axis=(1, 2, 3)), rtol=1e-4)


def test_layer_cam_is_hires_cam_where_every_gradient_is_positive() -> None:
    activations, slope = random_layer(5), random_layer(6)
    np.testing.assert_array_equal(
        layer_cam(activations, slope, np), hires_cam(activations, slope, np)
    )


def test_grad_cam_plus_plus_between_its_limits() -> None:
    activations = random_layer(7)
    slope = np.random.default_rng(8).normal(size=activations.shape).astype(np.float32)
    positive = np.maximum(slope, 0)
    # Gradients far below 1 over the activations: alpha is 1/2.
    small = grad_cam_plus_plus(activations, slope * 1e-6, np) * 1e6
    half = cam(activations, positive, np) / 2
    np.testing.assert_allclose(small, half, rtol=1e-3)
    # Far above: a cell of a rising gradient counts 1 over the activations, however steep it is.
    large = grad_cam_plus_plus(activations, slope * 1e6, np)
    counted = (slope > 0).sum(axis=(1, 2)) / activations.sum(axis=(1, 2))
    np.testing.assert_allclose(large, np.einsum("nuvk,nk->nuv", activations, counted), rtol=1e-3)


def test_grad_cam_plus_plus_at_its_pole_counts_nothing() -> None:
    pole = np.full((1, 1, 2, 1), -1.0, np.float32)
    slope = np.array([[[[1.0], [-5.0]]]], np.float32)  # 2 / 1 - 2 = 0
    np.testing.assert_array_equal(grad_cam_plus_plus(pole, slope, np), 0)
    np.testing.assert_array_equal(xgrad_cam(pole * [[[[1], [-1]]]], slope, np), 0)


def test_one_copy_without_noise_is_grad_cam_plus_plus() -> None:
    activations = random_layer(9)
    slope = np.random.default_rng(10).normal(size=activations.shape).astype(np.float32)
    smooth = smooth_grad_cam_plus_plus(activations, *moments(slope), np)
    np.testing.assert_allclose(
        smooth, grad_cam_plus_plus(activations, slope, np), rtol=1e-4, atol=1e-6
    )


def test_a_quadratic_scores_shapley_values_are_exact() -> None:
    """Four channels of one cell play; every order in which they can come is played."""
    rng = np.random.default_rng(11)
    matrix, linear, played = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    matrix = (matrix + matrix.T) / 2

    def score(x: Array) -> float:
        return float(x @ matrix @ x / 2 + linear @ x)

    values = np.zeros(4)
    orders = list(itertools.permutations(range(4)))
    for order in orders:
        there = np.zeros(4)
        for player in order:
            before = score(there)
            there[player] = played[player]
            values[player] += (score(there) - before) / len(orders)
    A, G, HA = (
        array.reshape(1, 1, 1, 4) for array in (played, matrix @ played + linear, matrix @ played)
    )
    alone = [
        shapley_cam(A[..., k : k + 1], G[..., k : k + 1], HA[..., k : k + 1], np) for k in range(4)
    ]
    np.testing.assert_allclose(np.ravel(alone), values, rtol=1e-10)
    np.testing.assert_allclose(shapley_cam(A, G, HA, np).sum(), score(played), rtol=1e-10)


def test_eigen_cam_of_one_pattern_is_that_pattern() -> None:
    rng = np.random.default_rng(12)
    pattern, channels = rng.random((2, 4, 5)) + 0.1, rng.random((2, 7)) + 0.1
    activations = np.einsum("nuv,nk->nuvk", pattern, channels).astype(np.float32)
    expected = pattern * np.linalg.norm(channels, axis=1)[:, None, None]
    np.testing.assert_allclose(eigen_cam(activations, np), expected, rtol=1e-4)
    np.testing.assert_allclose(eigen_cam(activations, keras.ops), expected, rtol=1e-4)


@pytest.mark.parametrize("shape", [(2, 3, 3, 20), (2, 6, 6, 4)], ids=["K longer", "uv longer"])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_eigen_cam_is_the_first_singular_vector(shape: tuple[int, ...], size: float) -> None:
    activations = random_layer(13, shape) * np.float32(size)
    maps = eigen_cam(activations, np)
    assert (maps >= -1e-6 * maps.max()).all()
    for image, map_ in zip(activations.astype(np.float64), maps, strict=True):
        _, values, right = np.linalg.svd(image.reshape(-1, shape[-1]))
        projection = np.abs(image.reshape(-1, shape[-1]) @ right[0])
        np.testing.assert_allclose(map_.ravel(), projection, rtol=1e-4, atol=1e-5 * values[0])


def test_equally_strong_patterns_leave_eigen_cam_one_of_them() -> None:
    activations = np.zeros((1, 2, 2, 4), np.float32)
    activations[0].reshape(4, 4)[:] = np.eye(4)
    for xp in (np, keras.ops):
        assert np.linalg.norm(eigen_cam(activations, xp)) == pytest.approx(1, rel=1e-5)


def test_eigen_grad_cam_is_positive_where_hires_cam_is() -> None:
    activations, slope = random_layer(14), -random_layer(15) - 0.1
    against = eigen_grad_cam(activations, slope, np)
    assert (against <= 1e-6).all()
    np.testing.assert_allclose(eigen_grad_cam(activations, -slope, np), -against, atol=1e-5)


def test_eigen_grad_cam_of_several_classes_at_once() -> None:
    activations = random_layer(16)
    slopes = np.random.default_rng(17).normal(size=(3, *activations.shape)).astype(np.float32)

    def together(of_classes: Any) -> Any:
        return tf.vectorized_map(
            lambda one: eigen_grad_cam(activations, one, keras.ops), of_classes
        )

    apart = [eigen_grad_cam(activations, slope, np) for slope in slopes]
    np.testing.assert_allclose(
        tf.function(together)(tf.constant(slopes)), np.stack(apart), rtol=1e-3, atol=1e-4
    )
