from __future__ import annotations

import base64
import copy
import json
import marshal
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.models.archive import file_digest
from gradcam_cli.models.opening import Opened, open_network
from gradcam_cli.models.repair import mend
from tests.models.rewriting import (
    Json,
    assert_same,
    fails_in_keras,
    layer,
    layers,
    noise,
    old_nodes,
    rewrite,
    save,
    set_weights,
    values,
    write_zip,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

L = keras.layers
UNWRAPPED = "unwrapped the single output of 1 model"
SIZE = (16, 16, 3)


@pytest.fixture(autouse=True)
def fresh_names() -> None:
    keras.utils.clear_session()


def opened(path: Path, original: Any, says: str, *sentences: str) -> Opened:
    """Check that Keras fails with ``says``, and that the mended network is the original one."""
    before = file_digest(path)
    assert says in fails_in_keras(path)
    found = open_network(path)
    assert found.mended == sentences
    assert_same(found.network, original, noise(2, *SIZE))
    assert found.digest == before == file_digest(path)
    return found


def sequential(*body: Any) -> Any:
    network = keras.Sequential([L.Input(SIZE), *body])
    set_weights(network)
    return network


def functional(*body: Any) -> Any:
    """Return a chain of layers as a functional model."""
    picture = L.Input(SIZE, name="picture")
    x = picture
    for one in body:
        x = one(x)
    network = keras.Model(picture, x)
    set_weights(network)
    return network


def head() -> tuple[Any, ...]:
    return L.GlobalAveragePooling2D(name="pool"), L.Dense(3, activation="softmax", name="dense")


def backbone(name: str = "backbone") -> Any:
    picture = L.Input(SIZE)
    x = L.Conv2D(4, 3, name="conv")(picture)
    x = L.BatchNormalization(name="norm")(x)
    return keras.Model(picture, L.ReLU(name="relu")(x), name=name)


def groups(config: Json) -> None:
    for one in layers(config):
        if one["class_name"] == "DepthwiseConv2D":
            one["config"]["groups"] = 1


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_groups_of_depthwise_convolutions(tmp_path: Path, name: str) -> None:
    network = sequential(L.DepthwiseConv2D(3), L.DepthwiseConv2D(3), *head())
    path = save(network, tmp_path / name)
    rewrite(path, groups)
    opened(path, network, "groups", "dropped `groups` from 2 DepthwiseConv2D layers")


def test_groups_that_mean_something_stay(tmp_path: Path) -> None:
    path = save(sequential(L.DepthwiseConv2D(3), *head()), tmp_path / "m.keras")

    def two_groups(config: Json) -> None:
        groups(config)
        layers(config)[1]["config"]["groups"] = 3

    rewrite(path, two_groups)
    with pytest.raises(ModelError, match=r"cannot open .*'groups': 3"):
        open_network(path)


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


def test_the_shape_of_the_input_on_a_layer_that_has_its_input(tmp_path: Path) -> None:
    network = sequential(L.Conv2D(4, 3), *head())
    path = save(network, tmp_path / "m.keras")

    def add(config: Json) -> None:
        layers(config)[1]["config"]["batch_input_shape"] = [None, *SIZE]

    rewrite(path, add, "2.13.1")
    sentence = "dropped `batch_input_shape` from 1 Conv2D layer"
    opened(path, network, "batch_input_shape", sentence)


def test_the_type_of_an_initializer(tmp_path: Path) -> None:
    network = sequential(L.Conv2D(4, 3, kernel_initializer="glorot_uniform"), *head())
    path = save(network, tmp_path / "m.h5")

    def add(config: Json) -> None:
        for name in ("conv2d", "dense"):
            initializer = layer(config, name)["config"]["kernel_initializer"]
            initializer["config"]["dtype"] = "float32"
            initializer.pop("module", None)

    rewrite(path, add, "2.2.4-tf")
    sentence = "dropped `dtype` from 2 GlorotUniform initializers"
    opened(path, network, "unexpected keyword argument 'dtype'", sentence)


def test_time_major_of_recurrent_layers(tmp_path: Path) -> None:
    network = sequential(L.Reshape((16, 48)), L.LSTM(4, return_sequences=True), L.GRU(3))
    path = save(network, tmp_path / "m.h5")

    def add(config: Json) -> None:
        for name in ("lstm", "gru"):
            layer(config, name)["config"]["time_major"] = False

    rewrite(path, add)
    opened(
        path,
        network,
        "time_major",
        "dropped `time_major` from 1 LSTM layer",
        "dropped `time_major` from 1 GRU layer",
    )


def test_what_separable_convolutions_inherited(tmp_path: Path) -> None:
    network = sequential(L.SeparableConv2D(4, 3), *head())
    path = save(network, tmp_path / "m.h5")

    def add(config: Json) -> None:
        inherited = {"groups": 1, "kernel_constraint": None, "kernel_regularizer": None}
        initializer = {"class_name": "GlorotUniform", "config": {"seed": None}}
        layers(config)[1]["config"] |= inherited | {"kernel_initializer": initializer}

    rewrite(path, add)
    opened(
        path,
        network,
        "Unrecognized keyword arguments",
        "dropped `groups`, `kernel_constraint`, `kernel_initializer`, `kernel_regularizer` "
        "from 1 SeparableConv2D layer",
    )


def test_an_argument_of_a_newer_keras_that_is_none(tmp_path: Path) -> None:
    network = sequential(L.Conv2D(4, 3), *head())
    path = save(network, tmp_path / "m.keras")

    def add(config: Json) -> None:
        layer(config, "dense")["config"]["sparsity_config"] = None

    rewrite(path, add, "99.0.0")
    opened(path, network, "sparsity_config", "dropped `sparsity_config` from 1 Dense layer")


def test_an_argument_of_a_newer_keras_that_says_something(tmp_path: Path) -> None:
    path = save(sequential(L.Conv2D(4, 3), *head()), tmp_path / "m.keras")

    def add(config: Json) -> None:
        layer(config, "dense")["config"]["gated"] = True

    rewrite(path, add, "99.1.0")
    with pytest.raises(ModelError) as caught:
        open_network(path)
    assert "was saved by Keras 99.1.0, newer than Keras" in caught.value.message
    assert "gated" in caught.value.message
    assert caught.value.hint == "pip install --upgrade keras"


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_the_calls_of_nested_models(tmp_path: Path, name: str) -> None:
    network = functional(backbone("first"), backbone_of(4, "second"), *head())
    path = save(network, tmp_path / name)
    rewrite(path, lambda config: old_nodes(config, nested=("first", "second")))
    sentence = "counted the calls of 2 nested models anew"
    opened(path, network, "has loops or disconnected nodes", UNWRAPPED, sentence)


def backbone_of(channels: int, name: str) -> Any:
    picture = L.Input((14, 14, channels))
    return keras.Model(picture, L.Conv2D(2, 3)(picture), name=name)


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
    assert found.mended == ("counted the calls of 1 nested model anew",)
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


def test_mixed_precision_policies(tmp_path: Path) -> None:
    network = sequential(L.Conv2D(4, 3, dtype="mixed_float16"), *head())
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
        layers(config)[1]["config"]["dtype"] = policy

    rewrite(path, old)
    found = opened(path, network, "quantization_mode", "read the dtype policy of 1 layer")
    assert found.network.layers[0].compute_dtype == "float16"


def test_axis_of_batch_normalization(tmp_path: Path) -> None:
    network = sequential(L.Conv2D(4, 3), L.BatchNormalization(axis=3), *head())
    path = save(network, tmp_path / "m.keras")

    def old(config: Json) -> None:
        layers(config)[2]["config"]["axis"] = [3]

    rewrite(path, old, "2.15.0")
    opened(path, network, "", "unwrapped `axis` of 1 BatchNormalization layer")


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


def test_the_build_shape_of_attention(tmp_path: Path) -> None:
    picture = L.Input(SIZE, name="picture")
    tokens = L.Reshape((64, 12), name="tokens")(picture)
    x = L.MultiHeadAttention(2, 4, name="attention")(tokens, tokens)
    network = keras.Model(picture, L.GlobalAveragePooling1D(name="pool")(x))
    set_weights(network)
    path = save(network, tmp_path / "m.keras")

    def old(config: Json) -> None:
        layer(config, "attention")["build_config"] = {"input_shape": [None, 64, 12]}

    rewrite(path, old, "2.15.0")
    sentence = "left out the build shape of 1 MultiHeadAttention layer"
    opened(path, network, "value_shape", sentence)


def replaced(config: Json, name: str, *made: Json) -> None:
    """Put operation layers where a layer was; the last takes its name."""
    place = next(k for k, one in enumerate(layers(config)) if one["config"]["name"] == name)
    layers(config)[place : place + 1] = list(made)


def op_lambda(name: str, function: str, node: list[Any], kind: str = "TFOpLambda") -> Json:
    inner = {"name": name, "trainable": True, "dtype": "float32", "function": function}
    return {"class_name": kind, "config": inner, "name": name, "inbound_nodes": [node]}


def op_layer(name: str, op: str, inputs: list[Any], constants: Json, **attr: Json) -> Json:
    definition = {"name": op, "op": op, "input": [], "attr": {"T": {"type": "DT_FLOAT"}} | attr}
    inner = {"name": op, "trainable": True, "dtype": "float32", "node_def": definition}
    return {
        "class_name": "TensorFlowOpLayer",
        "config": inner | {"constants": constants},
        "name": name,
        "inbound_nodes": [[[one, 0, 0, {}] for one in inputs]],
    }


CHAIN: list[tuple[str, Callable[[Any], Any], list[Json], str]] = [
    (
        "scaling",
        lambda x: x / 127.5 - 1.0,
        [
            op_lambda("tf.math.truediv", "math.truediv", ["picture", 0, 0, {"y": 127.5}]),
            op_lambda("op", "math.subtract", ["tf.math.truediv", 0, 0, {"y": 1.0, "name": None}]),
        ],
        "read 2 TensorFlow operations (Subtract, TrueDivide) as Keras operations",
    ),
    (
        "scaling, 2.3",
        lambda x: x / 127.5 - 1.0,
        [
            op_layer("tf_op_layer_RealDiv", "RealDiv", ["picture"], {"1": 127.5}),
            op_layer("op", "Sub", ["tf_op_layer_RealDiv"], {"1": 1.0}),
        ],
        "read 2 TensorFlow operations (Subtract, TrueDivide) as Keras operations",
    ),
    (
        "constant first",
        lambda x: 1.0 - x,
        [op_lambda("op", "math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": ["picture", 0, 0]}])],
        "read 1 TensorFlow operation (Subtract) as Keras operation",
    ),
    (
        "constant first, 2.3",
        lambda x: 1.0 - x,
        [op_layer("op", "Sub", ["picture"], {"0": 1.0})],
        "read 1 TensorFlow operation (Subtract) as Keras operation",
    ),
    (
        "caffe",
        lambda x: x[..., ::-1] + np.asarray([-103.939, -116.779, -123.68], "float32"),
        [
            op_lambda(
                "tf.__operators__.getitem",
                "__operators__.getitem",
                [
                    "picture",
                    0,
                    0,
                    {
                        "slice_spec": [
                            {"class_name": "__ellipsis__"},
                            {"start": None, "stop": None, "step": -1},
                        ]
                    },
                ],
                "SlicingOpLambda",
            ),
            op_lambda(
                "op",
                "nn.bias_add",
                [
                    "tf.__operators__.getitem",
                    0,
                    0,
                    {"bias": [-103.939, -116.779, -123.68], "data_format": "NHWC"},
                ],
            ),
        ],
        "read 2 TensorFlow operations (Add, GetItem) as Keras operations",
    ),
    (
        "caffe, 2.3",
        lambda x: x[..., ::-1] + np.asarray([-103.939, -116.779, -123.68], "float32"),
        [
            op_layer(
                "slice",
                "StridedSlice",
                ["picture"],
                {"1": [0, 0], "2": [0, 0], "3": [1, -1]},
                ellipsis_mask={"i": "1"},
                begin_mask={"i": "2"},
                end_mask={"i": "2"},
                shrink_axis_mask={"i": "0"},
                new_axis_mask={"i": "0"},
            ),
            op_layer("op", "BiasAdd", ["slice"], {"1": [-103.939, -116.779, -123.68]}),
        ],
        "read 2 TensorFlow operations (Add, GetItem) as Keras operations",
    ),
    (
        "a slice of the picture, 2.3",
        lambda x: x[:, 2:10:2],
        [
            op_layer(
                "op",
                "StridedSlice",
                ["picture"],
                {"1": [0, 2], "2": [0, 10], "3": [1, 2]},
                begin_mask={"i": "1"},
                end_mask={"i": "1"},
            ),
        ],
        "read 1 TensorFlow operation (GetItem) as Keras operation",
    ),
    (
        "hard swish",
        lambda x: x * (keras.ops.relu6(x + 3.0) * (1 / 6)),
        [
            op_lambda("add", "__operators__.add", ["picture", 0, 0, {"y": 3.0}]),
            op_lambda("relu6", "nn.relu6", ["add", 0, 0, {"name": None}]),
            op_lambda("mul", "math.multiply", ["relu6", 0, 0, {"y": 1 / 6}]),
            op_lambda("op", "math.multiply", ["picture", 0, 0, {"y": ["mul", 0, 0]}]),
        ],
        "read 4 TensorFlow operations (Add, Multiply, Relu6) as Keras operations",
    ),
    (
        "two halves",
        lambda x: keras.ops.concatenate([x, keras.ops.maximum(x, 0.5)], axis=-1),
        [
            op_lambda("max", "math.maximum", ["picture", 0, 0, {"y": 0.5}]),
            op_lambda(
                "op", "concat", [["picture", 0, 0, {"axis": -1}], ["max", 0, 0, {"axis": -1}]]
            ),
        ],
        "read 2 TensorFlow operations (Concatenate, Maximum) as Keras operations",
    ),
    (
        "two halves, 2.3",
        lambda x: keras.ops.concatenate([x, keras.ops.maximum(x, 0.5)], axis=-1),
        [
            op_layer("max", "Maximum", ["picture"], {"1": 0.5}),
            op_layer("op", "ConcatV2", ["picture", "max"], {"2": -1}),
        ],
        "read 2 TensorFlow operations (Concatenate, Maximum) as Keras operations",
    ),
    (
        "attention to channels",
        lambda x: x + keras.ops.mean(x, axis=(1, 2), keepdims=True),
        [
            op_lambda(
                "mean", "math.reduce_mean", ["picture", 0, 0, {"axis": [1, 2], "keepdims": True}]
            ),
            op_lambda("op", "__operators__.add", ["picture", 0, 0, {"y": ["mean", 0, 0]}]),
        ],
        "read 2 TensorFlow operations (Add, Mean) as Keras operations",
    ),
    (
        "attention to channels, 2.3",
        lambda x: x + keras.ops.mean(x, axis=(1, 2), keepdims=True),
        [
            op_layer("mean", "Mean", ["picture"], {"1": [1, 2]}, keep_dims={"b": True}),
            op_layer("op", "AddV2", ["picture", "mean"], {}),
        ],
        "read 2 TensorFlow operations (Add, Mean) as Keras operations",
    ),
    (
        "resizing",
        lambda x: keras.ops.image.resize(x, (7, 9)),
        [op_lambda("op", "image.resize", ["picture", 0, 0, {"size": [7, 9]}])],
        "read 1 TensorFlow operation (Resize) as Keras operation",
    ),
    (
        "resizing, 2.3",
        lambda x: keras.ops.image.resize(x, (7, 9)),
        [
            op_layer(
                "op",
                "ResizeBilinear",
                ["picture"],
                {"1": [7, 9]},
                half_pixel_centers={"b": True},
                align_corners={"b": False},
            )
        ],
        "read 1 TensorFlow operation (Resize) as Keras operation",
    ),
    (
        "shapes",
        lambda x: keras.ops.transpose(keras.ops.reshape(x, (-1, 8, 32, 3)), (0, 2, 1, 3)),
        [
            op_lambda("cast", "cast", ["picture", 0, 0, {"dtype": "float32"}]),
            op_lambda("reshape", "reshape", ["cast", 0, 0, {"shape": [-1, 8, 32, 3]}]),
            op_lambda("expand", "expand_dims", ["reshape", 0, 0, {"axis": 1}]),
            op_lambda("squeeze", "compat.v1.squeeze", ["expand", 0, 0, {"axis": 1}]),
            op_lambda("same", "identity", ["squeeze", 0, 0, {}]),
            op_lambda("op", "transpose", ["same", 0, 0, {"perm": [0, 2, 1, 3]}]),
        ],
        "read 6 TensorFlow operations (Cast, ExpandDims, Identity, Reshape, Squeeze, Transpose) "
        "as Keras operations",
    ),
    (
        "activations",
        lambda x: keras.ops.softmax(keras.ops.leaky_relu(keras.ops.gelu(x - 0.5, False), 0.1)),
        [
            op_lambda("less", "math.subtract", ["picture", 0, 0, {"y": 0.5}]),
            op_lambda("gelu", "nn.gelu", ["less", 0, 0, {"approximate": False}]),
            op_lambda("leaky", "nn.leaky_relu", ["gelu", 0, 0, {"alpha": 0.1}]),
            op_lambda("op", "nn.softmax", ["leaky", 0, 0, {"axis": -1}]),
        ],
        "read 4 TensorFlow operations (Gelu, LeakyRelu, Softmax, Subtract) as Keras operations",
    ),
    (
        "limits",
        lambda x: keras.ops.clip(x, 0.25, 0.75),
        [
            op_lambda(
                "op",
                "clip_by_value",
                ["picture", 0, 0, {"clip_value_min": 0.25, "clip_value_max": 0.75}],
            )
        ],
        "read 1 TensorFlow operation (Clip) as Keras operation",
    ),
]


