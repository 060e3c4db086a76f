from __future__ import annotations

from typing import Any

import keras
import pytest
import tensorflow as tf

from gradcam_cli.errors import ModelError
from gradcam_cli.network.anatomy import Anatomy, default_map, dissect, find_map
from gradcam_cli.network.ports import find_ports
from gradcam_cli.network.tap import trace

L = keras.layers


def anatomy_of(network: Any, output: str = "") -> Anatomy:
    ports = find_ports(network, output=output)
    found: list[Anatomy] = []

    def run(x: Any) -> Any:
        found.append(dissect(network, ports, x))
        return found[0].head.logits

    trace(run, tf.TensorSpec((1, *ports.size, ports.channels), tf.float32))
    return found[0]


def net(*layers: Any, shape: tuple[int, ...] = (12, 12, 3)) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


def default(*layers: Any, shape: tuple[int, ...] = (12, 12, 3)) -> str:
    return default_map(anatomy_of(net(*layers, shape=shape))).path


def conv(name: str = "conv", **options: Any) -> Any:
    return L.Conv2D(4, 3, name=name, **options)


def head(classes: int = 3) -> list[Any]:
    return [L.GlobalAveragePooling2D(), L.Dense(classes, activation="softmax")]


def test_the_map_is_taken_after_its_normalisation_and_activation() -> None:
    block = [conv(), L.BatchNormalization(name="norm"), L.ReLU(name="relu")]
    assert default(*block, *head()) == "relu"
    assert (
        default(block[0], L.ReLU(name="relu"), L.BatchNormalization(name="norm"), *head()) == "norm"
    )


def test_the_map_is_taken_before_what_takes_it_away() -> None:
    away = [L.MaxPooling2D(2), L.AveragePooling2D(1), L.ZeroPadding2D(1), L.Cropping2D(1)]
    away += [L.UpSampling2D(2), L.Resizing(3, 3), L.Dropout(0.5), L.SpatialDropout2D(0.5)]
    for layer in away:
        assert default(conv(), layer, L.Flatten(), L.Dense(2)) == "conv", layer.name
    assert default(conv(), L.Reshape((25, 16)), L.LSTM(3), L.Dense(2)) == "conv"
    assert default(conv(), L.Permute((2, 1, 3)), L.Flatten(), L.Dense(2)) == "conv"
    assert default(conv(), L.Activation("linear"), L.Identity(), *head()) == "conv"


def test_a_single_cell_is_no_map() -> None:
    assert default(conv(), L.Conv2D(5, 10, name="cell"), L.Flatten(), L.Dense(2)) == "conv"
    narrow = net(conv(), L.Conv2D(5, (10, 1), name="row"), L.Flatten(), L.Dense(2))
    found = default_map(anatomy_of(narrow))
    assert (found.path, found.features.grid) == ("row", (1, 10))


def test_the_scores_themselves_are_not_explained() -> None:
    classes = L.Conv2D(3, 1, name="classes")
    assert default(conv(), classes, L.Softmax()) == "conv"
    assert default(conv(), classes, L.Resizing(12, 12), L.Softmax()) == "conv"
    # averaged class maps are the evidence itself: the last map before pooling
    assert default(conv(), classes, L.GlobalAveragePooling2D(), L.Softmax()) == "classes"


def attention_net(pool: bool) -> Any:
    inputs = keras.Input((16, 16, 3))
    x = L.Reshape((16, 8), name="sequence")(L.Conv2D(8, 4, strides=4, name="patches")(inputs))
    y = L.LayerNormalization(name="first")(x)
    x = L.Add()([x, L.MultiHeadAttention(4, 4, name="attention")(y, y)])
    x = L.LayerNormalization(name="last")(x)
    x = L.GlobalAveragePooling1D()(x) if pool else x[:, 0]
    return keras.Model(inputs, L.Dense(3)(x))


def test_attention_matrices_and_heads_are_no_maps() -> None:
    anatomy = anatomy_of(attention_net(True))
    paths = [each.path for each in anatomy.maps]
    assert "attention/softmax" not in paths  # [N, heads, tokens, tokens]
    assert "attention/query" not in paths  # [N, tokens, heads, channels]
    assert "attention/attention_output" in paths
    assert default_map(anatomy).path == "last"


def test_tokens_count_only_where_more_than_one_reaches_the_score() -> None:
    anatomy = anatomy_of(attention_net(False))
    assert default_map(anatomy).path == "last"
    assert default_map(anatomy, alive={("first", 1)}).path == "first"
    assert default_map(anatomy, alive=set()).path == "patches"


