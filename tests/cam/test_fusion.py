from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcam_cli.cam.fusion import FUSIONS, Grid, check_fusion, finest, fused
from gradcam_cli.cam.maps import normalised, why_empty
from gradcam_cli.errors import GradcamError
from gradcam_cli.images.fit import Cells, Span

SIZE = (60, 84)
Map = NDArray[np.float32]


def grid(layer: str, shape: tuple[int, int], off: float = 0.0, cut: float = 0.0) -> Grid:
    """Cells spread over the input less a rim, a part of a cell off."""
    spans = []
    for count, size in zip(shape, SIZE, strict=True):
        step = (size - 2 * cut) / count
        first = cut + step / 2 + off * step
        low, high = max(0.0, cut + off * step), min(size, size - cut + off * step)
        spans.append(Span(first, step, low, high))
    return Grid(layer, shape, Cells(*spans))


def several(seed: int, *shapes: tuple[int, int]) -> list[Map]:
    rng = np.random.default_rng(seed)
    return [(10**n * rng.normal(size=shape)).astype(np.float32) for n, shape in enumerate(shapes)]


def fuse(maps: list[Map], grids: list[Grid], how: str) -> tuple[Map, str]:
    reasons = [why_empty(each, no_gradient=False) for each in maps]
    return fused(maps, reasons, grids, SIZE, how)


# ------------------------------------------------------------------------------------ by hand

ONE = np.array([[4, -8], [2, 1]], np.float32)
TWO = np.array([[0, 6], [1.5, 3]], np.float32)  # scaled: 1 0 .5 .25 and 0 1 .25 .5
SAME = [Grid("a", (2, 2), None), Grid("b", (2, 2), None)]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[0.5, 0.5], [0.375, 0.375]]),
        ("max", [[1, 1], [0.5, 0.5]]),
        ("product", [[0, 0], [0.125, 0.125]]),
    ],
)
def test_fused_by_hand(how: str, expected: list[list[float]]) -> None:
    before = ONE.copy(), TWO.copy()
    raw, reason = fuse([ONE, TWO], SAME, how)
    assert (raw.dtype, reason) == (np.dtype(np.float32), "")
    np.testing.assert_array_equal(raw, expected)
    np.testing.assert_array_equal(np.stack([ONE, TWO]), np.stack(before))


def test_a_coarse_map_lies_between_the_cells_of_a_fine_one() -> None:
    # over 84 pixels: centres 10.5, 31.5, .. and 21, 63; a quarter and three quarters between them
    grids = [Grid("deep", (1, 2), None), Grid("shallow", (1, 4), None)]
    maps = [np.array([[0, 8]], np.float32), np.array([[1, 0, 0, 0]], np.float32)]
    raw, _ = fuse(maps, grids, "max")
    np.testing.assert_allclose(raw, [[1, 0.25, 0.75, 1]], rtol=1e-6)
    raw, _ = fuse(maps, grids, "mean")
    np.testing.assert_allclose(raw, [[0.5, 0.125, 0.375, 0.5]], rtol=1e-6)
    assert finest(grids).layer == "shallow"


# ------------------------------------------------------------------------------------ by loops


def looped(maps: list[Map], grids: list[Grid], how: str) -> tuple[Any, Any]:
    """The fused map, cell by cell in plain floats, and which cells lie away from every edge."""
    base = max(grids, key=lambda each: each.shape[0] * each.shape[1])
    result, clear = np.zeros(base.shape), np.ones(base.shape, bool)
    assert base.cells is not None
    for i, j in np.ndindex(base.shape):
        y = base.cells.rows.first + i * base.cells.rows.step
        x = base.cells.columns.first + j * base.cells.columns.step
        found = []
        for each, there in zip(maps, grids, strict=True):
            assert there.cells is not None
            rows, columns = there.cells
            edges = (y - rows.low, rows.high - y, x - columns.low, columns.high - x)
            clear[i, j] &= min(map(abs, edges)) > 1e-3
            if min(edges) < 0:
                continue
            heat = [[max(0.0, float(value)) for value in row] for row in each]
            most = max(map(max, heat))
            xs = [columns.first + n * columns.step for n in range(there.shape[1])]
            ys = [rows.first + n * rows.step for n in range(there.shape[0])]
            column = [float(np.interp(x, xs, row)) for row in heat]
            found.append(float(np.interp(y, ys, column)) / most if most else 0.0)
        result[i, j] = max(found, default=0) if how == "max" else sum(found) / max(1, len(found))
        if how == "product":
            result[i, j] = np.prod(found)
    return result, clear


