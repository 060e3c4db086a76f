from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import pytest
import tensorflow as tf

from gradcam_cli.errors import ModelError
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.load import Model
from gradcam_cli.models.scaling import SCALINGS, UNKNOWN
from gradcam_cli.network.ports import find_ports
from gradcam_cli.network.survey import survey
from gradcam_cli.verify import Check, check_gradient, self_test
from tests.zoo import CASES
from tests.zoo.case import shaken

L = keras.layers
GRADIENT = ["gradient along rising directions", "gradient along random directions"]
SUMS = [
    "CAM adds up to the logit",
    "HiResCAM adds up to the logit",
    "HiResCAM is CAM by the cell",
]


def model_of(network: Any, scaling: str = "none", **ports: Any) -> Model:
    found = find_ports(network, **ports)
    return Model(
        name="tiny",
        network=network,
        weights="file",
        ports=found,
        scaling=SCALINGS[scaling],
        labels=Labels(names=(), ids=()),
        classes=survey(network, found).classes,
    )


@pytest.mark.parametrize(
    ("name", "sums"),
    [
        ("sequential", True),
        ("siamese", False),
        ("sigmoid", True),
        ("segmentation", False),
        ("channels-first", True),
        ("fixed-batch", True),
        ("gru", False),
        ("transformer-token", False),
        ("mixer", True),
        ("float16", True),
        ("bfloat16", True),
        ("quantized", False),
    ],
)
def test_the_zoo_passes(name: str, sums: bool) -> None:
    keras.utils.set_random_seed(11)
    case = next(case for case in CASES if case.name == name)
    model = model_of(
        case.build().network, size=case.size, constants=case.constants, output=case.output
    )
    checks = self_test(model, case.layer)
    expected = [*GRADIENT, "batch against single pictures", *(SUMS if sums else [])]
    assert [check.name for check in checks] == expected
    assert all(check.passed for check in checks), checks
    exact = name not in ("float16", "bfloat16", "quantized")
    assert not exact or max(check.error for check in checks) < 1e-3


def built(behind: Callable[[Any], Any]) -> Model:
    """A network whose feature map goes through ``behind`` on its way to the classes."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((10, 10, 3))
    x = L.Conv2D(4, 3, activation="relu", name="conv")(L.Rescaling(1 / 255)(inputs))
    x = L.Lambda(behind)(x)
    return model_of(keras.Model(inputs, L.Dense(3)(L.Flatten()(x))))


def pooled(front: Any, activation: Any, scaled: bool, behind: Any = None) -> Model:
    """A network that chooses between activations, many of which are equal."""
    inputs = keras.Input((16, 16, 3))
    x = L.Rescaling(1 / 255)(inputs) if scaled else inputs
    x = L.BatchNormalization(name="conv")(L.Conv2D(6, 3, activation=activation)(x))
    x = L.MaxPooling2D(2)(x if front is None else front(x))
    if behind is not None:
        x = L.Lambda(behind)(x)
    return model_of(shaken(keras.Model(inputs, L.Dense(3)(L.Flatten()(x)))))


@pytest.mark.parametrize("activation", ["relu", "relu6", "hard_sigmoid", "tanh"])
@pytest.mark.parametrize("scaled", [True, False])
def test_equal_activations_that_pooling_chooses_between_pass(activation: str, scaled: bool) -> None:
    keras.utils.set_random_seed(2)
    found = verdicts(pooled(None, activation, scaled))
    assert all(found[name].passed and found[name].clear for name in GRADIENT), found


@pytest.mark.parametrize("front", [L.UpSampling2D(2), L.ZeroPadding2D(2)])
def test_copies_and_padding_that_pooling_chooses_between_pass(front: Any) -> None:
    keras.utils.set_random_seed(2)
    found = verdicts(pooled(front, "relu", True))
    assert all(found[name].passed and found[name].clear for name in GRADIENT), found


def test_a_wrong_gradient_behind_equal_activations_fails() -> None:
    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def doubled(x: Any) -> Any:
        return x * 1, lambda slope: slope * 2

    keras.utils.set_random_seed(2)
    found = verdicts(pooled(None, "relu", True, doubled))
    assert found[GRADIENT[0]].error == pytest.approx(0.5, abs=0.05)
    assert not found[GRADIENT[0]].passed


def test_a_network_saturated_by_unscaled_images_is_tested_on_scaled_ones() -> None:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((12, 12, 3))
    x = L.Flatten()(L.Conv2D(6, 3, activation="relu", name="conv")(inputs))
    network = keras.Model(inputs, L.Dense(3)(L.Dense(8, activation="sigmoid")(x)))
    unknown = replace(model_of(shaken(network)), scaling=UNKNOWN)
    assert all(check.passed and check.clear for check in self_test(unknown, "conv"))


def verdicts(model: Model) -> dict[str, Check]:
    return {check.name: check for check in self_test(model, "conv")}


def test_a_gradient_that_is_not_the_derivative_fails() -> None:
    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def doubled(x: Any) -> Any:
        return x * 1, lambda slope: slope * 2

    found = verdicts(built(doubled))
    assert not found[GRADIENT[0]].passed
    assert found[GRADIENT[0]].error == pytest.approx(0.5, abs=0.01)
    assert not check_gradient(built(doubled), "conv").passed


def test_a_gradient_with_a_part_missing_fails() -> None:
    def partly(x: Any) -> Any:
        return tf.concat([x[..., :2], tf.stop_gradient(x[..., 2:])], -1)

    found = verdicts(built(partly))
    assert not found[GRADIENT[1]].passed


def test_pictures_that_look_at_each_other_fail() -> None:
    found = verdicts(built(lambda x: x * tf.reduce_mean(x, 0, keepdims=True)))
    assert found[GRADIENT[0]].passed
    assert not found["batch against single pictures"].passed


class Always(L.Layer):  # type: ignore[misc,name-defined]
    """Dropout that its own call keeps on."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = L.Dropout(0.5)

    def call(self, x: Any) -> Any:
        return self.dropout(x, training=True)


def test_dropout_is_off_unless_a_layer_insists_and_then_the_batch_test_fails() -> None:
    def dropped(dropout: Callable[[Any], Any]) -> Check:
        inputs = keras.Input((10, 10, 3))
        x = L.Conv2D(4, 3, activation="relu", name="conv")(L.Rescaling(1 / 255)(inputs))
        network = keras.Model(inputs, L.Dense(3)(dropout(L.Flatten()(x))))
        return verdicts(model_of(network))["batch against single pictures"]

    assert dropped(lambda x: L.Dropout(0.5)(x, training=True)).passed
    assert not dropped(Always()).passed


def test_a_layer_that_changes_nothing_passes_and_is_named() -> None:
    model = built(lambda x: x * 0)
    check = check_gradient(model, "conv")
    assert check.passed
    assert check.detail == "the score does not change with the layer"


def test_a_network_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ModelError, match="not finite"):
        self_test(built(lambda x: x / (x * 0)), "conv")


def test_a_layer_without_a_map_is_refused() -> None:
    model = built(lambda x: x)
    flat = model.network.layers[-2].name
    with pytest.raises(ModelError, match="no feature grid"):
        self_test(model, flat)