@pytest.mark.parametrize(
    ("apply", "operations", "sentence"),
    [case[1:] for case in CHAIN],
    ids=[case[0] for case in CHAIN],
)
def test_tensorflow_operations(
    tmp_path: Path, apply: Callable[[Any], Any], operations: list[Json], sentence: str
) -> None:
    before = L.Input(SIZE)
    stand_in = keras.Model(before, apply(before), name="op")
    conv = L.Conv2D(4, 3, name="conv")
    network = functional(stand_in, conv, *head())
    path = save(network, tmp_path / "m.keras")

    def old(config: Json) -> None:
        old_nodes(config)
        replaced(config, "op", *copy.deepcopy(operations))

    rewrite(path, old, "2.15.0")
    found = opened(path, network, "Unknown layer", UNWRAPPED, sentence)
    # What was mended is an ordinary model: saved again it opens as it is.
    again = open_network(save(found.network, tmp_path / "again.keras"))
    assert again.mended == ()
    assert_same(again.network, network, noise(2, *SIZE))


def test_an_operation_that_is_not_known(tmp_path: Path) -> None:
    path = save(functional(L.ReLU(name="op"), L.Conv2D(2, 3), *head()), tmp_path / "m.h5")

    def old(config: Json) -> None:
        replaced(config, "op", op_lambda("op", "signal.rfft2d", ["picture", 0, 0, {}]))

    rewrite(path, old)
    with pytest.raises(ModelError, match=r"TensorFlow operation 'signal.rfft2d' as layer 'op'"):
        open_network(path)


