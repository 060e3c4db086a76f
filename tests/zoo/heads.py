"""What the score is: every spelling of softmax, sigmoid, linear, low precision, maps of classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from tests.zoo.case import (
    Built,
    Case,
    Tensor,
    chain,
    conv,
    linear,
    shaken,
    stem,
    unit,
)

L = keras.layers


def softmax_spelt(end: Callable[[Any, Any], Any], tail: int = 0) -> Built:
    """The plain network with its last activation spelt by ``end(dense, x)``."""
    inputs = keras.Input((16, 16, 3))
    layers, flat = stem(), L.Flatten()
    dense = L.Dense(4, activation="softmax" if tail else None, name="classes")
    x = flat(chain(*layers)(inputs))
    network = shaken(keras.Model(inputs, end(dense, x)))
    return Built(network, chain(*layers), chain(flat, linear(dense)))


def softmax_nested() -> Built:
    inputs, layers, pool = keras.Input((16, 16, 3)), stem(), L.GlobalAveragePooling2D()
    small, dense = keras.Input((8,)), L.Dense(4, activation="softmax")
    head = keras.Model(small, dense(small), name="head")
    network = shaken(keras.Model(inputs, head(pool(chain(*layers)(inputs)))))
    return Built(network, chain(*layers), chain(pool, linear(dense)))


def headed(units: int, activation: str | None, dtype: str = "float32") -> Built:
    """The plain network with a dense head; in low precision, its float32 twin is the reference."""
    inputs = keras.Input((16, 16, 3))

    def layers(dtype: str) -> tuple[Any, list[Any], list[Any]]:
        body = [*stem(dtype=dtype), L.BatchNormalization(name="norm", dtype=dtype)]
        tail = [L.GlobalAveragePooling2D(dtype=dtype), L.Dense(units, activation, dtype=dtype)]
        return keras.Model(inputs, chain(*body, *tail)(inputs)), body, tail

    network = shaken(layers(dtype)[0])
    twin, body, tail = layers("float32")
    twin.set_weights(network.get_weights())
    logits = linear(tail[1])

    def head(A: Tensor, _x: Tensor) -> Tensor:
        z = logits(tail[0](A))
        return tf.concat([-z, z], -1) if activation == "sigmoid" and units == 1 else z

    return Built(network, chain(*body), head)


def segmentation(kind: str, first: bool = False) -> Built:
    """An encoder and decoder; the reference sums a class over the cells that it wins."""
    where: dict[str, Any] = {"data_format": "channels_first"} if first else {}
    inputs = keras.Input((3, 16, 16) if first else (16, 16, 3))
    layers = [L.Rescaling(1 / 255), conv(6, "conv1", padding="same", **where)]
    # seven channels: Keras 3 adds a channels-first bias to the columns where there are as many
    layers += [L.MaxPooling2D(2, **where), conv(7, "conv2", padding="same", **where)]
    if not first:
        layers += [L.UpSampling2D(2, name="up"), conv(6, "conv3", padding="same")]
    classes = L.Conv2D(3, 1, name="classes", **where)
    ends = {"softmax": L.Softmax(axis=1 if first else -1), "sigmoid": L.Activation("sigmoid")}
    network = shaken(keras.Model(inputs, chain(*layers, classes, ends[kind])(inputs)))

    def last(x: Tensor) -> Tensor:
        return tf.transpose(x, (0, 2, 3, 1)) if first else x

    def features(x: Tensor) -> Tensor:
        return chain(*layers)(tf.transpose(x, (0, 3, 1, 2)) if first else x)

    def head(A: Tensor, _x: Tensor) -> Tensor:
        z = last(classes(A))
        wins = z > 0 if kind == "sigmoid" else z == tf.reduce_max(z, -1, keepdims=True)
        return tf.reduce_sum(tf.where(wins, z, 0.0), (1, 2))

    return Built(network, features, head, lambda A: last(A).numpy() if first else A)


def ensemble() -> Built:
    inputs, first, flat = keras.Input((12, 12, 3)), conv(6, "conv"), L.Flatten()
    halves = [L.Dense(3, activation="softmax", name=name) for name in ("one", "two")]
    x = flat(first(unit(inputs)))
    network = shaken(keras.Model(inputs, L.Average()([half(x) for half in halves])))

    def head(A: Tensor, _x: Tensor) -> Tensor:
        return (halves[0](flat(A)) + halves[1](flat(A))) / 2

    return Built(network, chain(unit, first), head)


SOFTMAX: dict[str, tuple[str, Callable[[Any, Any], Any], int]] = {
    "activation": ("an `Activation` layer", lambda dense, x: L.Activation("softmax")(dense(x)), 0),
    "layer": ("a `Softmax` layer", lambda dense, x: L.Softmax()(dense(x)), 0),
    "ops": ("`keras.ops.softmax`", lambda dense, x: keras.ops.softmax(dense(x)), 0),
    "log": ("`keras.ops.log_softmax`", lambda dense, x: keras.ops.log_softmax(dense(x)), 0),
    "reshape": (
        "an activation followed by a `Reshape`",
        lambda dense, x: L.Reshape((1, 1, 4))(dense(x)),
        1,
    ),
    "cast": (
        "an activation followed by a cast",
        lambda dense, x: keras.ops.cast(dense(x), "float64"),
        1,
    ),
    "lambda": (
        "a `Lambda` layer (its code must be trusted: `--unsafe-load`)",
        lambda dense, x: L.Lambda(keras.ops.softmax)(dense(x)),
        0,
    ),
}


def _softmax(name: str) -> Case:
    says, end, tail = SOFTMAX[name]
    return Case(
        f"softmax-{name}",
        f"Softmax as {says}.",
        partial(softmax_spelt, end, tail),
        "conv2",
        "conv2",
        (5, 5),
        classes=(0, 3),
        unsafe=name == "lambda",
    )


CASES: tuple[Case, ...] = (
    Case(
        "sigmoid",
        "One sigmoid unit: class 1 is +z, class 0 is -z.",
        partial(headed, 1, "sigmoid"),
        "norm",
        "norm",
        (5, 5),
        classes=(0, 1),
    ),
    Case(
        "multi-label",
        "Several sigmoid units: independent labels.",
        partial(headed, 4, "sigmoid"),
        "norm",
        "norm",
        (5, 5),
    ),
    Case(
        "linear",
        "A linear head: its output already is the logit.",
        partial(headed, 4, None),
        "norm",
        "norm",
        (5, 5),
    ),
    Case(
        "regression",
        "Regression: one linear unit, class 0.",
        partial(headed, 1, None),
        "norm",
        "norm",
        (5, 5),
        classes=(0,),
    ),
    *(_softmax(name) for name in SOFTMAX),
    Case(
        "softmax-nested",
        "Softmax inside a nested head.",
        softmax_nested,
        "conv2",
        "conv2",
        (5, 5),
    ),
    Case(
        "ensemble",
        "An averaged ensemble has no single softmax: the output itself is the score.",
        ensemble,
        "conv",
        "conv",
        (10, 10),
    ),
    Case(
        "float16",
        "`mixed_float16`: the map is float32 and near that of a float32 twin.",
        partial(headed, 4, "softmax", "mixed_float16"),
        "norm",
        "norm",
        (5, 5),
        tolerance=1e-2,
    ),
    Case(
        "bfloat16",
        "`mixed_bfloat16`, likewise.",
        partial(headed, 4, "softmax", "mixed_bfloat16"),
        "norm",
        "norm",
        (5, 5),
        tolerance=5e-2,
    ),
    Case(
        "segmentation",
        "A map of classes: a class's score is summed over the cells where it wins.",
        partial(segmentation, "softmax"),
        "conv3",
        "conv3",
        (16, 16),
    ),
    Case(
        "segmentation-sigmoid",
        "A map of independent classes: each is summed over the cells where it is likely.",
        partial(segmentation, "sigmoid"),
        "conv3",
        "conv3",
        (16, 16),
    ),
    Case(
        "segmentation-first",
        "A map of classes with channels first.",
        partial(segmentation, "softmax", True),
        "conv2",
        "conv2",
        (8, 8),
    ),
)
