"""One row of the zoo, and what its networks are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

L = keras.layers
Tensor = Any
CLASS = "HDF5 holds no subclassed models"


@dataclass(frozen=True, slots=True)
class Built:
    """A network, and its two halves: pixels -> A, and (A, pixels) -> logits ``[N, C]``.

    ``fold`` brings A and its gradient to ``[N, u, v, K]``.
    """

    network: Any
    features: Callable[[Tensor], Tensor]
    head: Callable[[Tensor, Tensor], Tensor]
    fold: Callable[[Tensor], Tensor] = lambda A: A


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of structure.

    ``layer`` is asked for by name, ``default`` is the automatic layer that must be found, with
    ``grid``. ``tolerance`` is relative to the reference map's maximum; ``inside`` the scaling that
    must be measured in the model. ``no_h5`` says why there is no HDF5 file,
    ``batch`` is the only batch size that the network takes.
    """

    name: str
    says: str
    build: Callable[[], Built]
    layer: str
    default: str
    grid: tuple[int, int]
    classes: tuple[int, ...] = (0, 2)
    call: int = 0
    output: str = ""
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    inside: str = "0..1"
    tolerance: float = 1e-4
    no_h5: str = ""
    unsafe: bool = False
    batch: int = 0


def chain(*layers: Any) -> Callable[..., Tensor]:
    """Call layers one after the other, as predictions do; what else is given is not looked at."""

    def run(x: Tensor, *_unused: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x, training=False) if isinstance(layer, L.Layer) else layer(x)
        return x

    return run


def unit(x: Tensor, *_unused: Tensor) -> Tensor:
    """Scale to 0..1 in a layer of its own."""
    return L.Rescaling(1 / 255)(x)


def linear(dense: Any) -> Callable[..., Tensor]:
    """Return a dense layer without its activation."""
    return lambda x, *_unused: tf.matmul(x, dense.kernel) + dense.bias


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


def bottom(layers: list[Any], shape: tuple[int | None, ...], **options: Any) -> Built:
    """A network of the given layers, then global average pooling and a dense head."""
    inputs = keras.Input(shape, **options)
    pool, dense = L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")
    network = shaken(keras.Model(inputs, dense(pool(chain(*layers)(inputs)))))
    return Built(network, chain(*layers), chain(pool, linear(dense)))