@pytest.mark.parametrize(
    "operation",
    [
        op_lambda("op", "image.resize", ["picture", 0, 0, {"size": [7, 9], "antialias": True}]),
        op_lambda("op", "math.add", ["picture", 0, 0, {}]),
        op_lambda("op", "nn.bias_add", ["picture", 0, 0, {"bias": [1.0], "data_format": "NCHW"}]),
        op_lambda("op", "nn.relu", ["picture", 0, 0, {"threshold": 2.0}]),
        op_layer(
            "op", "ResizeBilinear", ["picture"], {"1": [7, 9]}, half_pixel_centers={"b": False}
        ),
    ],
    ids=["antialias", "no operand", "channels first", "extra argument", "old resizing"],
)
def test_an_operation_with_settings_that_are_not_known(tmp_path: Path, operation: Json) -> None:
    path = save(functional(L.ReLU(name="op"), L.Conv2D(2, 3), *head()), tmp_path / "m.h5")
    rewrite(path, lambda config: replaced(config, "op", copy.deepcopy(operation)))
    with pytest.raises(ModelError, match="which Keras 3 cannot open"):
        open_network(path)


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


def test_classes_of_keras_2_have_another_module(tmp_path: Path) -> None:
    network = functional(L.Conv2D(4, 3), *head())
    path = save(network, tmp_path / "m.keras")

    def old(config: Json) -> None:
        config["module"] = "keras.src.engine.functional"

    rewrite(path, old, "2.13.1")
    sentence = "found the Keras 3 module of 1 layer (Functional)"
    opened(path, network, "cannot be imported", sentence)


