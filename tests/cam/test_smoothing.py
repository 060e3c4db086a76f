from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcam_cli.cam.smoothing import Variation, noisy, smoothed, variations
from gradcam_cli.errors import GradcamError
from gradcam_cli.explainer import traced
from gradcam_cli.images.fit import Cells, Span
from gradcam_cli.network.places import Place, whole, window
from gradcam_cli.spec.explain import ExplainSpec
from tests.tiny import load_tiny, noise

Floats = NDArray[np.float64]
ALL = variations(("flips", "scales"))
IDS = [each.name for each in ALL]
FLIP = variations(("flips",))[1]


def original(factor: float, length: float, varied: Any) -> Any:
    """Where in the original lies what an axis of the varied image shows at a place."""
    return length / 2 + (varied - length / 2) / factor


def folded(place: float, length: int) -> float:
    """A place beyond the edges, mirrored into the image."""
    place = abs(place)
    return 2 * length - place if place > length else place


def between(values: Floats, y: float, x: float) -> float:
    """The pixels of an image, bilinear at a place; the mirrored ones go on beyond the edges."""
    rows, columns = values.shape
    total = 0.0
    for i in range(math.floor(y - 0.5), math.floor(y - 0.5) + 2):
        for j in range(math.floor(x - 0.5), math.floor(x - 0.5) + 2):
            weight = max(0.0, 1 - abs(y - 0.5 - i)) * max(0.0, 1 - abs(x - 0.5 - j))
            row, column = folded(i + 0.5, rows) - 0.5, folded(j + 0.5, columns) - 0.5
            if weight:
                total += weight * values[round(row), round(column)]
    return total


def span(first: float, step: float, count: int, size: float) -> Span:
    """Cells that see half a step to either side, and nothing outside of the input."""
    ends = (first, first + step * (count - 1))
    half = abs(step) / 2
    return Span(first, step, max(0.0, min(ends) - half), min(size, max(ends) + half))


def at(grid: Span, count: int) -> Floats:
    return np.array([grid.first + grid.step * each for each in range(count)])


def interpolated(values: Any, grid: Span, place: float) -> float:
    """Linear between the centres of an axis, by NumPy's own interpolation, constant beyond."""
    centres = at(grid, len(values))
    order = np.argsort(centres)
    return float(np.interp(place, centres[order], values[order]))


# ---------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("variation", ALL, ids=IDS)
@pytest.mark.parametrize("shape", [(9, 14, 3), (16, 7, 1), (1, 1, 3), (2, 1, 1)])
def test_pixels_equal_loops(variation: Variation, shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, *shape), np.uint8)
    before = pixels.copy()
    found = variation.apply(pixels)
    assert found.dtype == np.uint8
    assert found.shape == pixels.shape
    np.testing.assert_array_equal(pixels, before)
    for n, i, j, c in np.ndindex(pixels.shape):
        y = original(variation.rows, shape[0], i + 0.5)
        x = original(variation.columns, shape[1], j + 0.5)
        exact = between(pixels[n, :, :, c].astype(np.float64), y, x)
        assert abs(found[n, i, j, c] - exact) <= 1.0  # rounded along one axis, then the other


def test_what_the_variations_are() -> None:
    assert variations(()) == (Variation("original", 1, 1),)
    assert [(each.rows, each.columns) for each in variations({"flips"})] == [(1, 1), (1, -1)]
    assert [each.name for each in variations(("scales",))] == ["original", "scale 0.9", "scale 1.1"]
    assert variations(("scales", "flips")) == ALL
    assert [(each.rows, each.columns) for each in ALL] == [
        (1, 1), (1, -1), (0.9, 0.9), (0.9, -0.9), (1.1, 1.1), (1.1, -1.1),
    ]  # fmt: skip
    assert len(set(IDS)) == len(ALL)


@pytest.mark.parametrize(("name", "hint"), [("flip", "flips?"), ("x", "flips and scales")])
def test_other_variations_are_refused(name: str, hint: str) -> None:
    with pytest.raises(GradcamError, match=f"unknown smoothing '{name}'") as caught:
        variations(("flips", name))
    assert hint in caught.value.hint


def test_a_flip_is_the_mirror_image_to_the_bit() -> None:
    pixels = np.stack([noise(1), noise(2)])
    np.testing.assert_array_equal(FLIP.apply(pixels), pixels[:, :, ::-1])
    np.testing.assert_array_equal(FLIP.apply(FLIP.apply(pixels)), pixels)
    np.testing.assert_array_equal(ALL[0].apply(pixels), pixels)


