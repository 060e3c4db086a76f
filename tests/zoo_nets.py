"""Convolutional networks for the zoo, each with a reference that calls its layers by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.zoo_parts import Block, Classifier, Compiled, TwoSided

L = keras.layers
Tensor = Any


@dataclass(frozen=True, slots=True)
class Built:
    """A network, and its two halves: pixels -> A, and (A, pixels) -> logits ``[N, C]``.

    ``fold`` brings A and its gradient to ``[N, u, v, K]``.
    """

    network: Any
    features: Callable[[Tensor], Tensor]
    head: Callable[[Tensor, Tensor], Tensor]
    fold: Callable[[Tensor], Tensor] = lambda A: A


def chain(*layers: Any) -> Callable[..., Tensor]:
    """Call layers one after the other, as predictions do; what else is given is not looked at."""

    def run(x: Tensor, *unused: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x, training=False) if isinstance(layer, L.Layer) else layer(x)
        return x

    return run


def unit(x: Tensor, *unused: Tensor) -> Tensor:
    """Scale to 0..1 in a layer: Keras reads no operations back from HDF5."""
    return L.Rescaling(1 / 255)(x)


def linear(dense: Any) -> Callable[..., Tensor]:
    """Return a dense layer without its activation."""
    return lambda x, *unused: tf.matmul(x, dense.kernel) + dense.bias


def shaken(network: Any, seed: int = 3) -> Any:
    """Give every weight, bias and statistic of a network a value that matters."""
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        value = variable.numpy()
        if value.dtype.kind != "f" or "seed" in variable.path:
            continue
        if "variance" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, value.shape))
        else:
            variable.assign(value + rng.normal(0, 0.1, value.shape).astype(value.dtype))
    return network


def conv(filters: int, name: str, size: int = 3, **options: Any) -> Any:
    return L.Conv2D(filters, size, activation="relu", name=name, **options)


def stem(**options: Any) -> list[Any]:
    return [
        L.Rescaling(1 / 255, **options),
        conv(6, "conv1", **options),
        L.MaxPooling2D(2, name="pool", **options),
        conv(8, "conv2", **options),
    ]


def softmax_spelt(end: Callable[[Any, Any], Any], tail: int = 0) -> Built:
    """The plain network with its last activation spelt by ``end(dense, x)``."""
    inputs = keras.Input((16, 16, 3))
    layers, flat = stem(), L.Flatten()
    dense = L.Dense(4, activation="softmax" if tail else None, name="classes")
    x = flat(chain(*layers)(inputs))
    network = shaken(keras.Model(inputs, end(dense, x)))
    return Built(network, chain(*layers), chain(flat, linear(dense)))


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


def softmax_nested() -> Built:
    inputs, layers, pool = keras.Input((16, 16, 3)), stem(), L.GlobalAveragePooling2D()
    small, dense = keras.Input((8,)), L.Dense(4, activation="softmax")
    head = keras.Model(small, dense(small), name="head")
    network = shaken(keras.Model(inputs, head(pool(chain(*layers)(inputs)))))
    return Built(network, chain(*layers), chain(pool, linear(dense)))


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

    def head(A: Tensor, x: Tensor) -> Tensor:
        return linear(dense)(flat(A * more(less(squeeze(A)))))

    return Built(shaken(network), chain(unit, first), head)


def subclassed(compiled: bool) -> Built:
    network = (Compiled if compiled else Classifier)(name="mine")
    network(np.zeros((1, 12, 12, 3), np.float32))
    block, factor = network.block, 2.0 if compiled else 1.0

    def features(x: Tensor) -> Tensor:
        return network.conv(x / 255.0)

    def head(A: Tensor, x: Tensor) -> Tensor:
        A = A * factor
        y = block.norm(block.second(block.first(A)), training=False)
        return linear(network.classes)(network.pool(tf.nn.relu(A + y)))

    return Built(shaken(network), features, head)


TABLE = np.array([0.5, -1.0, 2.0], np.float32)


def two_sided() -> Built:
    network = TwoSided(name="mine")
    network({"photo": np.zeros((1, 12, 12, 3), np.float32), "table": TABLE[None]})

    def head(A: Tensor, x: Tensor) -> Tensor:
        return network.kinds(tf.concat([network.pool(A), tf.tile(TABLE[None], (len(x), 1))], -1))

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
        side = tf.tile(embed(TABLE[None]), (len(x), 1))
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
        lambda A, x: linear(dense)(pool(A) - other),
    )


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

    def head(A: Tensor, x: Tensor) -> Tensor:
        z = logits(tail[0](A))
        return tf.concat([-z, z], -1) if activation == "sigmoid" and units == 1 else z

    return Built(network, chain(*body), head)


def bottom(layers: list[Any], shape: tuple[int | None, ...], **options: Any) -> Built:
    """A network of the given layers, then global average pooling and a dense head."""
    inputs = keras.Input(shape, **options)
    pool, dense = L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")
    network = shaken(keras.Model(inputs, dense(pool(chain(*layers)(inputs)))))
    return Built(network, chain(*layers), chain(pool, linear(dense)))


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


def segmentation(kind: str, first: bool = False) -> Built:
    """An encoder and decoder; the reference sums a class over the cells that it wins."""
    where: dict[str, Any] = {"data_format": "channels_first"} if first else {}
    inputs = keras.Input((3, 16, 16) if first else (16, 16, 3))
    layers = [L.Rescaling(1 / 255), conv(6, "conv1", padding="same", **where)]
    layers += [L.MaxPooling2D(2, **where), conv(8, "conv2", padding="same", **where)]
    if not first:
        layers += [L.UpSampling2D(2, name="up"), conv(6, "conv3", padding="same")]
    classes = L.Conv2D(3, 1, name="classes", **where)
    ends = {"softmax": L.Softmax(axis=1 if first else -1), "sigmoid": L.Activation("sigmoid")}
    network = shaken(keras.Model(inputs, chain(*layers, classes, ends[kind])(inputs)))

    def last(x: Tensor) -> Tensor:
        return tf.transpose(x, (0, 2, 3, 1)) if first else x

    def features(x: Tensor) -> Tensor:
        return chain(*layers)(tf.transpose(x, (0, 3, 1, 2)) if first else x)

    def head(A: Tensor, x: Tensor) -> Tensor:
        z = last(classes(A))
        wins = z > 0 if kind == "sigmoid" else z == tf.reduce_max(z, -1, keepdims=True)
        return tf.reduce_sum(tf.where(wins, z, 0.0), (1, 2))

    return Built(network, features, head, lambda A: last(A).numpy() if first else A)


def ensemble() -> Built:
    inputs, first, flat = keras.Input((12, 12, 3)), conv(6, "conv"), L.Flatten()
    halves = [L.Dense(3, activation="softmax", name=name) for name in ("one", "two")]
    x = flat(first(unit(inputs)))
    network = shaken(keras.Model(inputs, L.Average()([half(x) for half in halves])))

    def head(A: Tensor, x: Tensor) -> Tensor:
        return (halves[0](flat(A)) + halves[1](flat(A))) / 2

    return Built(network, chain(unit, first), head)


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


def quantized() -> Built:
    inputs, first, flat = keras.Input((12, 12, 3)), conv(6, "conv"), L.Flatten()
    hidden, dense = L.Dense(8, activation="relu"), L.Dense(3)
    end = L.Softmax()
    network = shaken(keras.Model(inputs, end(dense(hidden(flat(first(unit(inputs))))))))
    for layer in (hidden, dense):
        layer.quantize("int8")
    return Built(network, chain(unit, first), chain(flat, hidden, dense))
