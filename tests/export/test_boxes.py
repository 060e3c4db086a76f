from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.export.boxes import Box, box_of, levels_of


def flooded(levels: NDArray[np.uint8], threshold: float) -> list[Box]:
    """Return the boxes of all components, found one pixel after another, largest first."""
    hot = {
        (int(y), int(x))
        for y, x in zip(*np.nonzero(levels), strict=True)
        if int(levels[y, x]) >= threshold * int(levels.max())
    }
    found = []
    while hot:
        waiting, part = [min(hot)], []
        hot.remove(waiting[0])
        while waiting:
            y, x = waiting.pop()
            part.append((y, x))
            for dy, dx in itertools.product((-1, 0, 1), repeat=2):
                if (y + dy, x + dx) in hot:
                    hot.remove((y + dy, x + dx))
                    waiting.append((y + dy, x + dx))
        ys, xs = [y for y, _ in part], [x for _, x in part]
        size = max(xs) - min(xs) + 1, max(ys) - min(ys) + 1
        found.append(Box(min(xs), min(ys), *size, len(part)))
    return sorted(found, key=lambda box: -box.area)


def drawn(heat: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """Return a map on an image that its cells tile, pixel by pixel."""
    levels = np.zeros((height, width), np.uint8)
    (rows, columns), cells = heat.shape, heat.astype(float)
    for y, x in np.ndindex(height, width):
        v = min(max((y + 0.5) / height * rows - 0.5, 0), rows - 1)
        u = min(max((x + 0.5) / width * columns - 0.5, 0), columns - 1)
        top, left = int(v), int(u)
        low, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
        above = cells[top, left] * (1 - u + left) + cells[top, right] * (u - left)
        below = cells[low, left] * (1 - u + left) + cells[low, right] * (u - left)
        levels[y, x] = round(255 * (above * (1 - v + top) + below * (v - top)))
    return levels


@pytest.mark.parametrize("threshold", [0, 0.15, 0.5, 0.93, 1])
@pytest.mark.parametrize("seed", range(6))
def test_the_box_is_that_of_a_flood_fill(seed: int, threshold: float) -> None:
    heat = np.random.default_rng(seed).random((5, 7), np.float32) ** 6
    heat /= heat.max()
    levels = levels_of(heat, (41, 53), "squash")
    expected = drawn(heat, 41, 53)
    np.testing.assert_array_equal(levels, expected)
    boxes = flooded(expected, threshold)
    found = box_of(levels, threshold)
    assert found in [box for box in boxes if box.area == boxes[0].area]


@pytest.mark.parametrize("share", [0.1, 0.4, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (2, 3), (19, 23)])
def test_the_box_of_scattered_heat_is_that_of_a_flood_fill(
    size: tuple[int, int], share: float
) -> None:
    for seed in range(40):  # with holes, islands in holes, and pixels that touch at corners
        hot = np.random.default_rng(seed).random(size) < share
        boxes = flooded((200 * hot).astype(np.uint8), 0.15)
        found = box_of((200 * hot).astype(np.uint8), 0.15)
        largest = [box for box in boxes if box.area == boxes[0].area]
        assert found == min(largest, key=lambda box: (box.top, box.left), default=None)


def test_an_island_in_a_hole_may_be_the_largest() -> None:
    levels = np.zeros((30, 40), np.uint8)
    levels[2:28, 3:37] = 90
    levels[3:27, 4:36] = 0
    levels[8:20, 9:30] = 80
    levels[10, 12] = 0
    assert box_of(levels, 0.5) == Box(9, 8, 21, 12, 21 * 12 - 1)
    levels[8:20, 9:30] = 0
    assert box_of(levels, 0.5) == Box(3, 2, 34, 26, 2 * (34 + 26) - 4)


def test_pixels_that_touch_at_a_corner_are_one_component() -> None:
    levels = np.zeros((8, 9), np.uint8)
    levels[1, 2] = levels[2, 3] = 200
    levels[6, 6:9] = 29  # below 15 % of the maximum
    levels[4, 0] = 30
    assert box_of(levels, 0.15) == Box(2, 1, 2, 2, 2)
    levels[6, 6:9] = 30
    assert box_of(levels, 0.15) == Box(6, 6, 3, 1, 3)


def test_no_heat_has_no_box() -> None:
    assert box_of(np.zeros((4, 4), np.uint8), 0) is None
    assert box_of(np.zeros((4, 4), np.uint8), 0.15) is None


def test_heat_lies_where_the_network_saw_the_image() -> None:
    heat = np.ones((7, 7), np.float32)
    cropped = box_of(levels_of(heat, (100, 300), "crop"), 0.15)
    assert cropped == Box(100, 0, 100, 100, 10_000)
    padded = np.zeros((7, 7), np.float32)
    padded[3, 3] = 1
    found = box_of(levels_of(padded, (100, 300), "pad"), 0.5)
    assert found is not None
    # A cell is 300 / 7 pixels, and half the heat is half a cell from its centre.
    assert found[:4] == pytest.approx((150 - 21.4, 50 - 21.4, 42.9, 42.9), abs=1.5)