def test_a_zoom_out_goes_on_in_the_mirror() -> None:
    row = np.array([10, 20, 30, 40, 50, 60, 70, 80, 90, 100], np.uint8)
    pixels = np.broadcast_to(row[:, np.newaxis], (1, 1, 10, 1))
    found = Variation("half", 1, 0.5).apply(pixels)[0, 0, :, 0]
    # the varied image shows -5..15 in steps of 2: at -4, -2, 0 the means of two mirrored pixels
    np.testing.assert_array_equal(found, [45, 25, 10, 25, 45, 65, 85, 100, 85, 65])


# ------------------------------------------------------------------------------------------ maps

Axis = tuple[int, float, float, int]
grids = st.tuples(
    st.integers(1, 9),
    st.floats(-3, 3),
    st.sampled_from([1.0, -1.0]),
    st.integers(0, 2),
)


def made(count: int, off: float, side: float, cropped: int, size: int) -> Span:
    """Cells that are off the middle, run either way and leave out a part of the input."""
    step = side * (size - 10 * cropped) / count
    return span(size / 2 + off - step * (count - 1) / 2, step, count, size)


@settings(deadline=None, max_examples=30)
@given(grids, grids, st.sampled_from(ALL), st.integers(0, 99))
def test_maps_equal_loops(down: Axis, across: Axis, variation: Variation, seed: int) -> None:
    size = (60, 84)
    cells = Cells(made(*down, size[0]), made(*across, size[1]))
    maps = np.random.default_rng(seed).normal(size=(2, 3, down[0], across[0])).astype(np.float32)
    found, seen = variation.back(maps, size, cells)
    assert found.dtype == np.float32
    for i, y in enumerate(at(cells.rows, down[0])):
        for j, x in enumerate(at(cells.columns, across[0])):
            there = size[0] / 2 + variation.rows * (y - size[0] / 2)
            where = size[1] / 2 + variation.columns * (x - size[1] / 2)
            for one, result in zip(
                maps.reshape(-1, *maps.shape[2:]), found.reshape(-1, *maps.shape[2:]), strict=True
            ):
                column = [interpolated(row.astype(np.float64), cells.columns, where) for row in one]
                exact = interpolated(np.array(column), cells.rows, there)
                np.testing.assert_allclose(result[i, j], exact, rtol=1e-5, atol=1e-6)
            edges = [there - cells.rows.low, cells.rows.high - there]
            edges += [where - cells.columns.low, cells.columns.high - where]
            if min(map(abs, edges)) > 1e-3:
                assert seen[i, j] == (min(edges) > 0)


