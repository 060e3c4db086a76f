from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradcam_cli.gate.compare import (
    Frame,
    centre_of_heat,
    compared,
    frame_of,
    hottest_overlap,
    pearson,
    raster,
    same_frame,
    spearman,
)
from gradcam_cli.images.fit import Cells, Span, place, to_picture
from tests.gate import naive

WHOLE = Frame(Span(1 / 14, 1 / 7, 0, 1), Span(1 / 14, 1 / 7, 0, 1))
whole_numbers = arrays(np.float64, (4, 5), elements=st.integers(-3, 9).map(float))


def frame(u: int, v: int) -> Frame:
    return Frame(Span(0.5 / u, 1 / u, 0, 1), Span(0.5 / v, 1 / v, 0, 1))


def noise(seed: int, u: int = 7, v: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(u, v))


@given(whole_numbers, whole_numbers)
def test_numbers_are_those_of_loops_over_cells(one: np.ndarray, other: np.ndarray) -> None:
    if len(set(one.flat)) > 1 and len(set(other.flat)) > 1:
        assert pearson(one, other) == pytest.approx(naive.pearson(one, other), abs=1e-9)
        assert spearman(one, other) == pytest.approx(naive.spearman(one, other), abs=1e-9)
    hot = np.maximum(one, 0), np.maximum(other, 0)
    if hot[0].any() and hot[1].any():
        for share in (0.05, 0.2, 0.5):
            expected = naive.iou(*hot, share)
            assert hottest_overlap(*hot, share) == pytest.approx(expected)
        places = naive.centre(hot[0], frame(4, 5))
        assert centre_of_heat(hot[0], frame(4, 5)) == pytest.approx(places)


def test_correlations_by_hand() -> None:
    one = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert pearson(one, 10 * one - 7) == pytest.approx(1)
    assert pearson(one, -one) == pytest.approx(-1)
    # Anscombe's first quartet, whose correlation is printed everywhere
    x = np.array([[10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]], float)
    y = np.array([[8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]])
    assert pearson(x, y) == pytest.approx(0.81642, abs=1e-5)
    # ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / (5 * 24)
    assert spearman(np.arange(5.0)[None], np.array([[2.0, 1, 4, 3, 5]])) == pytest.approx(0.8)
    assert spearman(one, np.exp(one)) == pytest.approx(1)


def test_flat_maps_have_a_correlation() -> None:
    flat, other = np.full((7, 7), 0.1), noise(0)
    assert pearson(flat, 3 * flat) == 1
    assert pearson(flat, other) == pearson(other, flat) == 0
    assert spearman(flat, flat) == 1


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1.0, 1e30])
def test_the_scale_of_a_map_does_not_count(scale: float) -> None:
    one, other = noise(1).astype(np.float32), noise(2).astype(np.float32)
    found = compared(one * np.float32(scale), other, (WHOLE, WHOLE), (300, 400))
    expected = compared(one, other, (WHOLE, WHOLE), (300, 400))
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_map_is_like_itself_and_unlike_its_negative() -> None:
    one = noise(3)
    assert compared(one, one, (WHOLE, WHOLE), (300, 400)) == pytest.approx((1, 1, 1, 0))
    found = compared(one, -one, (WHOLE, WHOLE), (300, 400))
    assert found[:3] == pytest.approx((-1, -1, 0))


def test_one_hot_cell_that_moves() -> None:
    one, other = np.zeros((7, 7)), np.zeros((7, 7))
    one[1, 1], other[1, 4] = 1, 1
    found = compared(one, other, (WHOLE, WHOLE), (300, 400))
    assert found.iou == 0
    assert found.shift == pytest.approx(3 / 7 * 400 / 500)  # the diagonal of 300 x 400 is 500


def test_an_empty_map_has_no_place() -> None:
    one = -np.abs(noise(4)) - 0.1
    found = compared(one, one, (WHOLE, WHOLE), (300, 400))
    assert found[:2] == pytest.approx((1, 1))
    assert found[2:] == (None, None)
    assert compared(one, noise(5), (WHOLE, WHOLE), (30, 40))[2:] == (None, None)


def test_the_hottest_are_at_most_a_fifth_unless_they_are_as_hot() -> None:
    one = np.zeros((5, 5))
    one[0] = [5, 4, 3, 2, 2]
    one[1, 0] = 2
    assert hottest_overlap(one, one) == 1
    other = np.zeros((5, 5))
    other[0, :3] = 1
    assert hottest_overlap(one, other) == 3 / 6  # all three cells of heat 2 are the fifth hottest


@given(
    arrays(np.float64, (3, 4), elements=st.floats(0, 1)),
    st.sampled_from([(3, 4), (7, 5), (12, 12)]),
    st.floats(0, 0.4),
    st.floats(0.6, 1),
    st.booleans(),
)
def test_resampling_reads_bilinearly_between_centres(
    values: np.ndarray, shape: tuple[int, int], low: float, high: float, turned: bool
) -> None:
    step = (high - low) / 3
    rows = (
        Span(high - step / 2, -step, low, high) if turned else Span(low + step / 2, step, low, high)
    )
    at = Frame(rows, Span(0.2, 0.17, 0.1, 0.9))
    np.testing.assert_allclose(raster(values, at, shape), naive.drawn(values, at, shape), atol=1e-9)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_resampling_is_what_is_drawn_on_the_picture(resize: str) -> None:
    heat = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    placement = place((90, 60), (224, 224), resize)
    cells = Cells(Span(20, 30, 4, 220), Span(16, 32, 0, 224))
    found = raster(heat, frame_of((7, 7), placement, cells), (90, 60))
    shown = to_picture(heat, placement, cells) / 255
    np.testing.assert_allclose(found, shown, atol=0.6 / 255 + 1e-6)


def test_frames_are_shares_of_the_picture() -> None:
    found = frame_of((7, 7), place((300, 400), (224, 224)), None)
    assert same_frame(found, WHOLE)
    cropped = frame_of((7, 7), place((300, 400), (224, 224), "crop"), None)
    assert cropped.columns.low == pytest.approx(50 / 400)
    assert cropped.columns.first == pytest.approx((50 + 300 / 14) / 400)
    padded = frame_of((7, 7), place((300, 400), (224, 224), "pad"), None)
    assert padded.rows.low == 0  # cells over the bars see nothing of the picture
    assert padded.rows.first < 0


def test_maps_of_different_grids_are_resampled() -> None:
    fine = np.zeros((14, 14))
    fine[4:8, 6:10] = 1
    coarse = fine.reshape(7, 2, 7, 2).mean(axis=(1, 3))
    found = compared(coarse, fine, (frame(7, 7), frame(14, 14)), (200, 200))
    assert found.pearson > 0.85
    assert found.shift == pytest.approx(0, abs=1e-9)
    other = compared(np.roll(coarse, -2, axis=1), fine, (frame(7, 7), frame(14, 14)), (200, 200))
    assert other.pearson < 0.2
    assert other.shift == pytest.approx(2 / 7 / math.sqrt(2), abs=0.01)


def test_the_same_map_over_half_of_the_picture_is_another_one() -> None:
    one = noise(6)
    half = Frame(WHOLE.rows, Span(0.25 + 1 / 28, 1 / 14, 0.25, 0.75))
    assert not same_frame(half, WHOLE)
    assert compared(one, one, (WHOLE, half), (100, 100)).pearson < 0.9
