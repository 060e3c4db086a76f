from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcam_cli.cam.fusion import Grid, fused
from gradcam_cli.cam.noise import random_map
from tests.explaining.networks import SIZE, asked, explainer, images, maps, network, one


@pytest.fixture(scope="module")
def made() -> Any:
    return network()


@pytest.mark.parametrize("how", ["mean", "max"])
def test_layers_are_fused_on_the_finest_grid(made: Any, how: str) -> None:
    layers = ("last", "first")
    plain = explainer(made, asked(layers=layers), 1)
    (parts,) = plain(images(1))
    (answer,) = explainer(made, asked(layers=layers, fuse=how), 1)(images(1))
    grids = [Grid(each.path, each.grid, each.cells) for each in plain.facts.layers]
    raws = [one(parts, "gradcam", 2, layer).raw for layer in layers]
    whole = one(answer, "gradcam", 2, "last + first")
    expected = fused(raws, ["", ""], grids, SIZE, how)
    np.testing.assert_allclose(whole.raw, expected.raw, atol=1e-5)
    assert whole.raw.shape == plain.facts.layers[1].grid
    assert whole.cells == plain.facts.layers[1].cells
    assert len(answer.maps) == 2


def test_random_maps_are_those_of_the_image_s_bytes(made: Any) -> None:
    answers = explainer(made, asked(methods=("random",)))(images())
    found = maps(answers, "random", 2)
    for row, image in enumerate(images()):
        np.testing.assert_array_equal(found[row], random_map(image.tobytes(), found[row].shape, np))
    np.testing.assert_array_equal(found, maps(answers, "random", 0))
    assert not np.array_equal(found[0], found[1])


def test_a_class_that_is_named_twice_has_one_map(made: Any) -> None:
    (answer,) = explainer(made, asked(("predicted", "top2", "0", "1", "2", "3", "4")), 1)(images(1))
    assert sorted(each.index for each in answer.maps) == [0, 1, 2, 3, 4]
    assert [each.slot for each in answer.maps][:2] == ["top1", "top2"]


@pytest.mark.parametrize("method", ["gradcam", "eigencam", "reciprocam", "guidedbackprop"])
def test_a_batch_is_its_images_one_by_one(made: Any, method: str) -> None:
    layer = "" if method == "guidedbackprop" else "last"
    together = explainer(made, asked(methods=(method,)))(images())
    alone = explainer(made, asked(methods=(method,)), 1)
    singles = [alone(images()[row : row + 1])[0] for row in range(3)]
    found, expected = maps(together, method, 2, layer), maps(singles, method, 2, layer)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
