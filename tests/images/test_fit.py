from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcam_cli.images.fit import (
    INTERPOLATIONS,
    Cells,
    Placement,
    Span,
    peak,
    place,
    seen,
    to_network,
    to_picture,
)

Floats = NDArray[np.float64]
RESIZES = ("squash", "crop", "pad")


def sample(values: Floats, y: float, x: float) -> float:
    """Bilinear at a point given in edge coordinates; constant beyond the outer centres."""
    rows, columns = values.shape
    gy = min(max(y - 0.5, 0.0), rows - 1.0)
    gx = min(max(x - 0.5, 0.0), columns - 1.0)
    i, j = math.floor(gy), math.floor(gx)
    k, m = min(i + 1, rows - 1), min(j + 1, columns - 1)
    fy, fx = gy - i, gx - j
    upper = values[i, j] * (1 - fx) + values[i, m] * fx
    lower = values[k, j] * (1 - fx) + values[k, m] * fx
    return float(upper * (1 - fy) + lower * fy)


def naive_heat(heat: NDArray[np.float32], placement: Placement) -> tuple[Floats, NDArray[np.bool_]]:
    """Levels of every pixel, and which pixels the network saw."""
    height, width = placement.picture
    left, top, right, bottom = placement.box
    levels, seen = np.zeros((height, width)), np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            if left <= x + 0.5 <= right and top <= y + 0.5 <= bottom:
                v = (x + 0.5 - left) / (right - left) * heat.shape[1]
                u = (y + 0.5 - top) / (bottom - top) * heat.shape[0]
                levels[y, x] = 255 * sample(heat.astype(np.float64), u, v)
                seen[y, x] = True
    return levels, seen


def test_squash_takes_the_whole_picture() -> None:
    placement = place((300, 400), (224, 224), "squash")
    assert placement.box == (0, 0, 400, 300)
    assert placement.covered == (0, 0, 400, 300)
    assert placement.inner == (0, 0, 224, 224)


@pytest.mark.parametrize(
    ("picture", "network", "box"),
    [
        ((300, 400), (224, 224), (50, 0, 350, 300)),
        ((400, 300), (224, 224), (0, 50, 300, 350)),
        ((301, 400), (224, 224), (49, 0, 350, 301)),
        ((300, 400), (100, 400), (0, 100, 400, 200)),
        ((1, 5000), (224, 224), (2499, 0, 2500, 1)),
        ((5000, 1), (4, 9), (0, 2499, 1, 2500)),
        ((10, 10), (224, 224), (0, 0, 10, 10)),
    ],
)
def test_crop_is_centred(
    picture: tuple[int, int], network: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    placement = place(picture, network, "crop")
    assert placement.box == placement.covered == box
    assert placement.inner == (0, 0, network[1], network[0])


@pytest.mark.parametrize(
    ("picture", "network", "box", "inner"),
    [
        ((300, 400), (224, 224), (0, -50, 400, 350), (0, 28, 224, 196)),
        ((400, 300), (224, 224), (-50, 0, 350, 400), (28, 0, 196, 224)),
        ((224, 224), (224, 224), (0, 0, 224, 224), (0, 0, 224, 224)),
        ((10, 10), (20, 40), (-5, 0, 15, 10), (10, 0, 30, 20)),
    ],
)
def test_pad_is_centred(
    picture: tuple[int, int],
    network: tuple[int, int],
    box: tuple[float, ...],
    inner: tuple[int, ...],
) -> None:
    placement = place(picture, network, "pad")
    assert placement.box == pytest.approx(box)
    assert placement.inner == inner
    assert placement.covered == (0, 0, picture[1], picture[0])


@pytest.mark.parametrize("picture", [(30, 40), (9, 7), (1, 1), (1, 50), (50, 1), (64, 64)])
@pytest.mark.parametrize("network", [(16, 16), (7, 12), (40, 31)])
@pytest.mark.parametrize("resize", RESIZES)
def test_bilinear_input_is_the_naive_one(
    picture: tuple[int, int], network: tuple[int, int], resize: str
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*picture, 3), dtype=np.uint8)
    placement = place(picture, network, resize)
    x0, y0, x1, y1 = placement.covered
    left, top, right, bottom = placement.inner
    expected = np.zeros((*network, 3))
    part = pixels[y0:y1, x0:x1].astype(np.float64)
    for y in range(top, bottom):
        for x in range(left, right):
            for c in range(3):
                v = (x - left + 0.5) * (x1 - x0) / (right - left)
                u = (y - top + 0.5) * (y1 - y0) / (bottom - top)
                expected[y, x, c] = sample(part[:, :, c], u, v)
    fitted = to_network(pixels, placement)
    assert fitted.dtype == np.uint8
    assert np.abs(fitted - expected).max() <= 0.501


