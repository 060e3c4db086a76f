from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.cam.maps import displayed, normalised
from gradcam_cli.cam.methods import METHODS


def test_negative_evidence_is_dropped_and_the_maximum_is_one() -> None:
    raw = np.array([[-3, 0], [1, 4]], np.float32)
    np.testing.assert_array_equal(normalised(raw), [[0, 0], [0.25, 1]])


@pytest.mark.parametrize("raw", [[[-1, -2]], [[0, 0]], [[np.nan, 1]], [[np.inf, 1]]])
def test_a_map_with_nothing_to_show_is_zero(raw: list[list[float]]) -> None:
    assert not normalised(np.array(raw, np.float32)).any()
    assert not displayed(np.array(raw, np.float32), "guidedgradcam").any()


def test_few_hot_pixels_do_not_hide_the_others_of_a_map_of_pixels() -> None:
    raw = np.linspace(-1, 1, 10_000, dtype=np.float32).reshape(100, 100)
    raw[0, :30] = 50  # three in a thousand
    shown = displayed(raw, "guidedgradcam")
    # Sorted by hand: 9,900 of 10,000 pixels are below the end of the scale.
    end = np.sort(raw.ravel())[9_900]
    np.testing.assert_allclose(shown, np.clip(raw / end, 0, 1), atol=5e-4)
    assert (shown == 1).sum() == pytest.approx(100, abs=1)


def test_other_maps_are_shown_as_they_are() -> None:
    raw = np.random.default_rng(0).normal(size=(14, 14)).astype(np.float32)
    for name, method in METHODS.items():
        same = np.array_equal(displayed(raw, name), normalised(raw))
        assert same == (method.needs != "pixels"), name


def test_a_map_of_less_than_a_hundredth_hot_pixels_ends_at_its_maximum() -> None:
    raw = np.zeros((100, 100), np.float32)
    raw[3, :40] = np.arange(40)
    np.testing.assert_array_equal(displayed(raw, "guidedbackprop"), normalised(raw))