def test_layers_in_other_layers_need_a_module(tmp_path: Path) -> None:
    network = sequential(L.TimeDistributed(L.Conv1D(2, 3)), *head())
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        inner = layers(config)[1]["config"]["layer"]
        del inner["module"], inner["registered_name"]

    rewrite(path, old)
    sentence = "found the Keras 3 module of 1 layer (Conv1D)"
    opened(path, network, "Could not locate class 'Conv1D'", sentence)


def test_layers_of_keras_applications_in_hdf5(tmp_path: Path) -> None:
    from keras.src.applications.convnext import LayerScale

    network = sequential(L.Conv2D(4, 3), LayerScale(0.5, 4), *head())
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        layers(config)[2]["class_name"] = "LayerScale"

    rewrite(path, old)
    sentence = "found the Keras 3 module of 1 layer (LayerScale)"
    opened(path, network, "LayerScale", sentence)


@pytest.mark.parametrize(
    ("name", "new", "config"),
    [
        ("FixedDropout", "Dropout", {"rate": 0.2, "noise_shape": [None, 1, 1, 1]}),
        ("RandomHeight", "Identity", {"factor": None}),
        ("BatchNormalizationV1", "BatchNormalization", None),
    ],
)
def test_classes_that_have_another_name_today(
    tmp_path: Path, name: str, new: str, config: Json | None
) -> None:
    network = functional(L.Conv2D(4, 3, name="conv"), getattr(L, new)(**extra(new)), *head())
    path = save(network, tmp_path / "m.h5")

    def old(whole: Json) -> None:
        one = layers(whole)[2]
        one["class_name"] = name
        if config is not None:
            one["config"] = {"name": one["config"]["name"], "trainable": True} | config

    rewrite(path, old)
    assert fails_in_keras(path)
    found = open_network(path)
    assert found.mended[0] == f"read 1 layer {name} as {new}"
    assert_same(found.network, network, noise(2, *SIZE))


