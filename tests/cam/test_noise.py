from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.cam.noise import random_map
from tests.oracles import ORACLES

IMAGE = bytes(range(256)) * 40


@pytest.mark.parametrize("grid", [(1, 1), (7, 7), (3, 40)])
def test_a_random_map_equals_its_loops(grid: tuple[int, int]) -> None:
    got = random_map(IMAGE, grid, np)
    assert got.dtype == np.float32
    assert got.shape == grid
    np.testing.assert_array_equal(got, ORACLES["random"](IMAGE, grid))


def test_a_random_map_is_decided_by_the_image() -> None:
    np.testing.assert_array_equal(random_map(IMAGE, (7, 7), np), random_map(IMAGE, (7, 7), np))
    other = bytes([1]) + IMAGE[1:]
    assert (random_map(IMAGE, (7, 7), np) != random_map(other, (7, 7), np)).mean() > 0.9


def test_a_random_map_is_evenly_spread() -> None:
    many = random_map(IMAGE, (200, 200), np)
    assert many.min() >= 0
    assert many.max() < 1
    counts, _ = np.histogram(many, bins=10, range=(0, 1))
    np.testing.assert_allclose(counts, 4000, rtol=0.06)