@settings(deadline=None, max_examples=60)
@given(grids, grids, st.sampled_from(ALL))
def test_a_linear_scene_comes_back_as_it_is(down: Axis, across: Axis, variation: Variation) -> None:
    size = (60, 84)
    cells = Cells(made(*down, size[0]), made(*across, size[1]))
    rows, columns = at(cells.rows, down[0]), at(cells.columns, across[0])

    def scene(y: Any, x: Any) -> Any:
        return 3 + 0.25 * y - 0.125 * x

    shown = [
        [
            scene(original(variation.rows, size[0], y), original(variation.columns, size[1], x))
            for x in columns
        ]
        for y in rows
    ]
    found, _ = variation.back(np.array(shown), size, cells)
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            there = size[0] / 2 + variation.rows * (y - size[0] / 2)
            where = size[1] / 2 + variation.columns * (x - size[1] / 2)
            if rows.min() <= there <= rows.max() and columns.min() <= where <= columns.max():
                np.testing.assert_allclose(found[i, j], scene(y, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [224, 299, 331, 97, 31])
@pytest.mark.parametrize("count", [1, 7, 10, 14, 19, 28])
def test_a_map_mirrored_twice_is_itself_to_the_bit(size: int, count: int) -> None:
    # beside such neighbours a zero shows the least part of a cell that one is off
    some = np.random.default_rng(3).random((2, count, count)) < 0.5
    maps = np.where(some, np.float32(1e30), np.float32(0))
    once, seen = FLIP.back(maps, (size, size))
    np.testing.assert_array_equal(once, maps[:, :, ::-1])
    np.testing.assert_array_equal(FLIP.back(once, (size, size))[0], maps)
    assert seen.all()
    np.testing.assert_array_equal(ALL[0].back(maps, (size, size))[0], maps)


def test_cells_that_lie_to_one_side_come_back_half_a_cell_apart() -> None:
    # pools of 2 over 15 pixels leave out the last one: centres 1, 3, .. 13, seen 0..14
    place = window(whole(15), 15, 7, kernel=2, stride=2, before=0)
    cells = Cells(Span(0.5, 1, 0, 1), Span(place.first, place.step, place.low, place.high))
    assert cells.columns == (1, 2, 0, 14)
    found, seen = FLIP.back(np.arange(7.0)[np.newaxis], (1, 15), cells)
    # the centre 3 shows at 12, half way from the cell at 11 to that at 13; 1 at 14, beyond the last
    np.testing.assert_array_equal(found, [[6, 5.5, 4.5, 3.5, 2.5, 1.5, 0.5]])
    assert seen.all()


def same(size: int) -> Place:
    """Kernel 3, stride 2, "same" over an odd number of pixels: a pixel of padding at both ends."""
    return window(whole(size), size, (size + 1) // 2, kernel=3, stride=2, before=1)


@pytest.mark.parametrize("variation", ALL, ids=IDS)
@pytest.mark.parametrize(
    ("place", "size", "count", "first", "step"),
    [
        (same(17), 17, 9, 0.5, 2),
        (window(same(33), 17, 8, kernel=2, stride=2, before=0), 33, 8, 1.5, 4),
        (window(whole(64), 64, 15, kernel=5, stride=4, before=0), 64, 15, 2.5, 4),
    ],
)
def test_strided_and_padded_cells_come_back_on_their_places(
    place: Place, size: int, count: int, first: float, step: float, variation: Variation
) -> None:
    assert (place.first, place.step) == (first, step)
    cells = Cells(*[Span(place.first, place.step, place.low, place.high)] * 2)
    rows = first + step * np.arange(count)
    inside = {}
    for factor in (variation.rows, variation.columns):
        there = size / 2 + factor * (rows - size / 2)
        inside[factor] = (there >= rows.min()) & (there <= rows.max())
        assert inside[factor].sum() >= 2
    shown = 10 * original(variation.rows, size, rows)[:, np.newaxis]
    shown = shown + original(variation.columns, size, rows)
    found, _ = variation.back(shown, (size, size), cells)
    part = np.ix_(inside[variation.rows], inside[variation.columns])
    np.testing.assert_allclose(found[part], (10 * rows[:, np.newaxis] + rows)[part], rtol=1e-6)


def test_a_zoom_in_does_not_show_the_rim() -> None:
    maps = np.ones((20, 4), np.float32)  # cells of 5 and 25 pixels
    _, seen = ALL[4].back(maps, (100, 100))
    # the centre 2.5 shows at 50 - 1.1 * 47.5 = -2.25, 7.5 at 3.25; 12.5 at 8.75
    expected = np.ones((20, 4), bool)
    expected[[0, -1]] = False
    np.testing.assert_array_equal(seen, expected)
    for variation in (*ALL[:4], FLIP):
        assert variation.back(maps, (100, 100))[1].all()


# ------------------------------------------------------------------------------------ the network


def tile_means(pixels: NDArray[np.uint8], cell: int) -> Floats:
    """A network whose map is the mean brightness of every tile."""
    n, h, w, c = pixels.shape
    tiles = pixels.reshape(n, h // cell, cell, w // cell, cell, c).astype(np.float64)
    return np.asarray(tiles.mean(axis=(2, 4, 5)))


@pytest.mark.parametrize("variation", ALL, ids=IDS)
def test_a_bright_spot_stays_where_it_is(variation: Variation) -> None:
    y, x = np.mgrid[0:96, 0:128]
    spot = 255 * np.exp(-(((y - 40) / 20) ** 2) - ((x - 76) / 20) ** 2)
    pixels = np.repeat(np.rint(spot).astype(np.uint8)[np.newaxis, :, :, np.newaxis], 3, axis=3)
    there = tile_means(pixels, 8)[0]
    found, seen = variation.back(tile_means(variation.apply(pixels), 8), (96, 128))
    places = np.mgrid[0:12, 0:16] * 8 + 4
    for place in places:
        back, truth = (np.average(place, weights=heat * seen) for heat in (found[0], there))
        assert abs(back - truth) < 0.3  # cells are 8 pixels apart
    assert np.abs((found[0] - there) * seen).max() < 0.1 * there.max()


def test_a_symmetric_network_says_the_same_of_the_mirror_image(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    layers = keras.layers
    pixels = keras.Input((33, 37, 3))
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Conv2D(5, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pixels, layers.Dense(3, activation="softmax")(x))
    model.set_weights(
        [w + w[:, ::-1] if w.ndim == 4 else w for w in model.get_weights()]  # across alone
    )
    model.save(tmp_path / "m.keras")
    explainer = traced(
        load_tiny(tmp_path / "m.keras"), ExplainSpec(classes=("1",), layers=("last",)), 2
    )
    images = np.stack([noise(1, 33, 37), noise(2, 33, 37)])
    cells = explainer.facts.layers[0].cells
    assert cells is not None
    there = np.stack([answer.maps[0].raw for answer in explainer(images)])
    varied = np.stack([answer.maps[0].raw for answer in explainer(FLIP.apply(images))])
    assert np.abs(varied - there).max() > 1e-2 * np.abs(there).max()
    found, seen = FLIP.back(varied, (33, 37), cells)
    assert seen.all()
    np.testing.assert_allclose(found, there, atol=1e-5 * np.abs(there).max())


# --------------------------------------------------------------------------------------- the mean


def test_a_cell_is_the_mean_over_those_that_show_it() -> None:
    maps = [np.array([[[1, 2], [3, -4]]]), np.array([[[3, np.nan], [6, 8]]], np.float32)]
    seen = [np.ones((2, 2), bool), np.array([[True, False], [True, True]])]
    found = smoothed(maps, seen)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[[2, 2], [4.5, 2]]])
    np.testing.assert_array_equal(smoothed(maps[:1], seen[:1]), maps[0])
    unseen = smoothed([maps[0]], [np.zeros((2, 2), bool)])
    np.testing.assert_array_equal(unseen, np.zeros((1, 2, 2)))


def test_what_is_not_finite_stays_so_where_it_is_shown() -> None:
    broken = np.ones((7, 7), np.float32)
    broken[3, 3], broken[2, 5] = np.inf, np.nan
    back = [each.back(broken, (224, 224)) for each in ALL]
    found = smoothed([each for each, _ in back], [seen for _, seen in back])
    assert not np.isfinite(found[[3, 2], [3, 5]]).any()
    assert np.isfinite(found[0]).all()


def test_the_mean_is_exact_to_float32() -> None:
    rng = np.random.default_rng(4)
    maps = list(rng.normal(size=(6, 2, 5, 5)).astype(np.float32) * np.float32(1e30))
    seen = list(rng.random((6, 5, 5)) < 0.7)
    found = smoothed(maps, seen)
    for n, i, j in np.ndindex(found.shape):
        shown = [float(each[n, i, j]) for each, some in zip(maps, seen, strict=True) if some[i, j]]
        exact = math.fsum(shown) / len(shown) if shown else 0.0
        np.testing.assert_allclose(found[n, i, j], exact, rtol=1e-6)


# -------------------------------------------------------------------------------------- the noise


def philox(key: tuple[int, int], counter: int) -> list[int]:
    """Salmon et al. 2011, Philox 4x64-10: four numbers of 64 bits."""
    mask = (1 << 64) - 1
    k, x = list(key), [counter, 0, 0, 0]
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
        x = [(b >> 64) ^ x[1] ^ k[0], b & mask, (a >> 64) ^ x[3] ^ k[1], a & mask]
        k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
    return x


def test_philox_is_the_published_one() -> None:
    assert philox((0, 0), 0) == [  # the authors' known answer
        0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B,
    ]  # fmt: skip


@pytest.mark.parametrize(("seed", "sample"), [(0, 0), (7, 3), (2**63, 1)])
def test_noise_is_philox_and_the_normal_distribution(seed: int, sample: int) -> None:
    pixels = np.stack([noise(1, 3, 5), noise(2, 3, 5)])
    numbers = [each for block in range(1, 4) for each in philox((seed, sample), block)]
    levels = [each >> shift & 0xFFFF for each in numbers for shift in (0, 16, 32, 48)]
    quantiles = [NormalDist(0, 255 * 0.1).inv_cdf((each + 0.5) / 65536) for each in levels[:45]]
    found = noisy(pixels, sample, 0.1, seed)
    assert found.dtype == np.float32
    expected = pixels + np.array(quantiles).reshape(3, 5, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4)


def test_an_image_gets_the_same_noise_in_every_batch() -> None:
    pixels = np.stack([noise(1), noise(2), noise(3)])
    together = noisy(pixels, 2, 0.15, 9)
    for n in range(3):
        np.testing.assert_array_equal(noisy(pixels[n : n + 1], 2, 0.15, 9)[0], together[n])
    assert np.abs(noisy(pixels, 3, 0.15, 9) - together).mean() > 20
    assert np.abs(noisy(pixels, 2, 0.15, 8) - together).mean() > 20
    np.testing.assert_array_equal(noisy(pixels, 2, 0.0, 9), pixels)


def test_noise_is_gaussian_and_not_clipped() -> None:
    black = np.zeros((1, 224, 224, 3), np.uint8)
    values = np.stack([noisy(black, sample, 0.2, 0) / (255 * 0.2) for sample in range(3)])
    assert abs(values.mean()) < 0.005
    assert abs(values.std() - 1) < 0.005
    assert abs((values**4).mean() - 3) < 0.05
    assert -4.4 < values.min() < -4 < 4 < values.max() < 4.4
    correlations = np.corrcoef(values.reshape(3, -1))
    assert np.abs(correlations - np.eye(3)).max() < 0.01
