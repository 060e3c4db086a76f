"""What goes in: channels first, any size, grey, a fixed batch, and scaling inside the model."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import tensorflow as tf

from tests.zoo.case import (
    Built,
    Case,
    Tensor,
    bottom,
    chain,
    conv,
    linear,
    shaken,
)
from tests.zoo.parts import FourAtOnce

L = keras.layers


def channels_first(inside: bool) -> Built:
    """Convolutions over ``[N, K, h, w]``, behind a Permute or from the input on."""
    first = partial(conv, data_format="channels_first")
    layers = [first(6, "conv1"), L.MaxPooling2D(2, data_format="channels_first")]
    layers += [first(8, "conv2"), L.BatchNormalization(1, name="norm"), L.ReLU(name="relu")]
    pool, dense = L.GlobalAveragePooling2D("channels_first"), L.Dense(3, activation="softmax")
    to_first = L.Permute((3, 1, 2))
    inputs = keras.Input((16, 20, 3) if inside else (3, 16, 20))
    front = [L.Rescaling(1 / 255), to_first] if inside else [L.Rescaling(1 / 255)]
    network = shaken(keras.Model(inputs, dense(pool(chain(*front, *layers)(inputs)))))

    def features(x: Tensor) -> Tensor:
        return chain(*layers)(tf.transpose(x / 255.0, (0, 3, 1, 2)))

    return Built(
        network,
        features,
        chain(pool, linear(dense)),
        lambda A: np.transpose(A, (0, 2, 3, 1)),
    )


def fully_convolutional() -> Built:
    inputs = keras.Input((None, None, 3))
    layers, classes = [L.Rescaling(1 / 255), conv(6, "conv1")], L.Conv2D(3, 1, name="classes")
    pool = L.GlobalAveragePooling2D(keepdims=True)
    end = L.Activation("softmax")(pool(classes(chain(*layers)(inputs))))
    network = shaken(keras.Model(inputs, end))
    return Built(network, chain(*layers), chain(classes, pool, lambda z: z[:, 0, 0]))


def adapted() -> Built:
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (64, 12, 12, 3)).astype(np.float32))
    inputs, first, pool = keras.Input((12, 12, 3)), conv(6, "conv"), L.GlobalAveragePooling2D()
    dense = L.Dense(3, activation="softmax")
    network = keras.Model(inputs, dense(pool(first(layer(inputs)))))
    return Built(network, chain(layer, first), chain(pool, linear(dense)))


def preprocessed() -> Built:
    inputs, first, flat = keras.Input((12, 12, 3)), conv(6, "conv"), L.Flatten()
    dense = L.Dense(3, activation="softmax")
    x = keras.applications.vgg16.preprocess_input(inputs)
    network = shaken(keras.Model(inputs, dense(flat(first(x)))))

    def features(x: Tensor) -> Tensor:
        return first(x[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32))

    return Built(network, features, chain(flat, linear(dense)))


CASES: tuple[Case, ...] = (
    Case(
        "channels-first",
        "Layers that work on channels first, behind a `Permute`.",
        partial(channels_first, True),
        "relu",
        "relu",
        (5, 7),
    ),
    Case(
        "channels-first-input",
        "An input of channels x height x width.",
        partial(channels_first, False),
        "relu",
        "relu",
        (5, 7),
    ),
    Case(
        "convolutional",
        "Fully convolutional, for pictures of any size (`--input-size`); classes 1 x 1 x C.",
        fully_convolutional,
        "conv1",
        "classes",
        (18, 22),
        size=(20, 24),
    ),
    Case(
        "any-size",
        "An input of any size and a dense head.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv")], (None, None, 3)),
        "conv",
        "conv",
        (14, 18),
        size=(16, 20),
    ),
    Case(
        "wide",
        "Pictures that are not square, convolutions with other strides down than across.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv", strides=(1, 2))], (12, 20, 3)),
        "conv",
        "conv",
        (10, 9),
    ),
    Case(
        "grey",
        "Grey pictures of one channel.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv")], (12, 12, 1)),
        "conv",
        "conv",
        (10, 10),
    ),
    Case(
        "grey-bare",
        "Grey pictures without a channel axis (MNIST's way).",
        partial(bottom, [L.Rescaling(1 / 255), L.Reshape((14, 12, 1)), conv(6, "conv")], (14, 12)),
        "conv",
        "conv",
        (12, 10),
    ),
    Case(
        "fixed-batch",
        "A batch size in the file that layers count on: just such batches, the last one padded.",
        partial(
            bottom,
            [L.Rescaling(1 / 255), conv(6, "conv"), FourAtOnce(name="four")],
            (12, 12, 3),
            batch_size=4,
        ),
        "four",
        "four",
        (10, 10),
        batch=4,
    ),
    Case(
        "integer-input",
        "An input of type uint8.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv")], (12, 12, 3), dtype="uint8"),
        "conv",
        "conv",
        (10, 10),
    ),
    Case(
        "normalization",
        "An adapted `Normalization` in front.",
        adapted,
        "conv",
        "conv",
        (10, 10),
        inside="-1.75..1.75",
    ),
    Case(
        "preprocess-input",
        "An application's `preprocess_input`, called on the input (here: BGR, mean subtracted).",
        preprocessed,
        "conv",
        "conv",
        (10, 10),
        inside="-123.68..151.06",
    ),
    Case(
        "norm-first",
        "Batch normalisation first: no known scaling, `--preprocess` has to say it.",
        partial(bottom, [L.BatchNormalization(name="norm"), conv(6, "conv")], (12, 12, 3)),
        "conv",
        "conv",
        (10, 10),
        inside="nothing",
    ),
)
