from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.cam.compact import MOST_CELLS, compact, expanded, resampled


def heat(*shape: int) -> NDArray[np.float32]:
    values = np.random.default_rng(7).random(shape, np.float32)
    return np.asarray(values / values.max(), np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (3, 11), (32, 32)])
def test_a_map_comes_back_to_half_a_level(shape: tuple[int, int]) -> None:
    given = heat(*shape)
    text = compact(given)
    assert len(text) <= 6 + 4 * -(-given.size // 3)
    back = expanded(text)
    assert back is not None
    assert back.shape == shape
    assert back.dtype == np.float32
    assert float(np.abs(back - given).max()) <= 0.5 / 255 + 1e-6
    assert back.max() == 1


def test_cells_are_bytes_row_by_row() -> None:
    text = compact(np.array([[0, 1, 0.5], [0.25, 0.125, 1]], np.float32))
    grid, _, cells = text.partition(":")
    assert grid == "2x3"
    assert list(base64.b64decode(cells)) == [0, 255, 128, 64, 32, 255]


def test_a_fine_map_is_averaged() -> None:
    given = heat(64, 96)
    back = expanded(compact(given))
    assert back is not None
    assert back.shape == (MOST_CELLS, MOST_CELLS)
    blocks = given.reshape(32, 2, 32, 3).mean((1, 3))
    assert float(np.abs(back - blocks).max()) <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    "text", ["", "7x7", "7x7:", "0x0:", "2x2:AAAA", "2x2:AAAAAAA", "1x3:AA!A", "999x1:AAAA", "x"]
)
def test_any_other_text_is_not_a_map(text: str) -> None:
    assert expanded(text) is None


def slow(given: NDArray[Any], rows: int, columns: int) -> NDArray[np.float64]:
    """The mean over each new cell, from a grid so fine that both fit into it."""
    fine = np.repeat(np.repeat(given, rows, 0), columns, 1)
    made = np.zeros((rows, columns))
    height, width = given.shape
    for row in range(rows):
        for column in range(columns):
            part = fine[row * height : (row + 1) * height, column * width : (column + 1) * width]
            made[row, column] = part.mean()
    return made


@pytest.mark.parametrize("shape", [(7, 7), (14, 14), (5, 3), (1, 20)])
def test_another_grid_has_the_means_of_its_cells(shape: tuple[int, int]) -> None:
    given = heat(*shape).astype(np.float64)
    np.testing.assert_allclose(resampled(given, 9, 4), slow(given, 9, 4), atol=1e-12)
    np.testing.assert_allclose(resampled(given, *shape), given, atol=1e-12)