def test_there_may_be_nothing_to_explain() -> None:
    for network in (
        net(L.Flatten(), L.Dense(4), L.Dense(2)),
        net(L.Rescaling(1 / 255), L.MaxPooling2D(2), L.Flatten(), L.Dense(2)),
        net(L.Conv2D(4, 12), L.Flatten(), L.Dense(2)),
    ):
        with pytest.raises(ModelError, match="no convolutional feature map"):
            default_map(anatomy_of(network))


def forked() -> Any:
    inputs = keras.Input((12, 12, 3))
    x = conv("trunk")(inputs)
    side = L.GlobalMaxPooling2D(name="side")(conv("aside")(x))
    score = L.Dense(3, name="score")(L.Flatten()(conv("branch")(x)))
    return keras.Model(inputs, [side, score])


def test_only_what_leads_to_the_chosen_output_counts() -> None:
    anatomy = anatomy_of(forked(), "score")
    assert [each.path for each in anatomy.maps] == ["trunk", "branch"]
    with pytest.raises(ModelError, match="does not depend on layer 'aside'") as caught:
        find_map(anatomy, "aside")
    assert "branch, trunk" in caught.value.hint


def test_layers_that_cannot_be_explained_are_refused_with_others_to_choose() -> None:
    network = net(
        conv(), L.Conv2D(5, 10, name="cell"), L.Flatten(name="flat"), L.Dense(2, name="dense")
    )
    anatomy = anatomy_of(network)
    for path, message in (
        ("dense", "'dense' has no feature grid: its output is 2"),
        ("flat", "no feature grid: its output is 5"),
        ("cell", "no feature grid: its output is 1x1x5"),
        ("elsewhere", "'elsewhere' is never called"),
    ):
        with pytest.raises(ModelError, match=message) as caught:
            find_map(anatomy, path)
        assert "conv" in caught.value.hint


def test_a_layer_behind_the_score_is_refused() -> None:
    network = net(conv(), L.Conv2D(3, 1, name="classes"), L.Softmax(name="softmax"))
    anatomy = anatomy_of(network)
    assert find_map(anatomy, "classes").path == "classes"
    with pytest.raises(ModelError, match="'softmax' lies behind the score") as caught:
        find_map(anatomy, "softmax")
    assert "classes, conv" in caught.value.hint


def test_calls_are_counted_from_one_and_the_last_is_taken() -> None:
    inputs, twice = keras.Input((12, 12, 3)), L.Conv2D(3, 3, name="twice")
    network = keras.Model(inputs, L.Dense(2)(L.Flatten()(twice(twice(inputs)))))
    anatomy = anatomy_of(network)
    assert find_map(anatomy, "twice").features.grid == (8, 8)
    assert find_map(anatomy, "twice", 2).features.grid == (8, 8)
    assert find_map(anatomy, "twice", 1).features.grid == (10, 10)
    for call in (3, -1):
        with pytest.raises(ModelError, match=f"called 2 times, there is no call {call}"):
            find_map(anatomy, "twice", call)


def test_of_a_layer_with_several_outputs_the_map_is_taken() -> None:
    class Both(L.Layer):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__(name="both")
            self.conv = conv("inner")

        def build(self, shape: Any) -> None:
            self.conv.build(shape)

        def call(self, x: Any) -> Any:
            y = self.conv(x)
            return tf.reduce_mean(y, (1, 2)), tf.nn.relu(y)

    inputs = keras.Input((12, 12, 3))
    mean, features = Both()(inputs)
    x = L.Concatenate()([mean, L.Flatten()(features)])
    anatomy = anatomy_of(keras.Model(inputs, L.Dense(2)(x)))
    assert find_map(anatomy, "both").features.grid == (10, 10)
    assert default_map(anatomy).path == "both"


def test_a_picture_that_is_not_looked_at_is_refused() -> None:
    inputs = keras.Input((12, 12, 3))
    network = keras.Model(inputs, L.Lambda(lambda x: tf.zeros((tf.shape(x)[0], 2)))(inputs))
    with pytest.raises(ModelError, match="does not depend on the picture"):
        anatomy_of(network)


def test_a_layer_that_sees_only_constants_is_refused() -> None:
    inputs = keras.Input((12, 12, 3))
    constant, hidden = tf.ones((1, 12, 12, 3)), conv("hidden")

    class Compared(L.Layer):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__(name="compared")
            self.hidden = hidden

        def build(self, shape: Any) -> None:
            self.hidden.build(shape)

        def call(self, x: Any) -> Any:
            return tf.reduce_sum(self.hidden(constant)) * x

    network = keras.Model(inputs, L.Dense(2)(L.Flatten()(conv()(Compared()(inputs)))))
    anatomy = anatomy_of(network)
    with pytest.raises(ModelError, match="'compared/hidden' does not see the picture"):
        find_map(anatomy, "compared/hidden")
