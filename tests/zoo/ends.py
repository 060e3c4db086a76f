"""Networks of several inputs and outputs."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import tensorflow as tf

from tests.zoo.case import (
    CLASS,
    Built,
    Case,
    Tensor,
    chain,
    conv,
    linear,
    shaken,
    unit,
)
from tests.zoo.parts import TwoSided

L = keras.layers

TABLE = np.array([0.5, -1.0, 2.0], np.float32)


def two_sided() -> Built:
    network = TwoSided(name="mine")
    network({"photo": np.zeros((1, 12, 12, 3), np.float32), "table": TABLE[None]})

    def head(A: Tensor, x: Tensor) -> Tensor:
        return network.kinds(
            tf.concat([network.pool(A), tf.tile(TABLE[None], (x.shape[0], 1))], -1)
        )

    return Built(shaken(network), lambda x: network.conv(x / 255.0), head)


def several_outputs(names: bool) -> Built:
    inputs, first, pool = keras.Input((12, 12, 3)), conv(6, "conv"), L.GlobalAveragePooling2D()
    kind, age = L.Dense(3, activation="softmax", name="kind"), L.Dense(1, name="age")
    x = pool(first(unit(inputs)))
    outputs = {"what": kind(x), "years": age(x)} if names else [age(x), kind(x)]
    network = shaken(keras.Model(inputs, outputs))
    return Built(network, chain(unit, first), chain(pool, linear(kind)))


def several_inputs() -> Built:
    table, photo = keras.Input((3,), name="table"), keras.Input((12, 12, 3), name="photo")
    first, flat = conv(6, "conv"), L.Flatten()
    join, dense = L.Concatenate(), L.Dense(3, activation="softmax")
    x = join([L.Dense(4, name="embed")(table), flat(first(unit(photo)))])
    network = shaken(keras.Model([table, photo], dense(x)))
    embed = network.get_layer("embed")

    def head(A: Tensor, x: Tensor) -> Tensor:
        side = tf.tile(embed(TABLE[None]), (x.shape[0], 1))
        return linear(dense)(tf.concat([side, flat(A)], -1))

    return Built(network, chain(unit, first), head)


OTHER = np.random.default_rng(5).uniform(0, 255, (12, 12, 3)).astype(np.float32)


def siamese() -> Built:
    """One backbone looks at the picture and then at a constant one; they are compared."""
    left, right = keras.Input((12, 12, 3), name="picture"), keras.Input((12, 12, 3), name="other")
    first, pool = conv(6, "conv"), L.GlobalAveragePooling2D()
    dense = L.Dense(2, activation="softmax")
    apart = L.Subtract()([pool(first(unit(left))), pool(first(unit(right)))])
    network = shaken(keras.Model([left, right], dense(apart)))
    other = chain(first, pool)(OTHER[None] / 255.0)
    return Built(
        network,
        chain(unit, first),
        lambda A, _x: linear(dense)(pool(A) - other),
    )


CASES: tuple[Case, ...] = (
    Case(
        "subclassed-dictionaries",
        "A subclassed model that takes and gives dictionaries (`--input`, `--output`).",
        two_sided,
        "conv",
        "conv",
        (10, 10),
        output="kind",
        constants={"table": TABLE},
        no_h5=CLASS,
    ),
    Case(
        "outputs",
        "Several outputs in a list: `--output NAME`.",
        partial(several_outputs, False),
        "conv",
        "conv",
        (10, 10),
        output="kind",
    ),
    Case(
        "outputs-named",
        "Several outputs in a dictionary: `--output KEY`.",
        partial(several_outputs, True),
        "conv",
        "conv",
        (10, 10),
        output="what",
    ),
    Case(
        "inputs",
        "Several inputs: one picture, the others constant by `--input NAME=FILE.npy`.",
        several_inputs,
        "conv",
        "conv",
        (10, 10),
        constants={"table": TABLE},
    ),
    Case(
        "siamese",
        "Two pictures through one shared layer: the call that sees the picture is taken.",
        siamese,
        "conv",
        "conv",
        (10, 10),
        classes=(0, 1),
        constants={"other": OTHER},
    ),
)
