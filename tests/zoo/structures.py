"""How layers are put together: in a row, nested, shared, branching, subclassed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.zoo.case import (
    CLASS,
    Built,
    Case,
    Tensor,
    bottom,
    chain,
    conv,
    linear,
    shaken,
    stem,
    unit,
)
from tests.zoo.parts import Block, Classifier, Compiled

L = keras.layers


def functional() -> Built:
    inputs, layers, flat = keras.Input((16, 16, 3)), stem(), L.Flatten()
    dense = L.Dense(4, activation="softmax", name="classes")
    network = shaken(keras.Model(inputs, dense(flat(chain(*layers)(inputs)))))
    return Built(network, chain(*layers[:2]), chain(*layers[2:], flat, linear(dense)))


def sequential(with_input: bool) -> Built:
    layers = stem()
    tail = [L.GlobalAveragePooling2D(), L.Dense(4, activation="softmax", name="classes")]
    network = keras.Sequential([keras.Input((16, 16, 3))] * with_input + layers + tail)
    network(np.zeros((1, 16, 16, 3), np.float32))
    return Built(shaken(network), chain(*layers), chain(tail[0], linear(tail[1])))


def reloaded() -> Built:
    """A network that has been saved and loaded before it is saved."""
    built = functional()
    with tempfile.TemporaryDirectory() as folder:
        built.network.save(f"{folder}/model.keras")
        network = keras.saving.load_model(f"{folder}/model.keras", compile=False)
    return replace(built, network=network)


def augmentation() -> Any:
    return keras.Sequential(
        [L.RandomFlip("horizontal"), L.RandomRotation(0.3), L.RandomContrast(0.5)], name="augment"
    )


def backbone(name: str = "base", size: int = 16) -> tuple[Any, list[Any]]:
    inputs = keras.Input((size, size, 3))
    layers = [conv(6, "conv1"), L.MaxPooling2D(2, name="pool"), L.Conv2D(8, 3, name="conv2")]
    layers += [L.BatchNormalization(name="norm"), L.ReLU(name="relu")]
    return keras.Model(inputs, chain(*layers)(inputs), name=name), layers


def nested(twice: bool = False) -> Built:
    base, inner = backbone()
    if twice:
        again = keras.Input((16, 16, 3))
        base = keras.Model(again, base(again), name="outer")
    inputs = keras.Input((16, 16, 3))
    scale, pool, dense = L.Rescaling(1 / 127.5, -1), L.GlobalAveragePooling2D(), L.Dense(3)
    x = base(scale(augmentation()(inputs)), training=False)
    x = L.Dropout(0.5)(pool(x))
    network = shaken(keras.Model(inputs, L.Softmax()(dense(x))))
    return Built(network, chain(scale, *inner[:3]), chain(*inner[3:], pool, dense))


def nested_in_sequential() -> Built:
    base, inner = backbone()
    classifier = [L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")]
    front = keras.Sequential([base, classifier[0]], name="front")
    head = keras.Sequential([classifier[1]], name="head")
    network = keras.Sequential([keras.Input((16, 16, 3)), front, head])
    return Built(shaken(network), chain(*inner), chain(classifier[0], linear(classifier[1])))


def holding_layer() -> Built:
    inputs, first, block = keras.Input((12, 12, 3)), conv(6, "conv"), Block(6, name="block")
    pool, dense = L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")
    network = shaken(keras.Model(inputs, dense(pool(block(first(unit(inputs)))))))

    def features(x: Tensor) -> Tensor:
        return block.first(first(x / 255.0))

    def head(A: Tensor, x: Tensor) -> Tensor:
        y = block.norm(block.second(A), training=False)
        return linear(dense)(pool(tf.nn.relu(first(x / 255.0) + y)))

    return Built(network, features, head)


def shared(call: int) -> Built:
    inputs, twice, flat = keras.Input((12, 12, 3)), conv(3, "twice"), L.Flatten()
    pool, dense = L.AveragePooling2D(2), L.Dense(3, activation="softmax")
    network = shaken(keras.Model(inputs, dense(flat(twice(pool(twice(unit(inputs))))))))
    first, last = chain(unit, twice), chain(pool, twice)
    end = chain(flat, linear(dense))
    if call == 1:
        return Built(network, first, chain(last, end))
    return Built(network, chain(first, last), end)


def residual() -> Built:
    inputs, flat = keras.Input((12, 12, 3)), L.Flatten()
    first, left, right = conv(6, "conv"), L.Conv2D(6, 3, padding="same", name="branch"), L.Add()
    act, dense = L.ReLU(name="relu"), L.Dense(3, activation="softmax")
    x = first(unit(inputs))
    network = shaken(keras.Model(inputs, dense(flat(act(right([x, left(x)]))))))

    def head(A: Tensor, x: Tensor) -> Tensor:
        return linear(dense)(flat(tf.nn.relu(A + first(x / 255.0))))

    return Built(network, lambda x: left(first(x / 255.0)), head)


def parallel() -> Built:
    inputs, pool = keras.Input((12, 12, 3)), L.GlobalAveragePooling2D()
    a, b = conv(3, "narrow", 1), conv(5, "broad", 3, padding="same")
    join, dense = L.Concatenate(name="join"), L.Dense(3, activation="softmax")
    network = shaken(keras.Model(inputs, dense(pool(join([b(inputs), a(inputs)])))))

    def head(A: Tensor, x: Tensor) -> Tensor:
        return linear(dense)(pool(tf.concat([A, a(x)], -1)))

    return Built(network, b, head)


def squeeze_excite() -> Built:
    inputs, first = keras.Input((12, 12, 3)), conv(6, "conv")
    squeeze, less = L.GlobalAveragePooling2D(keepdims=True), conv(2, "less", 1)
    more, times = L.Conv2D(6, 1, activation="sigmoid", name="more"), L.Multiply(name="excite")
    flat, dense = L.Flatten(), L.Dense(3, activation="softmax")
    x = first(unit(inputs))
    network = keras.Model(inputs, dense(flat(times([x, more(less(squeeze(x)))]))))

    def head(A: Tensor, _x: Tensor) -> Tensor:
        return linear(dense)(flat(A * more(less(squeeze(A)))))

    return Built(shaken(network), chain(unit, first), head)


def subclassed(compiled: bool) -> Built:
    network = (Compiled if compiled else Classifier)(name="mine")
    network(np.zeros((1, 12, 12, 3), np.float32))
    block, factor = network.block, 2.0 if compiled else 1.0

    def features(x: Tensor) -> Tensor:
        return network.conv(x / 255.0)

    def head(A: Tensor, _x: Tensor) -> Tensor:
        A = A * factor
        y = block.norm(block.second(block.first(A)), training=False)
        return linear(network.classes)(network.pool(tf.nn.relu(A + y)))

    return Built(shaken(network), features, head)


def quantized() -> Built:
    inputs, first, flat = keras.Input((12, 12, 3)), conv(6, "conv"), L.Flatten()
    hidden, dense = L.Dense(8, activation="relu"), L.Dense(3)
    end = L.Softmax()
    network = shaken(keras.Model(inputs, end(dense(hidden(flat(first(unit(inputs))))))))
    for layer in (hidden, dense):
        layer.quantize("int8")
    return Built(network, chain(unit, first), chain(flat, hidden, dense))


CASES: tuple[Case, ...] = (
    Case(
        "functional",
        'Functional: convolutions, pooling, a dense layer with `activation="softmax"`.',
        functional,
        "conv1",
        "conv2",
        (14, 14),
    ),
    Case(
        "sequential",
        "Sequential with an `Input`.",
        partial(sequential, True),
        "conv2",
        "conv2",
        (5, 5),
    ),
    Case(
        "sequential-no-input",
        "Sequential without an `Input`, built by its first call.",
        partial(sequential, False),
        "conv2",
        "conv2",
        (5, 5),
    ),
    Case(
        "reloaded",
        "A model that was loaded from a file and saved again.",
        reloaded,
        "conv1",
        "conv2",
        (14, 14),
    ),
    Case(
        "nested",
        "Transfer learning: augmentation, `Rescaling`, a backbone nested in the model, dropout.",
        nested,
        "base/conv2",
        "base/relu",
        (5, 5),
        inside="-1..1",
    ),
    Case(
        "nested-twice",
        "A backbone nested in a model that is nested in the model.",
        partial(nested, True),
        "outer/base/conv2",
        "outer/base/relu",
        (5, 5),
        inside="-1..1",
    ),
    Case(
        "nested-sequential",
        "A Functional backbone in a Sequential in a Sequential (Teachable Machine's way).",
        nested_in_sequential,
        "front/base/relu",
        "front/base/relu",
        (5, 5),
        inside="nothing",
    ),
    Case(
        "holding-layer",
        "A custom layer that holds layers, asked for by a layer inside it.",
        holding_layer,
        "block/first",
        "block",
        (10, 10),
    ),
    Case(
        "shared-last",
        "A layer that is called twice: the last call is taken.",
        partial(shared, 2),
        "twice",
        "twice",
        (3, 3),
    ),
    Case(
        "shared-first",
        "A layer that is called twice: `--call 1` takes the first call.",
        partial(shared, 1),
        "twice",
        "twice",
        (10, 10),
        call=1,
    ),
    Case(
        "residual",
        "A layer inside a residual branch, past which the picture also reaches the score.",
        residual,
        "branch",
        "relu",
        (10, 10),
    ),
    Case(
        "parallel",
        "One of several parallel branches.",
        parallel,
        "broad",
        "join",
        (12, 12),
        inside="nothing",
    ),
    Case(
        "squeeze-excite",
        "Squeeze and excite: the map also steers its own channels.",
        squeeze_excite,
        "conv",
        "excite",
        (10, 10),
    ),
    Case(
        "convolutions",
        "Separable, depthwise, dilated, grouped and transposed convolutions; group normalisation.",
        partial(
            bottom,
            [
                L.Rescaling(1 / 255),
                L.SeparableConv2D(6, 3, name="separable"),
                L.DepthwiseConv2D(3, dilation_rate=2, name="depthwise"),
                conv(4, "dilated", dilation_rate=2),
                conv(4, "grouped", groups=2),
                L.ZeroPadding2D(1),
                L.Conv2DTranspose(4, 3, strides=2, name="transposed"),
                L.GroupNormalization(2, name="norm"),
            ],
            (16, 16, 3),
        ),
        "norm",
        "norm",
        (13, 13),
    ),
    Case(
        "noise",
        "Dropout, noise and augmentation between the layers: all off.",
        partial(
            bottom,
            [
                L.Rescaling(1 / 255),
                L.RandomFlip(),
                L.RandomZoom(0.5),
                L.GaussianNoise(1.0),
                conv(6, "conv"),
                L.SpatialDropout2D(0.5),
                L.BatchNormalization(name="norm"),
                L.GaussianDropout(0.5),
                L.AlphaDropout(0.5),
            ],
            (12, 12, 3),
        ),
        "norm",
        "norm",
        (10, 10),
    ),
    Case(
        "quantized",
        "Dense layers quantised to int8 behind the feature map.",
        quantized,
        "conv",
        "conv",
        (10, 10),
    ),
    Case(
        "subclassed",
        "A subclassed model (its class is given with `--custom-objects`).",
        partial(subclassed, False),
        "conv",
        "block",
        (10, 10),
        no_h5=CLASS,
    ),
    Case(
        "subclassed-function",
        "A subclassed model whose call is a `@tf.function` with an `if` on a tensor.",
        partial(subclassed, True),
        "conv",
        "block",
        (10, 10),
        no_h5=CLASS,
    ),
)
