from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcam_cli.cam.smoothing import noisy, smoothed, variations
from tests.explaining.networks import (
    SIZE,
    asked,
    explainer,
    hot,
    images,
    maps,
    network,
    slopes,
)
from tests.oracles import ORACLES


@pytest.fixture(scope="module")
def made() -> Any:
    return network()


@pytest.mark.parametrize("smooth", [("flips",), ("flips", "scales")])
def test_smoothing_is_the_mean_of_each_version_s_own_map(made: Any, smooth: Any) -> None:
    found = explainer(made, asked(methods=("gradcam", "layercam"), smooth=smooth))
    plain = explainer(made, asked(methods=("gradcam", "layercam")))
    cells = found.facts.layers[0].cells
    answers = found(images())
    for name in ("gradcam", "layercam"):
        back = [
            each.back(maps(plain(each.apply(images())), name, 2), SIZE, cells)
            for each in variations(smooth)
        ]
        expected = smoothed([each for each, _ in back], [seen for _, seen in back])
        np.testing.assert_allclose(maps(answers, name, 2), expected, rtol=1e-4, atol=1e-6)


def test_the_class_is_the_original_s(made: Any) -> None:
    found = explainer(made, asked(("predicted",), smooth=("flips",)))
    plain = explainer(made, asked(("predicted",)))
    for smooth, once in zip(found(images()), plain(images()), strict=True):
        assert [each.index for each in smooth.maps] == [each.index for each in once.maps]
        assert smooth.scores == pytest.approx(once.scores, abs=1e-5)


def test_noise_averages_powers_of_the_gradient(made: Any) -> None:
    spec = asked(methods=("smoothgradcampp",), samples=3, noise=0.2)
    answers = explainer(made, spec)(images())
    A, _ = slopes(made, "last", images(), hot(2, 3))
    G = [slopes(made, "last", noisy(images(), n, 0.2, 0), hot(2, 3))[1] for n in range(3)]
    means = [
        np.mean([each.astype(np.float64) ** power for each in G], axis=0) for power in (1, 2, 3)
    ]
    expected = ORACLES["smoothgradcampp"](A, *means)
    found = maps(answers, "smoothgradcampp", 2)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_one_copy_without_noise_is_grad_cam_plus_plus(made: Any) -> None:
    spec = asked(methods=("smoothgradcampp", "gradcampp"), samples=1, noise=0.0)
    answers = explainer(made, spec)(images())
    np.testing.assert_allclose(
        maps(answers, "smoothgradcampp", 2), maps(answers, "gradcampp", 2), rtol=1e-4, atol=1e-7
    )
