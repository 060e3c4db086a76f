from __future__ import annotations

import base64
import copy
import json
import marshal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.file import open_network
from gradcam_cli.keras_files.repair import repair
from tests.keras_files.rewriting import (
    SIZE,
    Json,
    assert_same,
    backbone,
    fails_in_keras,
    functional,
    groups,
    head,
    layer,
    layers,
    noise,
    opened,
    rewrite,
    save,
    sequential,
    set_weights,
)

L = keras.layers


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


def test_the_type_of_an_initializer_without_a_constructor(tmp_path: Path) -> None:
    network = sequential(L.Conv2D(4, 3), L.BatchNormalization(), *head())
    path = save(network, tmp_path / "m.h5")

    def old(config: Json) -> None:
        zeros = {"class_name": "Zeros", "config": {"dtype": "float32"}}
        ones = {"class_name": "Ones", "config": {"dtype": "float32"}}
        for name in ("conv2d", "dense"):
            layer(config, name)["config"]["bias_initializer"] = dict(zeros)
        layer(config, "batch_normalization")["config"]["gamma_initializer"] = ones

    rewrite(path, old, "2.2.4-tf")
    opened(
        path,
        network,
        "takes no arguments",
        "dropped `dtype` from 2 Zeros initializers",
        "dropped `dtype` from 1 Ones initializer",
    )


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
    assert found.repaired[0] == f"read 1 layer {name} as {new}"
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
    opened(path, network, "Focal")


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
    assert found.repaired == ()
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
    repaired, sentences = repair(config)
    assert sentences == ()
    assert repaired == before == config


def test_mending_is_done_on_a_copy_and_once() -> None:
    config = json.loads(sequential(L.DepthwiseConv2D(3), *head()).to_json())
    groups(config)
    before = copy.deepcopy(config)
    repaired, sentences = repair(config)
    assert config == before
    assert sentences == ("dropped `groups` from 1 DepthwiseConv2D layer",)
    assert repair(repaired) == (repaired, ())
