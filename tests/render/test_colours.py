from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcam_cli.errors import GradcamError
from gradcam_cli.render.colours import COLORMAPS, blended, colour_table, coloured

Array = NDArray[np.uint8]


def scene(seed: int = 0, height: int = 31, width: int = 45) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    heat = rng.integers(0, 256, (height, width), dtype=np.uint8)
    return pixels, heat


def overlay(pixels: Array, heat: Array, covered: tuple[int, int, int, int], *how: Any) -> Array:
    """Lay a whole picture's heat over it, in strips of all heights."""
    left, top, right, bottom = covered
    strips, row, height = [], top, 1
    while row < bottom:
        strips.append((row, heat[row : min(row + height, bottom), left:right].copy()))
        row, height = row + height, height + 3
    return blended(pixels, strips, covered, *how)


def everything(pixels: Array) -> tuple[int, int, int, int]:
    return 0, 0, pixels.shape[1], pixels.shape[0]


def test_jet_runs_from_blue_to_red() -> None:
    table = colour_table("jet")
    assert table.shape == (256, 3)
    assert table[0].tolist() == [0, 0, 128]
    assert table[255].tolist() == [128, 0, 0]
    assert table[32].tolist() == [0, 0, 255]
    assert table[128].tolist() == pytest.approx([128, 255, 126], abs=3)


@pytest.mark.parametrize("name", list(COLORMAPS))
def test_every_map_is_opencvs_in_rgb(name: str) -> None:
    levels = np.arange(256, dtype=np.uint8)
    code = COLORMAPS[name]
    expected = np.dstack([levels] * 3)[0]
    if code is not None:
        expected = np.asarray(cv2.applyColorMap(levels[:, np.newaxis], code))[:, 0, ::-1]
    np.testing.assert_array_equal(colour_table(name), expected)
    _, heat = scene()
    np.testing.assert_array_equal(coloured(heat, name), expected[heat])


@given(
    intensity=st.floats(0, 1),
    blend=st.sampled_from(["add", "mix"]),
    colormap=st.sampled_from(["jet", "viridis", "gray"]),
    seed=st.integers(0, 50),
)
def test_the_formulas_rounded_once(intensity: float, blend: str, colormap: str, seed: int) -> None:
    pixels, heat = scene(seed)
    colour = colour_table(colormap)[heat].astype(np.float64)
    share = 1 - intensity if blend == "mix" else 1.0
    exact = np.clip(share * pixels + intensity * colour, 0, 255)
    drawn = overlay(pixels, heat, everything(pixels), intensity, blend, colormap)
    assert drawn.dtype == np.uint8
    assert np.abs(drawn - exact).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("blend", ["add", "mix"])
def test_intensity_zero_gives_the_picture(blend: str) -> None:
    pixels, heat = scene()
    drawn = overlay(pixels, heat, everything(pixels), 0.0, blend)
    np.testing.assert_array_equal(drawn, pixels)
    assert drawn is not pixels


def test_mix_at_one_is_the_heatmap() -> None:
    pixels, heat = scene()
    drawn = overlay(pixels, heat, everything(pixels), 1.0, "mix", "turbo")
    np.testing.assert_array_equal(drawn, coloured(heat, "turbo"))


def test_add_saturates_and_never_rescales() -> None:
    pixels = np.full((1, 2, 3), 250, np.uint8)
    drawn = overlay(pixels, np.array([[0, 255]], np.uint8), (0, 0, 2, 1), 0.4, "add", "gray")
    assert drawn[0].tolist() == [[250] * 3, [255] * 3]
    drawn = overlay(pixels, np.array([[0, 10]], np.uint8), (0, 0, 2, 1), 0.4, "add", "gray")
    assert drawn[0].tolist() == [[250] * 3, [254] * 3]
    drawn = overlay(pixels, np.array([[1, 255]], np.uint8), (0, 0, 2, 1), 3.0, "add", "gray")
    assert drawn[0].tolist() == [[253] * 3, [255] * 3]


@pytest.mark.parametrize("blend", ["add", "mix"])
def test_uncovered_pixels_stay(blend: str) -> None:
    pixels, heat = scene()
    before = pixels.copy()
    drawn = overlay(pixels, heat, (5, 3, 20, 30), 0.4, blend)
    whole = overlay(pixels, heat, everything(pixels), 0.4, blend)
    expected = pixels.copy()
    expected[3:30, 5:20] = whole[3:30, 5:20]
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (4, 1), (1, 4), (3, 3)])
def test_small_and_thin_pictures(size: tuple[int, int]) -> None:
    pixels, heat = scene(1, *size)
    colour = colour_table("jet")[heat].astype(np.float64)
    for blend, share in (("add", 1.0), ("mix", 0.6)):
        drawn = overlay(pixels, heat, everything(pixels), 0.4, blend)
        assert drawn.shape == pixels.shape
        assert np.abs(drawn - np.clip(share * pixels + 0.4 * colour, 0, 255)).max() <= 0.5001
    assert coloured(heat).shape == pixels.shape


def test_a_table_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        colour_table("jet")[0] = 1


def test_an_unknown_map_names_the_nearest() -> None:
    with pytest.raises(GradcamError, match="virids") as caught:
        colour_table("virids")
    assert "viridis" in caught.value.hint
    with pytest.raises(GradcamError) as caught:
        colour_table("zzzzzz")
    assert "jet" in caught.value.hint


@pytest.mark.parametrize("blend", ["add", "mix"])
@pytest.mark.parametrize("order", ["planes", "transposed", "mirrored"])
def test_any_layout_in_memory_and_any_covered_part_give_the_same_overlay(
    blend: str, order: str
) -> None:
    pixels, heat = scene(seed=5)
    laid = {
        "planes": np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, 2, 0)), 0, 2),
        "transposed": np.ascontiguousarray(pixels.swapaxes(0, 1)).swapaxes(0, 1),
        "mirrored": pixels[:, ::-1].copy()[:, ::-1],
    }[order]
    colours = colour_table("jet")[heat].astype(np.float64)
    share = 0.4 if blend == "mix" else 0.0
    exact = np.clip((1 - share) * pixels.astype(np.float64) + 0.4 * colours, 0, 255)
    before = laid.copy()
    for left, top, right, bottom in ((0, 0, 45, 31), (3, 2, 44, 30), (7, 0, 8, 31), (0, 9, 45, 10)):
        drawn = overlay(laid, heat, (left, top, right, bottom), 0.4, blend)
        inside = np.s_[top:bottom, left:right]
        assert np.abs(drawn[inside] - exact[inside]).max() <= 0.5 + 1e-4
        outside = np.ones(heat.shape, bool)
        outside[inside] = False
        assert np.array_equal(drawn[outside], pixels[outside])
    assert np.array_equal(laid, before)
