from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

from gradcam_cli.cam.methods import METHODS
from gradcam_cli.errors import GradcamError, ModelError
from gradcam_cli.explaining.methods import check_methods
from gradcam_cli.spec.explain import ExplainSpec
from tests.explaining.networks import L, asked, explainer, network

REFUSED = [
    ({"methods": ("gradcm",)}, "unknown method 'gradcm'", "gradcam"),
    ({"methods": ()}, "no method is named", "gradcam methods"),
    ({"methods": ("eigencam",), "counterfactual": True}, "Eigen-CAM does not depend", "gradcam"),
    ({"methods": ("random", "gradcam"), "contrast": "1"}, "so --contrast changes", "gradcam"),
    ({"methods": ("finercam",), "contrast": "1"}, "chooses the classes", "--method gradcam"),
    ({"smooth": ("flip",)}, "--smooth does not know 'flip'", "flips"),
    ({"smooth": ("flips",), "methods": ("scorecam",)}, "methods of one pass", "gradcam"),
    ({"target": Path("a.npy"), "like": Path("a.jpg")}, "both name", "one of them"),
    ({"like": Path("a.jpg"), "classes": ("3",)}, "a similarity, and not a class", "--class"),
    ({"like": Path("a.jpg"), "contrast": "3"}, "no class can be contrasted", "--contrast"),
    ({"target": Path("a.npy"), "score": "probability"}, "not a probability", "--score"),
    ({"target": Path("a.npy"), "methods": ("cam",)}, "CAM is defined for classes", "gradcam"),
    ({"target": Path("a.npy"), "methods": ("finercam",)}, "defined for classes", "gradcam"),
]


@pytest.mark.parametrize(("more", "message", "hint"), REFUSED)
def test_what_does_not_go_together_is_refused(
    more: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(GradcamError) as caught:
        check_methods(ExplainSpec(**more))
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_methods_come_once_in_the_order_of_the_table() -> None:
    spec = ExplainSpec(methods=("layercam", "cam", "layercam", "gradcam"))
    assert check_methods(spec) == ("gradcam", "cam", "layercam")
    assert check_methods(ExplainSpec(methods=tuple(reversed(METHODS)))) == tuple(METHODS)


def test_one_layer_has_nothing_to_fuse() -> None:
    with pytest.raises(GradcamError, match="one layer is asked for"):
        explainer(network(), asked(fuse="mean", layers=("last", "last")))


def test_a_product_takes_layers_of_one_grid() -> None:
    with pytest.raises(GradcamError, match="a product needs layers of one grid"):
        explainer(network(), asked(fuse="product", layers=("first", "last")))


def test_a_class_is_not_contrasted_with_itself() -> None:
    with pytest.raises(GradcamError, match="is the class that is explained"):
        explainer(network(), asked(("2",), contrast="cow"))
    with pytest.raises(GradcamError, match="unicorn"):
        explainer(network(), asked(("2",), contrast="unicorn"))


def test_finer_cam_needs_classes_to_compare() -> None:
    pixels = keras.Input((9, 11, 3))
    x = L.Conv2D(2, 3, name="last")(pixels)
    made = keras.Model(pixels, L.Dense(1)(L.Flatten()(x)))
    with pytest.raises(ModelError, match="has just one") as caught:
        explainer(made, asked(("0",), methods=("finercam",)))
    assert "--method gradcam" in caught.value.hint


def test_guided_backpropagation_needs_a_relu() -> None:
    pixels = keras.Input((9, 11, 3))
    x = L.Conv2D(2, 3, activation="gelu", name="last")(pixels)
    made = keras.Model(pixels, L.Dense(5)(L.Flatten()(x)))
    with pytest.raises(ModelError, match="has no ReLU"):
        explainer(made, asked(("0",), methods=("guidedgradcam",)))
