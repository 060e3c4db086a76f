"""Cells in a row: recurrent heads and transformers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.zoo.case import (
    Built,
    Case,
    Tensor,
    chain,
    conv,
    linear,
    shaken,
    unit,
)
from tests.zoo.parts import ClassToken, Positions, Windows

L = keras.layers


def recurrent(kind: str) -> Built:
    """Convolutions, whose cells or columns are then read one after the other."""
    inputs = keras.Input((12, 16, 3))
    layers = [L.Rescaling(1 / 255), conv(4, "conv1"), L.MaxPooling2D(2), conv(5, "conv2")]
    dense = L.Dense(3, activation="softmax")
    if kind == "gru":
        tail = [L.Reshape((15, 5)), L.GRU(6, name="gru")]
    else:
        lstm = L.Bidirectional(L.LSTM(4, return_sequences=True), name="lstm")
        tail = [L.Permute((2, 1, 3)), L.Reshape((5, 15)), lstm, L.Flatten()]
    network = shaken(keras.Model(inputs, dense(chain(*layers, *tail)(inputs))))
    return Built(network, chain(*layers), chain(*tail, linear(dense)))


def encoder(x: Any, number: int) -> Any:
    """One pre-norm transformer block, Functional."""
    y = L.LayerNormalization(name=f"norm{number}a")(x)
    y = L.MultiHeadAttention(2, 4, name=f"attention{number}")(y, y)
    x = L.Add(name=f"add{number}a")([x, y])
    y = L.LayerNormalization(name=f"norm{number}b")(x)
    y = L.Dense(16, activation="gelu", name=f"wide{number}")(y)
    return L.Add(name=f"add{number}b")([x, L.Dense(8, name=f"narrow{number}")(y)])


def transformer(token: bool, size: tuple[int, int] = (16, 16), patches: str = "conv") -> Built:
    """A small vision transformer; its reference starts at the tokens of one normalisation.

    With a class ``token`` these enter the last attention, without one they are averaged.
    ``patches`` are cut by a convolution or by reshapes and transpositions.
    """
    h, w = size
    inputs = keras.Input((h, w, 3))
    x = L.Rescaling(1 / 255)(inputs)
    if patches == "conv":
        x = L.Conv2D(8, 4, strides=4, name="patches")(x)
        x = L.Reshape((h * w // 16, 8), name="sequence")(x)
    else:
        x = L.Reshape((h // 4, 4, w // 4, 12))(x)
        x = L.Reshape((h * w // 16, 48))(L.Permute((1, 3, 2, 4))(x))
        x = L.Dense(8, name="patches")(x)
    if token:
        x = ClassToken(name="token")(x)
    x = encoder(encoder(Positions(name="positions")(x), 1), 2)
    x = L.LayerNormalization(name="norm")(x)
    pooled = x[:, 0] if token else L.GlobalAveragePooling1D(name="mean")(x)
    dense = L.Dense(3, activation="softmax", name="classes")
    network = shaken(keras.Model(inputs, dense(pooled)))
    features, head = by_hand(network.get_layer, h // 4, w // 4, token, patches)
    return Built(network, features, head, partial(grid, h // 4, w // 4, int(token)))


def by_hand(
    get: Callable[[str], Any], u: int, v: int, token: bool, patches: str
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]:
    """The two halves of a transformer, from its layers by name."""

    def before(x: Tensor) -> Tensor:
        """Return what enters the last block."""
        x = x / 255.0
        if patches != "conv":
            x = tf.reshape(x, (-1, u, 4, v, 4, 3))
            x = tf.reshape(tf.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, u, v, 48))
        x = tf.reshape(get("patches")(x), (len(x), u * v, 8))
        return block(get("positions")(get("token")(x) if token else x), 1)

    def block(x: Tensor, number: int, y: Tensor = None) -> Tensor:
        y = get(f"norm{number}a")(x) if y is None else y
        x = x + get(f"attention{number}")(y, y)
        y = get(f"wide{number}")(get(f"norm{number}b")(x))
        return x + get(f"narrow{number}")(y)

    def head(A: Tensor, x: Tensor) -> Tensor:
        if not token:
            return linear(get("classes"))(tf.reduce_mean(A, 1))
        return linear(get("classes"))(get("norm")(block(before(x), 2, A))[:, 0])

    if token:
        return lambda x: get("norm2a")(before(x)), head
    return lambda x: get("norm")(block(before(x), 2)), head


def grid(u: int, v: int, token: int, A: Any) -> Any:
    """Lay tokens on the picture one by one, row after row, leaving out the class token."""
    cells = np.zeros((len(A), u, v, A.shape[-1]))
    for i in range(u):
        for j in range(v):
            cells[:, i, j] = A[:, token + i * v + j]
    return cells


def windows() -> Built:
    inputs = keras.Input((16, 16, 3))
    first, attention = conv(8, "patches", 4, strides=4), Windows(name="windows")
    norm, pool = L.LayerNormalization(name="norm"), L.GlobalAveragePooling2D()
    dense = L.Dense(3, activation="softmax")
    front = [unit, first]
    network = keras.Model(inputs, dense(pool(norm(attention(first(unit(inputs)))))))
    return Built(shaken(network), chain(*front), chain(attention, norm, pool, linear(dense)))


def mixer() -> Built:
    """Tokens mixed by dense layers over a transposed axis; no attention, no class token."""
    inputs = keras.Input((16, 12, 3))
    front = [L.Rescaling(1 / 255), L.Conv2D(6, 4, strides=4, name="patches"), L.Reshape((12, 6))]
    across, back = L.Dense(12, activation="gelu", name="across"), L.Permute((2, 1))
    norm, mean = L.LayerNormalization(name="norm"), L.GlobalAveragePooling1D()
    dense, turn = L.Dense(3, activation="softmax"), L.Permute((2, 1))
    x = chain(*front)(inputs)
    x = L.Add()([x, back(across(turn(x)))])
    network = shaken(keras.Model(inputs, dense(mean(norm(x)))))

    def features(x: Tensor) -> Tensor:
        x = chain(*front)(x)
        return norm(x + back(across(turn(x))))

    return Built(network, features, chain(mean, linear(dense)), partial(grid, 4, 3, 0))


CASES: tuple[Case, ...] = (
    Case(
        "gru",
        "Convolutions, then `Reshape` and a GRU.",
        partial(recurrent, "gru"),
        "conv2",
        "conv2",
        (3, 5),
    ),
    Case(
        "lstm",
        "Convolutions, then a bidirectional LSTM over the columns.",
        partial(recurrent, "lstm"),
        "conv2",
        "conv2",
        (3, 5),
    ),
    Case(
        "transformer",
        "A vision transformer that averages its tokens.",
        partial(transformer, False),
        "norm",
        "norm",
        (4, 4),
    ),
    Case(
        "transformer-token",
        "A vision transformer with a class token: the last attention's normalised tokens.",
        partial(transformer, True),
        "norm2a",
        "norm2a",
        (4, 4),
    ),
    Case(
        "transformer-wide",
        "Tokens of a picture that is not square, behind a class token.",
        partial(transformer, True, (16, 24)),
        "norm2a",
        "norm2a",
        (4, 6),
    ),
    Case(
        "transformer-reshaped",
        "Patches cut by reshapes and transpositions.",
        partial(transformer, False, (8, 16), patches="reshape"),
        "norm",
        "norm",
        (2, 4),
    ),
    Case(
        "windows",
        "Attention inside windows, as in Swin.",
        windows,
        "patches",
        "norm",
        (4, 4),
    ),
    Case(
        "mixer",
        "Tokens mixed without attention (MLP-Mixer).",
        mixer,
        "norm",
        "norm",
        (4, 3),
    ),
)