def test_padding_is_black() -> None:
    pixels = np.full((10, 20, 3), 200, np.uint8)
    fitted = to_network(pixels, place((10, 20), (8, 8), "pad"))
    assert (fitted[2:6] == 200).all()
    assert not fitted[:2].any()
    assert not fitted[6:].any()


def test_grey_is_luma() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0], pixels[1], pixels[2], pixels[3] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)
    fitted = to_network(pixels, place((4, 4), (4, 4)), 1)
    assert fitted.shape == (4, 4, 1)
    assert fitted[:, 0, 0].tolist() == [76, 150, 29, 9]
    padded = to_network(pixels, place((4, 4), (4, 8), "pad"), 1)
    assert padded[:, :, 0].tolist()[0] == [0, 0, 76, 76, 76, 76, 0, 0]


@pytest.mark.parametrize("name", list(INTERPOLATIONS))
def test_every_interpolation_keeps_a_flat_picture_and_its_place(name: str) -> None:
    pixels = np.full((30, 50, 3), (10, 20, 30), np.uint8)
    placement = place((30, 50), (16, 16))
    assert (to_network(pixels, placement, 3, name) == (10, 20, 30)).all()
    # A symmetric picture stays symmetric: no half-pixel shift.
    half = np.random.default_rng(2).integers(0, 256, (30, 24, 3), dtype=np.uint8)
    middle = np.zeros((30, 1, 3), np.uint8)
    mirrored = np.concatenate([half, middle, half[:, ::-1]], axis=1)
    fitted = to_network(mirrored, place((30, 49), (15, 15)), 3, name).astype(int)
    assert np.abs(fitted - fitted[:, ::-1]).max() <= 1


def test_nearest_takes_the_pixel_under_the_centre() -> None:
    pixels = np.arange(9, dtype=np.uint8).repeat(3).reshape(1, 9, 3)
    fitted = to_network(pixels, place((1, 9), (1, 3)), 3, "nearest")
    assert fitted[0, :, 0].tolist() == [1, 4, 7]


def test_area_is_the_mean_of_blocks() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    fitted = to_network(pixels, place((12, 20), (3, 5)), 3, "area")
    means = pixels.reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))
    assert np.abs(fitted - means).max() <= 0.501


