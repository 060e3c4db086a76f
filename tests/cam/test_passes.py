"""Methods of many passes, against loops in float64 and against what the papers' formulas imply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from gradcam_cli.cam import passes
from gradcam_cli.cam.gradients import cam
from gradcam_cli.cam.passes import ABLATION_CAM, OCCLUSION, RECIPRO_CAM, SCORE_CAM, Passes
from gradcam_cli.images.fit import Cells, Span
from tests import oracles_passes as oracles
from tests.oracles_passes import Array, Score

SHAPES = [(4, 5, 6), (1, 7, 2), (3, 3, 1), (1, 1, 4), (2, 1, 3)]
VALUES: dict[str, Callable[[Array], Array]] = {
    "normal": lambda A: A,
    "rectified": lambda A: np.maximum(A, 0),
    "negative": lambda A: -np.abs(A),
    "zero": np.zeros_like,
    "huge": lambda A: A * 1e15,
    "tiny": lambda A: A * 1e-15,
    "flat channel": lambda A: np.concatenate([np.ones_like(A[..., :1]), A[..., 1:]], -1),
}
PLACES = Cells(Span(3.0, 2.5, 2.0, 11.0), Span(4.0, 4.0, 3.0, 17.0))


def activations(seed: int, shape: tuple[int, ...], kind: str = "normal") -> Array:
    A = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return VALUES[kind](A).astype(np.float32)


def curved(shape: tuple[int, ...], seed: int = 9) -> Score:
    """A score that is neither linear nor alike in all entries."""
    weights = np.random.default_rng(seed).normal(size=shape)

    def score(values: Array) -> float:
        total = float(np.sum(weights * values))
        return float(np.tanh(total) + 0.3 * total)

    return score


def mapped(method: Passes, A: Array, score: Score, xp: Any, x: Array, cells: Any = None) -> Array:
    """Run a method's passes in batches of three, as the network does."""
    count = method.count(*A.shape)
    scores: list[float] = []
    for first in range(0, count, 3):
        at = np.minimum(np.arange(first, first + 3, dtype=np.int32), count - 1)
        made = method.alter(x, A, at, cells, xp) if method.whole else method.alter(A, at, xp)
        assert made.shape == (3, *(x if method.whole else A).shape)
        scores += [score(np.asarray(each, float)) for each in made]
    before = score(np.asarray(x if method.whole else A, float))
    return np.asarray(method.combine(A, before, np.asarray(scores[:count], np.float32), xp))