def extra(name: str) -> Json:
    return {"rate": 0.2} if name == "Dropout" else {}


def test_activations_that_used_to_be_custom(tmp_path: Path) -> None:
    network = functional(L.Conv2D(4, 3, activation="hard_silu"), L.Activation("silu"), *head())
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        layers(config)[1]["config"]["activation"] = "h_swish"
        layers(config)[2]["config"]["activation"] = "get_swish"

    rewrite(path, old)
    opened(
        path,
        network,
        "h_swish",
        "read `h_swish` as `hard_silu` in 1 layer",
        "read `get_swish` as `silu` in 1 layer",
    )


def test_the_layers_of_an_old_sequential_model_are_a_bare_list(tmp_path: Path) -> None:
    network = sequential(L.Conv2D(4, 3), *head())
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        config["config"] = layers(config)[1:]
        config["config"][0]["config"]["batch_input_shape"] = [None, *SIZE]

    rewrite(path, old, "2.1.6")
    opened(
        path,
        network,
        "",
        "named 1 Sequential model of Keras 2.2 or older",
        "gave 1 Sequential model an input layer",
    )


def test_initializers_of_tensorflow_and_rescaling_without_offset(tmp_path: Path) -> None:
    network = sequential(L.Rescaling(1 / 255), L.Conv2D(2, 3, bias_initializer="zeros"), *head())
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        del layers(config)[1]["config"]["offset"]
        initializer = layers(config)[2]["config"]["bias_initializer"]
        initializer |= {"module": "tensorflow.python.ops.init_ops_v2", "registered_name": "Zeros"}

    rewrite(path, old, "2.13.1")
    opened(
        path,
        network,
        "",
        "read 1 Zeros initializer",
        "gave 1 Rescaling layer the offset 0",
    )


