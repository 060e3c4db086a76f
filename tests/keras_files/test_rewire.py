from __future__ import annotations

import json
from pathlib import Path

import keras
import pytest

from gradcam_cli.keras_files.file import open_network
from tests.keras_files.rewriting import (
    SIZE,
    UNWRAPPED,
    Json,
    assert_same,
    backbone,
    backbone_of,
    fails_in_keras,
    functional,
    groups,
    head,
    layer,
    layers,
    noise,
    old_nodes,
    opened,
    rewrite,
    save,
    sequential,
    set_weights,
)

L = keras.layers


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_the_single_output_of_a_nested_model(tmp_path: Path, name: str) -> None:
    network = sequential(backbone(), *head())
    path = save(network, tmp_path / name)

    def wrap(config: Json) -> None:
        inner = layer(config, "backbone")["config"]
        for key in ("input_layers", "output_layers"):
            inner[key] = [inner[key]]

    rewrite(path, wrap)
    sentence = "unwrapped the single output of 1 model"
    opened(path, network, "expects 1 input(s), but it received 2 input tensors", sentence)


def test_a_teachable_machine_export(tmp_path: Path) -> None:
    inside = keras.Sequential(
        [
            L.Input(SIZE),
            keras.Model(
                (i := L.Input(SIZE)),
                L.ReLU(6.0)(L.DepthwiseConv2D(3, use_bias=False)(L.ZeroPadding2D()(i))),
                name="model1",
            ),
            L.GlobalAveragePooling2D(),
        ],
        name="sequential_1",
    )
    dense = keras.Sequential(
        [L.Input((3,)), L.Dense(5, activation="relu"), L.Dense(2, activation="softmax")],
        name="sequential_3",
    )
    network = sequential(inside, dense)
    path = save(network, tmp_path / "keras_model.h5")

    def old(config: Json) -> None:
        first, second = layer(config, "sequential_1"), layer(config, "sequential_3")
        inner = layer(first, "model1")
        groups(inner)
        old_nodes(inner)
        for one in (config, first, second):
            one["config"].pop("build_input_shape")
            if one is not config:
                layers(one)[0]["config"]["batch_input_shape"] = layers(one)[0]["config"].pop(
                    "batch_shape"
                )

    rewrite(path, old, "2.2.4-tf")
    opened(
        path,
        network,
        "groups",
        "unwrapped the single output of 1 model",
        "dropped `groups` from 1 DepthwiseConv2D layer",
    )


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_the_shape_of_the_input_on_the_first_layer(tmp_path: Path, name: str) -> None:
    network = sequential(L.Conv2D(4, 3), *head())
    path = save(network, tmp_path / name)

    def move(config: Json) -> None:
        shape = layers(config).pop(0)["config"]["batch_shape"]
        layers(config)[0]["config"]["batch_input_shape"] = shape
        config["config"].pop("build_input_shape")

    rewrite(path, move, "2.3.1")
    message = "Kernel shape" if name == "m.h5" else "batch_input_shape"
    found = opened(path, network, message, "gave 1 Sequential model an input layer")
    assert found.network.input_shape == (None, *SIZE)


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_the_calls_of_nested_models(tmp_path: Path, name: str) -> None:
    network = functional(backbone("first"), backbone_of(4, "second"), *head())
    path = save(network, tmp_path / name)
    rewrite(path, lambda config: old_nodes(config, nested=("first", "second")))
    sentence = "counted the calls of 2 nested models anew"
    opened(path, network, "has loops or disconnected nodes", UNWRAPPED, sentence)