@given(
    picture=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    network=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    grid=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    resize=st.sampled_from(RESIZES),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_heat_is_the_naive_one(
    picture: tuple[int, int],
    network: tuple[int, int],
    grid: tuple[int, int],
    resize: str,
    seed: int,
) -> None:
    heat = np.random.default_rng(seed).random(grid, dtype=np.float32)
    placement = place(picture, network, resize)
    levels = to_picture(heat, placement)
    expected, seen = naive_heat(heat, placement)
    left, top, right, bottom = placement.covered
    assert levels.shape == picture
    assert seen[top:bottom, left:right].all()
    assert seen.sum() == (right - left) * (bottom - top)
    assert np.abs(levels - expected).max() <= 0.501


@given(
    picture=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    network=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    resize=st.sampled_from(RESIZES),
)
@settings(deadline=None)
def test_placements_are_sound(
    picture: tuple[int, int], network: tuple[int, int], resize: str
) -> None:
    placement = place(picture, network, resize)
    x0, y0, x1, y1 = placement.covered
    assert 0 <= x0 < x1 <= picture[1]
    assert 0 <= y0 < y1 <= picture[0]
    left, top, right, bottom = placement.inner
    assert 0 <= left < right <= network[1]
    assert 0 <= top < bottom <= network[0]
    if resize == "pad":
        assert (x0, y0, x1, y1) == (0, 0, picture[1], picture[0])
        assert abs(left - (network[1] - right)) <= 1
        assert abs(top - (network[0] - bottom)) <= 1
    else:
        assert placement.inner == (0, 0, network[1], network[0])


@given(data=st.data(), resize=st.sampled_from(RESIZES))
@settings(max_examples=80, deadline=None)
def test_heat_lands_where_the_network_looked(data: st.DataObject, resize: str) -> None:
    """A bright spot goes through to the network; its place there comes back to the spot."""
    picture = data.draw(st.tuples(st.integers(60, 900), st.integers(60, 900)))
    side = data.draw(st.integers(24, 64))
    placement = place(picture, (side, side), resize)
    x0, y0, x1, y1 = placement.covered
    cell = max(placement.box[2] - placement.box[0], placement.box[3] - placement.box[1]) / side
    radius = int(2 * cell) + 2
    if x1 - x0 < 3 * radius or y1 - y0 < 3 * radius:
        radius = max(2, min(x1 - x0, y1 - y0) // 4)
    x = data.draw(st.integers(x0 + radius, x1 - radius - 1))
    y = data.draw(st.integers(y0 + radius, y1 - radius - 1))
    rows, columns = np.ogrid[: picture[0], : picture[1]]
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (radius / 2) ** 2)) * 255
    pixels = np.repeat(spot.astype(np.uint8)[:, :, np.newaxis], 3, axis=2)
    square = to_network(pixels, placement, 1)[:, :, 0].astype(np.float32)
    heat = (square == square.max()).astype(np.float32)
    levels = to_picture(heat, placement)
    found = np.argwhere(levels == levels.max()).mean(axis=0)
    assert abs(found[0] - y) <= cell + 1
    assert abs(found[1] - x) <= cell + 1
    px, py = peak(square, placement)
    assert abs(px - x) <= cell + 1
    assert abs(py - y) <= cell + 1


def test_cropped_pixels_have_no_heat() -> None:
    levels = to_picture(np.ones((7, 7), np.float32), place((10, 30), (224, 224), "crop"))
    assert (levels[:, 10:20] == 255).all()
    assert not levels[:, :10].any()
    assert not levels[:, 20:].any()


def test_a_corner_cell_heats_its_corner() -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[0, 6] = 1
    levels = to_picture(heat, place((700, 1400), (224, 224)))
    assert (levels[:50, 1300:] == 255).all()
    assert not levels[150:].any()
    assert peak(heat, place((700, 1400), (224, 224))) == (1300, 50)


def test_peak_ignores_padding_while_there_is_picture() -> None:
    placement = place((10, 40), (8, 8), "pad")  # the picture is rows 3 and 4 of 8
    heat = np.zeros((8, 8), np.float32)
    heat[0, 0], heat[3, 6] = 1.0, 0.5
    assert peak(heat, placement) == (32, 2)
    assert peak(np.arange(2, dtype=np.float32).reshape(1, 2), place((1, 40), (8, 8), "pad")) == (
        30,
        0,
    )
    assert peak(np.ones((2, 2), np.float32), place((1, 40), (8, 8), "pad")) == (10, 0)