def sums_of_inception_resnet(source: str, name: str) -> tuple[Any, Callable[[Json], None]]:
    """Return a model, and what makes its sum a Lambda layer whose code is from ``source``."""
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    picture = L.Input(SIZE, name="picture")
    branch = L.Conv2D(3, 3, padding="same", name="branch")(picture)
    x = CustomScaleLayer(0.17, name=name)([picture, branch])
    network = keras.Model(picture, L.Flatten(name="flat")(x))
    set_weights(network)
    code = compile("lambda inputs, scale: inputs[0] + inputs[1] * scale", source, "eval")
    packed = base64.b64encode(marshal.dumps(code)).decode()

    def old(config: Json) -> None:
        one = layer(config, name)
        one["class_name"] = "Lambda"
        one["inbound_nodes"] = [[["picture", 0, 0, {}], ["branch", 0, 0, {}]]]
        one["config"] = {
            "name": name,
            "trainable": True,
            "dtype": "float32",
            "function": [packed, None, None],
            "function_type": "lambda",
            "module": "keras.applications.inception_resnet_v2",
            "output_shape": [16, 16, 3],
            "output_shape_type": "raw",
            "arguments": {"scale": 0.17},
        }

    return network, old


def test_the_sums_of_inception_resnet(tmp_path: Path) -> None:
    network, old = sums_of_inception_resnet("/x/inception_resnet_v2.py", "block35_1")
    path = save(network, tmp_path / "m.h5")
    rewrite(path, old)
    sentence = "read 1 sum of InceptionResNetV2 without their code"
    opened(path, network, "arbitrary code execution", sentence)