def test_a_nested_model_called_twice(tmp_path: Path) -> None:
    shared = backbone("shared")
    left, right = L.Input(SIZE, name="left"), L.Input(SIZE, name="right")
    x = L.Subtract(name="subtract")([shared(left), shared(right)])
    network = keras.Model([left, right], L.Dense(2, name="dense")(L.Flatten(name="flat")(x)))
    set_weights(network)
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        layer(config, "shared")["inbound_nodes"] = [[["left", 0, 0, {}]], [["right", 0, 0, {}]]]
        layer(config, "subtract")["inbound_nodes"] = [[["shared", 1, 0, {}], ["shared", 2, 0, {}]]]

    rewrite(path, old)
    assert "has loops or disconnected nodes" in fails_in_keras(path)
    found = open_network(path)
    assert found.repaired == ("counted the calls of 1 nested model anew",)
    assert_same(found.network, network, [noise(2, *SIZE), noise(2, *SIZE, seed=1)])


def test_a_nested_model_at_the_end(tmp_path: Path) -> None:
    tail = keras.Sequential([L.Input((4,)), L.Dense(2)], name="tail")
    network = functional(L.Conv2D(4, 3, name="conv"), L.GlobalMaxPooling2D(name="pool"), tail)
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        old_nodes(config)
        config["config"]["output_layers"] = [["tail", 1, 0]]

    rewrite(path, old)
    opened(path, network, "range", UNWRAPPED, "counted the calls of 1 nested model anew")


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_slashes_in_names(tmp_path: Path, name: str) -> None:
    network = functional(L.Conv2D(4, 3, name="conv1_conv"), L.ReLU(name="conv1_conv_"), *head())
    path = save(network, tmp_path / name)

    def slash(config: Json) -> None:
        text = json.dumps(config).replace('"conv1_conv"', '"conv1/conv"')
        config |= json.loads(text)

    rewrite(path, slash)
    sentence = "replaced `/` in the names of 1 layer"
    found = opened(path, network, "cannot contain character `/`", sentence)
    names = [one.name for one in found.network.layers]
    assert names == ["picture", "conv1_conv", "conv1_conv_", "pool", "dense"]


def test_slashes_do_not_make_two_layers_one(tmp_path: Path) -> None:
    network = functional(L.Conv2D(4, 3, name="a_b"), L.Conv2D(4, 3, name="a_c"), *head())
    path = save(network, tmp_path / "m.h5")

    def slash(config: Json) -> None:
        config |= json.loads(json.dumps(config).replace('"a_c"', '"a/b"'))

    rewrite(path, slash)
    found = opened(path, network, "`/`", "replaced `/` in the names of 1 layer")
    assert [one.name for one in found.network.layers][1:3] == ["a_b", "a_b_"]


def test_keyword_inputs_of_attention(tmp_path: Path) -> None:
    picture = L.Input(SIZE, name="picture")
    tokens = L.Reshape((64, 12), name="tokens")(picture)
    x = L.MultiHeadAttention(2, 4, name="attention")(tokens, value=tokens)
    network = keras.Model(picture, L.GlobalAveragePooling1D(name="pool")(x))
    set_weights(network)
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        attention = layer(config, "attention")
        attention["inbound_nodes"] = [[["tokens", 0, 0, {"value": ["tokens", 0, 0]}]]]
        shapes = ("query_shape", "key_shape", "value_shape")
        attention["config"] |= {key: [None, 64, 12] for key in shapes}

    rewrite(path, old)
    opened(
        path,
        network,
        "MultiHeadAttention",
        "connected the keyword inputs of 1 MultiHeadAttention call",
        "dropped `key_shape`, `query_shape`, `value_shape` from 1 MultiHeadAttention layer",
    )


def test_operations_of_keras_3_in_hdf5(tmp_path: Path) -> None:
    picture = L.Input(SIZE, name="picture")
    x = keras.ops.divide(picture, 127.5) - 1.0
    x = keras.ops.add(x, keras.ops.sigmoid(x))
    x = keras.ops.concatenate([x, x[..., ::-1]], axis=-1)
    network = keras.Model(picture, L.Dense(2)(keras.ops.mean(x, axis=(1, 2))))
    set_weights(network)
    path = save(network, tmp_path / "m.h5")
    sentence = (
        "found the Keras 3 module of 7 operations "
        "(Add, Concatenate, Divide, GetItem, Mean, Sigmoid, Subtract)"
    )
    opened(path, network, "", sentence)