def test_heat_of_a_large_picture_is_opencvs() -> None:
    heat = np.random.default_rng(6).random((14, 14), dtype=np.float32)
    levels = to_picture(heat, place((1203, 1601), (224, 224)))
    expected = cv2.resize(heat * 255, (1601, 1203), interpolation=cv2.INTER_LINEAR)
    assert np.abs(levels - expected).max() <= 0.51


def spans() -> st.SearchStrategy[Span]:
    """Cells of an input of 40 pixels, some beyond it, some turned round."""
    return st.tuples(
        st.floats(-8, 30),
        st.sampled_from([-6.0, -1.5, 0.7, 4.0]),
        st.floats(0, 18),
        st.floats(22, 40),
    ).map(lambda values: Span(*values))


@given(
    picture=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    grid=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    cells=st.tuples(spans(), spans()),
    resize=st.sampled_from(RESIZES),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_heat_lies_where_the_cells_are(
    picture: tuple[int, int],
    grid: tuple[int, int],
    cells: tuple[Span, Span],
    resize: str,
    seed: int,
) -> None:
    heat = np.random.default_rng(seed).random(grid, dtype=np.float32)
    placement = place(picture, (40, 40), resize)
    levels = to_picture(heat, placement, Cells(*cells))
    left, top, right, bottom = placement.box
    hottest = -1.0
    for y in range(picture[0]):
        for x in range(picture[1]):
            down = (y + 0.5 - top) / (bottom - top) * 40
            across = (x + 0.5 - left) / (right - left) * 40
            edges = (*cells[0][2:], *cells[1][2:], 0, 40)
            points = (down, down, across, across)
            if any(abs(p - edge) < 1e-3 for p in points for edge in edges):
                continue  # on the edge of what is seen, rounding decides
            inside = 0 < down < 40 and 0 < across < 40
            sees = cells[0].low < down < cells[0].high and cells[1].low < across < cells[1].high
            value = 0.0
            if inside and sees:
                u = (down - cells[0].first) / cells[0].step + 0.5
                v = (across - cells[1].first) / cells[1].step + 0.5
                value = 255 * sample(heat.astype(np.float64), u, v)
                hottest = max(hottest, value)
            assert abs(levels[y, x] - value) <= 0.51
    x, y = peak(heat, placement, Cells(*cells))
    x0, y0, x1, y1 = seen(placement, Cells(*cells))
    if x0 < x1 and y0 < y1:
        assert x0 <= x < x1
        assert y0 <= y < y1


def test_the_peak_is_the_hottest_centre_that_is_drawn() -> None:
    """Also of a cell whose centre lies beyond what the network was given."""
    heat = np.array([[0.2, 0.3, 0.2], [0.2, 0.2, 0.2], [0.9, 1.0, 0.4]], np.float32)
    cells = Cells(Span(-6.0, 20.0, 0.0, 40.0), Span(40.0, 20.0, 28.0, 92.0))
    placement = place((80, 200), (40, 100))
    levels = to_picture(heat, placement, cells)
    x, y = peak(heat, placement, cells)
    assert (x, y) == (120, 68)
    assert levels.max() - levels[y, x] <= 2  # pixels next to a cell's centre are as near to it
    assert seen(placement, cells) == (56, 0, 184, 80)
    assert not levels[:, :56].any()
    assert not levels[:, 184:].any()
    first = np.array([[1.0, 0.0, 0.0]] + [[0.0, 0.0, 0.0]] * 2, np.float32)
    assert peak(first, placement, cells) == (80, 0)


def test_cells_that_see_nothing_of_the_picture_give_no_heat() -> None:
    placement = place((10, 40), (40, 40), "pad")  # the picture is rows 15 to 25
    cells = Cells(Span(2.0, 4.0, 0.0, 8.0), Span(5.0, 10.0, 0.0, 40.0))
    assert not to_picture(np.ones((2, 4), np.float32), placement, cells).any()
    x, y = peak(np.ones((2, 4), np.float32), placement, cells)
    assert 0 <= x < 40
    assert 0 <= y < 10