sides = st.integers(1, 8)
places = st.tuples(sides, sides, st.floats(-0.4, 0.4), st.sampled_from([0.0, 7.0]))


@settings(deadline=None, max_examples=80)
@given(
    st.lists(places, min_size=1, max_size=3), st.integers(0, 99), st.sampled_from(["mean", "max"])
)
def test_any_grids_equal_loops(
    drawn: list[tuple[int, int, float, float]], seed: int, largest: bool
) -> None:
    how = "max" if largest else "mean"
    grids = [grid(f"l{n}", (u, v), off, cut) for n, (u, v, off, cut) in enumerate(drawn)]
    maps = several(seed, *(each.shape for each in grids))
    raw, _ = fuse(maps, grids, how)
    expected, clear = looped(maps, grids, how)
    np.testing.assert_allclose(raw[clear], expected[clear], atol=1e-6)


@pytest.mark.parametrize("how", FUSIONS)
def test_one_grid_equals_loops(how: str) -> None:
    grids = [grid(name, (5, 7)) for name in "abc"]
    maps = [np.abs(each) for each in several(3, *[(5, 7)] * 3)]
    expected, _ = looped(maps, grids, how)
    np.testing.assert_allclose(fuse(maps, grids, how)[0], expected, rtol=1e-5)


# --------------------------------------------------------------------------------- identities


@pytest.mark.parametrize("how", FUSIONS)
def test_one_layer_is_its_scaled_map(how: str) -> None:
    (raw,) = several(1, (4, 6))
    np.testing.assert_array_equal(fuse([raw], [grid("a", (4, 6))], how)[0], normalised(raw))


@pytest.mark.parametrize("how", FUSIONS)
def test_order_and_size_of_numbers_change_nothing(how: str) -> None:
    grids = [grid(name, (4, 6)) for name in "abc"]
    maps = several(2, *[(4, 6)] * 3)
    there, _ = fuse(maps, grids, how)
    np.testing.assert_allclose(fuse(maps[::-1], grids[::-1], how)[0], there, rtol=1e-6)
    scaled = [
        each * np.float32(2.0**factor) for each, factor in zip(maps, (90, -80, 3), strict=True)
    ]
    np.testing.assert_array_equal(fuse(scaled, grids, how)[0], there)


def test_the_maximum_is_layercams_behind_one_curve() -> None:
    grids = [grid(name, (4, 6)) for name in "ab"]
    maps = several(4, (4, 6), (4, 6))
    paper = np.maximum(*(np.tanh(2 * np.maximum(each, 0) / each.max()) for each in maps))
    np.testing.assert_allclose(np.tanh(2 * fuse(maps, grids, "max")[0]), paper, rtol=1e-6)


def test_a_grid_of_unknown_place_is_spread_evenly() -> None:
    maps = several(5, (3, 4), (6, 7))
    known = [grid("a", (3, 4)), grid("b", (6, 7))]
    there, _ = fuse(maps, known, "mean")
    for cells in ([None, known[1].cells], [known[0].cells, None], [None, None]):
        unknown = [Grid(g.layer, g.shape, c) for g, c in zip(known, cells, strict=True)]
        np.testing.assert_allclose(fuse(maps, unknown, "mean")[0], there, atol=1e-6)


def test_of_equal_grids_the_first_is_the_finest() -> None:
    grids = [grid("a", (2, 2)), grid("b", (3, 8)), grid("c", (6, 4))]
    assert finest(grids) is grids[1]
    assert fuse(several(6, *(each.shape for each in grids)), grids, "max")[0].shape == (3, 8)


