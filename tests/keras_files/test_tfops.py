from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.file import open_network
from tests.keras_files.rewriting import (
    SIZE,
    UNWRAPPED,
    Json,
    assert_same,
    functional,
    head,
    layers,
    noise,
    old_nodes,
    opened,
    rewrite,
    save,
)

L = keras.layers


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
    # What was repaired is an ordinary model: saved again it opens as it is.
    again = open_network(save(found.network, tmp_path / "again.keras"))
    assert again.repaired == ()
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
