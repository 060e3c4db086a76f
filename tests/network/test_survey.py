from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import pytest

from gradcam_cli.network.ports import find_ports
from gradcam_cli.network.survey import LayerRow, survey

L = keras.layers


def test_a_survey_says_all_that_one_trace_shows() -> None:
    inputs = keras.Input((12, 16, 3))
    base = keras.Sequential([L.Conv2D(4, 3, name="conv"), L.ReLU(name="relu")], name="base")
    pool, dense = L.GlobalAveragePooling2D(name="mean"), L.Dense(5, activation="softmax")
    network = keras.Model(inputs, dense(pool(base(L.Rescaling(1 / 255)(inputs)))))
    found = survey(network, find_ports(network))
    assert [replace(row, places=(None, None)) for row in found.layers] == [
        LayerRow("base/conv", "Conv2D", 1, (10, 14), 4),
        LayerRow("base/relu", "ReLU", 1, (10, 14), 4),
    ]
    for row in found.layers:  # two unpadded cells fewer than pixels: one at each end
        assert [place and (place.first, place.step) for place in row.places] == [(1.5, 1.0)] * 2
    assert (found.default, found.reason) == (
        "base/relu",
        "the last 10x14 feature map, before mean",
    )
    assert (found.head, found.classes, found.has_logits) == ("softmax", 5, True)
    assert found.pooled
    assert found.inside == "0..1"


def test_without_a_map_the_reason_says_what_is_missing() -> None:
    network = keras.Sequential([keras.Input((4, 4, 3)), L.Flatten(), L.Dense(2)])
    found = survey(network, find_ports(network))
    assert (found.layers, found.default) == ((), "")
    assert "no convolutional feature map" in found.reason
    assert (found.head, found.has_logits, found.pooled) == ("linear", False, False)


class First(L.Layer):  # type: ignore[misc,name-defined]
    """The first token alone."""

    def call(self, x: Any) -> Any:
        return x[:, 0]


def tokens(end: Any) -> Any:
    inputs = keras.Input((16, 24, 3))
    x = L.Reshape((24, 8))(L.Conv2D(8, 4, strides=4, name="patches")(inputs))
    y = L.LayerNormalization(name="before")(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 4, name="attention")(y, y)])
    return keras.Model(inputs, L.Dense(3)(end(L.LayerNormalization(name="last")(x))))


def test_tokens_are_chosen_by_whether_the_score_depends_on_them() -> None:
    averaged = tokens(L.GlobalAveragePooling1D())
    found = survey(averaged, find_ports(averaged))
    assert found.default == "last"
    assert found.pooled
    assert "normalised tokens" in found.reason
    assert "4x6" in found.reason
    row = next(row for row in found.layers if row.path == "last")
    assert (row.grid, row.channels, row.tokens) == ((4, 6), 8, True)
    single = tokens(First())
    found = survey(single, find_ports(single))
    assert found.default == "before"
    assert not found.pooled


def test_cam_needs_the_average_over_the_cells_alone() -> None:
    class Token(L.Layer):  # type: ignore[misc,name-defined]
        def call(self, x: Any) -> Any:
            return keras.ops.concatenate([keras.ops.zeros_like(x[:, :1]), x], 1)

    inputs = keras.Input((16, 16, 3))
    x = L.Reshape((16, 8))(L.Conv2D(8, 4, strides=4)(inputs))
    x = L.LayerNormalization(name="norm")(Token()(x))
    network = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling1D()(x)))
    found = survey(network, find_ports(network))
    assert found.default == "norm"
    assert not found.pooled  # the class token takes part in the average


@pytest.mark.parametrize(
    ("end", "hidden"),
    [
        (lambda z: keras.ops.exp(z) / keras.ops.sum(keras.ops.exp(z), -1, keepdims=True), True),
        (lambda z: 1 / (1 + keras.ops.exp(-z)), True),
        (lambda z: (keras.ops.softmax(z) + keras.ops.softmax(2 * z)) / 2, True),
        (lambda z: keras.ops.exp(keras.ops.log_softmax(z)), True),
        (lambda z: z, False),
        (lambda z: z / 2, False),  # a temperature
        (lambda z: (z * 0 + 1) / 2, False),
        (lambda z: z / (keras.ops.norm(z, axis=-1, keepdims=True) + 1), False),
        (keras.ops.tanh, False),
        (keras.ops.exp, False),
        (lambda z: keras.ops.softmax(z), False),
        (lambda z: keras.ops.sigmoid(z), False),
    ],
)
def test_a_softmax_that_is_written_out_is_noticed(end: Any, hidden: bool) -> None:
    keras.utils.set_random_seed(7)  # outputs of both signs: a quotient in 0..1 is like a sigmoid
    inputs = keras.Input((12, 12, 3))
    x = L.Conv2D(4, 3, activation="relu")(L.Rescaling(1 / 255)(inputs))
    network = keras.Model(inputs, end(L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    assert survey(network, find_ports(network)).behind_softmax is hidden