def test_layers_count_where_they_see_the_image() -> None:
    grids = [grid("rim cut off", (2, 2), cut=7), grid("all", (20, 28))]
    maps = [np.ones((2, 2), np.float32), np.ones((20, 28), np.float32)]
    maps[1][0, 0] = 4
    raw, _ = fuse(maps, grids, "mean")
    np.testing.assert_allclose(raw[0, 1:], 0.25)  # the rim: the fine layer alone
    np.testing.assert_allclose(raw[3:-3, 3:-3], 0.625)
    np.testing.assert_allclose(fuse(maps, grids, "max")[0][3:-3, 3:-3], 1)


# -------------------------------------------------------------------------------- empty maps

NEGATIVE, ZERO = -np.abs(ONE), np.zeros((2, 2), np.float32)


def test_an_empty_map_dims_a_mean_and_is_no_part_of_a_maximum() -> None:
    for empty in (NEGATIVE, ZERO):
        np.testing.assert_array_equal(fuse([ONE, empty], SAME, "mean")[0], normalised(ONE) / 2)
        assert fuse([ONE, empty], SAME, "mean")[1] == ""
        np.testing.assert_array_equal(fuse([empty, ONE], SAME, "max")[0], normalised(ONE))


def test_an_empty_map_empties_a_product() -> None:
    assert fuse([ONE, NEGATIVE], SAME, "product")[1] == "all negative"
    assert fuse([ZERO, ONE], SAME, "product")[1] == "zero everywhere"
    np.testing.assert_array_equal(fuse([ONE, NEGATIVE], SAME, "product")[0], ZERO)


@pytest.mark.parametrize("how", FUSIONS)
def test_empty_maps_alone_leave_an_empty_one(how: str) -> None:
    raw, reason = fuse([NEGATIVE, ZERO], SAME, how)
    assert reason == "all negative"
    np.testing.assert_array_equal(raw, ZERO)


def test_a_product_of_what_has_nothing_in_common_is_empty() -> None:
    apart = [np.array([[1, 0], [0, 0]], np.float32), np.array([[0, 1], [1, 0]], np.float32)]
    assert fuse(apart, SAME, "product")[1] == "no overlap"
    assert fuse(apart, SAME, "max")[1] == ""


@pytest.mark.parametrize("how", FUSIONS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_is_not_hidden(how: str, value: float) -> None:
    broken = ONE.copy()
    broken[0, 1] = value
    raw, reason = fuse([TWO, broken], SAME, how)
    assert reason == "not finite"
    assert not np.isfinite(raw).any()


# --------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (grid("conv3", (14, 14)), "conv3 has 14 x 14 cells"),
        (grid("conv3", (7, 7), off=0.6), "conv3 has 7 x 7 cells elsewhere in the image"),
        (grid("conv3", (7, 7), cut=20), "conv3 has 7 x 7 cells elsewhere in the image"),
        (Grid("conv3", (7, 14), None), "conv3 has 7 x 14 cells"),
    ],
)
def test_different_grids_have_no_product(other: Grid, named: str) -> None:
    grids = [grid("conv5", (7, 7)), other]
    maps = several(7, (7, 7), other.shape)
    with pytest.raises(GradcamError) as caught:
        fuse(maps, grids, "product")
    assert caught.value.message == (
        f"a product needs layers of one grid, but conv5 has 7 x 7 cells and {named}"
    )
    assert "--fuse mean or --fuse max" in caught.value.hint
    for how in ("mean", "max"):
        check_fusion(grids, SIZE, how)
        assert fuse(maps, grids, how)[1] == ""


def test_cells_less_than_half_a_cell_apart_are_the_same() -> None:
    grids = [grid("a", (7, 7)), grid("b", (7, 7), off=0.1)]
    check_fusion(grids, SIZE, "product")
    check_fusion([*grids, Grid("c", (7, 7), None)], SIZE, "product")
    maps = [np.abs(each) for each in several(8, (7, 7), (7, 7))]
    expected, _ = looped(maps, grids, "product")
    np.testing.assert_allclose(fuse(maps, grids, "product")[0], expected, atol=1e-6)


@pytest.mark.parametrize(("how", "hint"), [("maximum", "max?"), ("zzz", "mean, max and product")])
def test_an_unknown_fusion_is_refused(how: str, hint: str) -> None:
    with pytest.raises(GradcamError, match=f"unknown fusion '{how}'") as caught:
        check_fusion(SAME, SIZE, how)
    assert hint in caught.value.hint