@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["ablation_cam", "recipro_cam"])
def test_a_method_of_the_rest_equals_its_loops(name: str, shape: Any, kind: str, xp: Any) -> None:
    A = activations(1, shape, kind)
    scale = max(float(np.abs(A).max()), 1e-30)
    score = curved(shape)
    rest: Score = lambda values: score(values / scale)  # noqa: E731
    method = {"ablation_cam": ABLATION_CAM, "recipro_cam": RECIPRO_CAM}[name]
    expected = getattr(oracles, name)(A, rest)
    found = mapped(method, A, rest, xp, np.zeros((2, 2, 1), np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_score_cam_equals_its_loops(shape: tuple[int, ...], kind: str, xp: Any) -> None:
    A, x = activations(2, shape, kind), activations(3, (13, 17, 3))
    score = curved(x.shape)
    for cells in (None, PLACES):
        spans = cells and [each[:2] for each in cells]
        expected = oracles.score_cam(A, x, score, spans)
        found = mapped(SCORE_CAM, A, score, xp, x, cells)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
@pytest.mark.parametrize(
    ("size", "patch", "stride", "fill"),
    [((13, 17), 5, 2, 0.0), ((8, 8), 3, 5, 0.5), ((6, 9), 6, 1, 0.0), ((7, 1), 1, 1, -2.0)],
    ids=str,
)
def test_occlusion_equals_its_loops(
    size: tuple[int, int], patch: int, stride: int, fill: float, xp: Any
) -> None:
    x = activations(4, (*size, 3))
    patch = min(patch, *size)
    grid, _ = passes.occlusion_cells(size, patch, stride)
    score, method = curved(x.shape), passes.occlusion(patch, stride, fill)
    expected = oracles.occlusion(x, score, patch, stride, fill)
    assert grid == expected.shape
    found = mapped(method, np.zeros((*grid, 1), np.float32), score, xp, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
def test_arguments_are_left_alone(xp: Any) -> None:
    A, x = activations(5, (3, 4, 5)), activations(6, (8, 8, 3))
    before = A.copy(), x.copy()
    for method in (ABLATION_CAM, RECIPRO_CAM, SCORE_CAM, OCCLUSION):
        mapped(method, A, curved((x if method.whole else A).shape), xp, x)
    np.testing.assert_array_equal(A, before[0])
    np.testing.assert_array_equal(x, before[1])


def test_ablation_behind_a_linear_head_weighs_as_the_gradient_times_the_activations() -> None:
    A, G = activations(7, (4, 5, 6)), activations(8, (4, 5, 6))
    found = mapped(ABLATION_CAM, A, lambda a: float(np.sum(G * a)) + 3, np, A[..., :1])
    np.testing.assert_allclose(found, A @ (G * A).sum((0, 1)), rtol=1e-3, atol=1e-4)


def test_ablation_behind_a_pooled_head_weighs_as_cam_times_the_mean() -> None:
    A, w = activations(9, (4, 5, 6)), activations(10, (6,))
    found = mapped(ABLATION_CAM, A, lambda a: float(a.mean((0, 1)) @ w) - 2, np, A[..., :1])
    weighed = A * A.mean((0, 1))
    G = np.broadcast_to(w / 20, A.shape)
    np.testing.assert_allclose(found, cam(weighed[None], G[None], np)[0], rtol=1e-3, atol=1e-4)


def test_recipro_behind_a_pooled_head_is_cam_up_to_constants() -> None:
    A, w = activations(11, (4, 5, 6)), activations(12, (6,))
    found = mapped(RECIPRO_CAM, A, lambda a: float(a.mean((0, 1)) @ w) - 2, np, A[..., :1])
    expected = A @ w / 20
    np.testing.assert_allclose(found, expected - expected.min(), atol=1e-5)


def test_score_cam_of_one_channel_is_that_channel() -> None:
    A, x = activations(13, (4, 5, 1)), activations(14, (9, 9, 3))
    np.testing.assert_allclose(mapped(SCORE_CAM, A, curved(x.shape), np, x), A[..., 0], rtol=1e-6)


def test_the_baseline_of_score_cam_is_lost_in_the_softmax() -> None:
    A, scores = activations(15, (3, 3, 5)), activations(16, (5,))
    there = SCORE_CAM.combine(A, 0.0, scores, np)
    np.testing.assert_allclose(SCORE_CAM.combine(A, 9.0, scores - 7, np), there, rtol=1e-4)


def test_a_channel_of_large_numbers_that_hardly_differ_is_still_a_mask() -> None:
    heat = np.array([[[0.0], [1.0]], [[2.0], [4.0]]], np.float32)
    x = np.ones((8, 8, 1), np.float32)
    masks = [
        SCORE_CAM.alter(x, A, np.zeros(1, np.int32), None, np)
        for A in (heat, heat * np.float32(2**-10) + np.float32(2**8))
    ]
    np.testing.assert_allclose(masks[1], masks[0], atol=1e-6)


@pytest.mark.parametrize("name", ["ABLATION_CAM", "SCORE_CAM", "RECIPRO_CAM"])
def test_the_order_of_channels_changes_nothing(name: str) -> None:
    method, A, x = getattr(passes, name), activations(17, (3, 4, 5)), activations(18, (8, 8, 3))
    order = np.random.default_rng(0).permutation(5)
    w = activations(19, (5,))
    head: Score = lambda a: float(np.tanh(a.mean((0, 1)) @ w))  # noqa: E731
    moved: Score = lambda a: float(np.tanh(a.mean((0, 1)) @ w[order]))  # noqa: E731
    if method.whole:
        head = moved = curved(x.shape)
    there = mapped(method, A, head, np, x)
    found = mapped(method, A[..., order], moved, np, x)
    np.testing.assert_allclose(found, there, rtol=1e-4, atol=1e-5)


def test_occluding_patches_reach_both_ends_alike() -> None:
    grid, cells = passes.occlusion_cells((224, 224))
    assert grid == (7, 7)
    assert cells.rows == (28, 28, 0, 224)
    grid, cells = passes.occlusion_cells((10, 7), 4, 3)
    assert (grid, cells.rows[:2], cells.columns[:2]) == ((3, 2), (2, 3), (2, 3))
    x = np.ones((10, 10, 1), np.float32)
    (u, v), _ = passes.occlusion_cells((10, 10), 4, 4)
    method, A = passes.occlusion(4, 4), np.zeros((u, v, 1), np.float32)
    made = method.alter(x, A, np.arange(u * v, dtype=np.int32), None, np)
    assert not np.min(made, axis=0).any()
    np.testing.assert_array_equal(made[0], made[-1][::-1, ::-1])


def test_by_hand() -> None:
    A = np.array([[[1.0, 2.0], [3.0, 0.0]]], np.float32)
    # y = 10; without channel 0 it is 4, without channel 1 it is 11: w = (6, -1)
    ablated = ABLATION_CAM.combine(A, 10.0, np.array([4.0, 11.0]), np)
    np.testing.assert_array_equal(ablated, [[6 - 2, 18]])
    np.testing.assert_array_equal(
        RECIPRO_CAM.combine(A, 10.0, np.array([-2.0, 5.0]), np), [[0.0, 7.0]]
    )
    # softmax of (ln 3, 0) is (3/4, 1/4)
    scored = SCORE_CAM.combine(A, 10.0, np.array([np.log(3.0), 0.0]), np)
    np.testing.assert_allclose(scored, [[0.75 + 0.5, 2.25]])