@pytest.mark.parametrize(
    ("source", "name"), [("/x/mine.py", "block35_1"), ("/x/inception_resnet_v2.py", "mixed")]
)
def test_other_lambda_layers_are_not_taken_for_them(tmp_path: Path, source: str, name: str) -> None:
    network, old = sums_of_inception_resnet(source, name)
    path = save(network, tmp_path / "m.h5")
    rewrite(path, old)
    with pytest.raises(
        ModelError, match=f"carries code that would run here: Lambda layer '{name}'"
    ):
        open_network(path)


def test_how_a_nested_model_was_trained_with_code_of_ones_own(tmp_path: Path) -> None:
    inner = backbone()
    inner.compile("sgd", "mse")
    network = sequential(inner, *head())
    path = save(network, tmp_path / "m.keras")

    def old(config: Json) -> None:
        nested = layer(config, "backbone")
        loss = {"class_name": "Focal", "module": "mine", "config": {}, "registered_name": "Focal"}
        nested["compile_config"]["loss"] = loss

    rewrite(path, old, keras.__version__)
    sentence = "left out the training of 1 nested model"
    opened(path, network, "Focal", sentence)


def old_groups(path: Path, names: dict[str, str], separator: str = "/") -> None:
    """Rename the groups of layers in a ``.keras`` file; ``names`` maps new ones to old ones."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = path.with_name("weights.h5")
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        for new, old in names.items():
            target = old.replace("/", separator)
            if separator == "/":
                file.require_group(target.rpartition("/")[0])
            file.move(f"layers/{new}", target)
        del file["layers"]
    write_zip(path, members | {"model.weights.h5": weights.read_bytes()})


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_weights_of_keras_2_13(tmp_path: Path, separator: str) -> None:
    network = sequential(L.Conv2D(4, 3), L.Conv2D(4, 3), L.Conv2D(4, 3), *head())
    path = save(network, tmp_path / "m.keras")
    old = "_layer_checkpoint_dependencies/"
    names = {
        "conv2d": f"{old}conv2d",
        "conv2d_1": f"{old}conv2d_2",
        "conv2d_2": f"{old}conv2d_4",
        "dense": f"{old}dense",
    }
    rewrite(path, lambda _: None, "2.13.1")
    old_groups(path, names, separator)
    opened(path, network, "could not", "matched the weights of 2 layers by their order")


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_weights_of_keras_2_13_in_nested_models(tmp_path: Path, separator: str) -> None:
    network = functional(backbone("first"), L.Conv2D(2, 3, name="conv"), *head())
    path = save(network, tmp_path / "m.keras")
    rewrite(path, lambda config: old_nodes(config, nested=("first",)), "2.13.1")
    old = "_layer_checkpoint_dependencies/"
    names = {
        "functional/layers/conv2d": f"{old}functional/{old}conv2d",
        "functional/layers/batch_normalization": f"{old}functional/{old}batch_normalization",
        "conv2d": f"{old}conv2d",
        "dense": f"{old}dense",
    }
    old_groups(path, names, separator)
    opened(path, network, "nodes", UNWRAPPED, "counted the calls of 1 nested model anew")


def test_weights_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    """Keras 3 sorts layers by depth, then as it meets them; Keras 2 wrote what it wrote."""
    picture = L.Input(SIZE, name="picture")
    left = L.Conv2D(4, 3, padding="same", name="left")(picture)
    right = L.Conv2D(4, 3, padding="same", name="right")(picture)
    network = keras.Model(picture, L.Flatten(name="flat")(L.Subtract(name="sub")([left, right])))
    set_weights(network)
    path = save(network, tmp_path / "m.keras")

    def swap(config: Json) -> None:
        found = layers(config)
        places = [found.index(layer(config, name)) for name in ("left", "right")]
        found[places[0]], found[places[1]] = found[places[1]], found[places[0]]

    rewrite(path, swap, "2.15.0")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = tmp_path / "weights.h5"
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file.move("layers/conv2d", "layers/other")
        file.move("layers/conv2d_1", "layers/conv2d")
        file.move("layers/other", "layers/conv2d_1")
    write_zip(path, members | {"model.weights.h5": weights.read_bytes()})
    found = open_network(path)
    for name in ("left", "right"):
        mine, theirs = (one.get_layer(name) for one in (found.network, network))
        for ours, expected in zip(values(mine), values(theirs), strict=True):
            np.testing.assert_array_equal(ours, expected)
    assert_same(found.network, network, noise(2, *SIZE))


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_a_model_that_opens_is_left_alone(tmp_path: Path, name: str) -> None:
    network = functional(
        backbone(),
        L.RandomFlip(),
        L.SeparableConv2D(4, 3),
        L.LayerNormalization(),
        L.LeakyReLU(0.1),
        L.SpatialDropout2D(0.1),
        L.Reshape((12, 48)),
        L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.GRU(4),
        L.Dense(2),
    )
    found = open_network(save(network, tmp_path / name))
    assert found.mended == ()
    assert_same(found.network, network, noise(2, *SIZE))


@pytest.mark.parametrize(
    "build",
    [
        keras.applications.MobileNetV2,
        keras.applications.MobileNetV3Small,
        keras.applications.EfficientNetB0,
        keras.applications.EfficientNetV2B0,
        keras.applications.Xception,
    ],
)
def test_applications_of_keras_3_need_no_mending(build: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = build(weights=None)
    config = json.loads(network.to_json())
    before = copy.deepcopy(config)
    mended, sentences = mend(config)
    assert sentences == ()
    assert mended == before == config


def test_mending_is_done_on_a_copy_and_once() -> None:
    config = json.loads(sequential(L.DepthwiseConv2D(3), *head()).to_json())
    groups(config)
    before = copy.deepcopy(config)
    mended, sentences = mend(config)
    assert config == before
    assert sentences == ("dropped `groups` from 1 DepthwiseConv2D layer",)
    assert mend(mended) == (mended, ())
