"""Pixel maps of guided gradients, against loops and by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from gradcam_cli.cam.guided import guided_backpropagation, guided_grad_cam, upsampled
from gradcam_cli.images.fit import Cells, Span, place, to_picture
from tests import oracles_passes as oracles

CELLS = Cells(Span(1.5, 2.0, 0.0, 12.0), Span(3.0, 2.5, 0.0, 9.0))


@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
@pytest.mark.parametrize("cells", [None, CELLS], ids=["tiled", "placed"])
@pytest.mark.parametrize("shape", [(2, 4, 3), (1, 1, 1), (2, 6, 2)], ids=str)
def test_guided_grad_cam_equals_its_loops(shape: Any, cells: Cells | None, xp: Any) -> None:
    rng = np.random.default_rng(1)
    maps = rng.normal(size=shape).astype(np.float32)
    g = rng.normal(size=(shape[0], 12, 9, 3)).astype(np.float32)
    before = maps.copy(), g.copy()
    spans = cells and [each[:2] for each in cells]
    expected = [oracles.guided_grad_cam(m, one, spans) for m, one in zip(maps, g, strict=True)]
    np.testing.assert_allclose(guided_grad_cam(maps, g, cells, xp), expected, atol=1e-5)
    np.testing.assert_array_equal(maps, before[0])
    np.testing.assert_array_equal(g, before[1])


def test_a_map_lies_on_the_input_as_it_does_on_a_picture() -> None:
    heat = np.random.default_rng(2).uniform(size=(4, 3)).astype(np.float32)
    cells = Cells(Span(3.5, 2.0, 2.0, 11.0), Span(4.0, -1.5, 0.0, 7.0))
    found = upsampled(heat[None], (12, 9), cells, np)[0]
    levels = to_picture(heat, place((12, 9), (12, 9)), cells)
    np.testing.assert_allclose(found * 255, levels, atol=0.51)
    assert not found[:, 8].any()
    assert not found[0].any()


def test_by_hand() -> None:
    g = np.array([[[[1.0, -3.0], [0.0, 2.0]]]], np.float32)
    np.testing.assert_array_equal(guided_backpropagation(g, np), [[[3.0, 2.0]]])
    maps = np.array([[[2.0, -1.0]]], np.float32)
    np.testing.assert_array_equal(guided_grad_cam(maps, g, None, np), [[[6.0, 0.0]]])
