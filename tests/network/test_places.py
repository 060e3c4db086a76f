"""Where cells lie, held against what they see: one row or column of the input lit at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.network.axes import Features, features_of, follow
from gradcam_cli.network.paths import named_operations
from gradcam_cli.network.tap import recording, trace

L = keras.layers
SHAPE = (46, 61, 1)
Layers = list[Any]


def positive(layer: type, *args: Any, **kwargs: Any) -> Any:
    """A layer whose weights are all positive: what it sees cannot cancel out."""
    names: tuple[str, ...] = ("kernel_initializer",)
    if layer is L.DepthwiseConv2D:
        names = ("depthwise_initializer",)
    if layer is L.SeparableConv2D:
        names = ("depthwise_initializer", "pointwise_initializer")
    ones = {name: keras.initializers.RandomUniform(0.5, 1.0, seed=1) for name in names}
    return layer(*args, use_bias=False, **ones, **kwargs)


def conv(filters: int, kernel: Any, **kwargs: Any) -> Any:
    return positive(L.Conv2D, filters, kernel, **kwargs)


def of(function: Callable[[Any], Any]) -> Any:
    return L.Lambda(function)


def looked_at(layers: Layers, shape: tuple[int, int, int] = SHAPE) -> tuple[Features, Any]:
    """What is said of the output of layers, and the layers as a network."""
    network = keras.Sequential([keras.Input(shape), *layers])
    found: list[Features | None] = []

    def run(x: Any) -> Any:
        with recording(named_operations(network)):
            y = network(x, training=False)
        found.append(features_of(y, follow(x)))
        return y

    trace(run, tf.TensorSpec((1, *shape), tf.float32))
    assert found[0] is not None
    return found[0], network


def sights(network: Any, features: Features, axis: int) -> NDArray[np.bool_]:
    """``[input, cells]``: which cells see which row (axis 0) or column (1) of the input."""
    shape = network.input_shape[1:]
    one = np.eye(shape[axis], dtype=np.float32)
    one = one[:, :, None, None] if axis == 0 else one[:, None, :, None]
    lit = np.broadcast_to(one, (len(one), *shape))
    grids = np.asarray(features.fold(network(lit, training=False)))
    return np.asarray(np.abs(grids).sum((2 - axis, 3)) > 1e-9)


def check(network: Any, features: Features, axis: int, slack: float, edge: float = 0.0) -> None:
    """Hold where an axis' cells are said to lie against what they see.

    In pixels: ``slack`` is what the centres may be off, ``edge`` what may be counted as seen beyond
    what is.
    """
    place = features.places[axis]
    assert place is not None
    see = sights(network, features, axis)
    any_cell = np.flatnonzero(see.any(1))
    low, high = any_cell[0], any_cell[-1] + 1
    pixel = 0.5 if slack else 1e-6  # a pixel counts as seen when its centre is
    assert low - edge - 1e-6 <= place.low <= low + pixel
    assert high - pixel <= place.high <= high + edge + 1e-6
    cells = [(at, np.flatnonzero(column)) for at, column in enumerate(see.T) if any(column)]
    most = max(np.ptp(rows) for _, rows in cells)
    whole = [(at, rows[[0, -1]]) for at, rows in cells if np.ptp(rows) == most]
    if slack:  # of cells at the ends, padding may hide a part
        inner = [(at, rows[[0, -1]]) for at, rows in cells if np.ptp(rows) >= 0.8 * most]
        whole = [each for each in inner if low < each[1][0] and each[1][1] < high - 1]
    assert whole or see.shape[1] < 8
    for cell, (first, last) in whole:
        centre, said = (first + last + 1) / 2, place.first + place.step * cell
        assert abs(said - centre) <= slack + 1e-4, (axis, cell, said, centre)


EXACT: dict[str, Callable[[], Layers]] = {
    "five valid convolutions": lambda: [conv(1, 3) for _ in range(5)],
    "valid pooling": lambda: [L.MaxPooling2D(2), conv(1, 3), L.AveragePooling2D((3, 2))],
    "overlapping pooling": lambda: [L.MaxPooling2D(3, 1), L.AveragePooling2D(5, 1)],
    "same convolutions": lambda: [conv(2, 5, padding="same"), conv(1, (3, 7), padding="same")],
    "dilated": lambda: [conv(1, 3, dilation_rate=3), conv(1, 3, dilation_rate=2, padding="same")],
    "dilated depthwise": lambda: [positive(L.DepthwiseConv2D, 3, dilation_rate=(2, 3))],
    "separable": lambda: [positive(L.SeparableConv2D, 2, (3, 5)), conv(1, 1)],
    "padding": lambda: [L.ZeroPadding2D(((5, 2), (0, 7))), conv(1, 3)],
    "padding and cropping": lambda: [L.ZeroPadding2D(4), conv(1, 3), L.Cropping2D((9, 2))],
    "cropping": lambda: [L.Cropping2D(((10, 3), (4, 20)))],
    "cropping behind": lambda: [conv(1, 5), L.Cropping2D(((10, 3), (4, 20)))],
    "central": lambda: [L.CenterCrop(20, 30), conv(1, 3)],
    "slices": lambda: [of(lambda x: x[:, 7:-3, 12:40]), conv(1, 3)],
    "a slice by name": lambda: [of(lambda x: tf.slice(x, (0, 3, 9, 0), (-1, 30, 30, -1)))],
    "every third": lambda: [of(lambda x: x[:, 1::3, ::3]), conv(1, 3)],
    "the right half": lambda: [of(lambda x: tf.split(x, [30, 31], axis=2)[1]), conv(1, 3)],
    "quarters": lambda: [L.Cropping2D(((0, 0), (1, 0))), of(lambda x: tf.split(x, 4, 2)[2])],
    "turned round": lambda: [of(lambda x: x[:, ::-1, ::-2]), conv(1, 3)],
    "mirrored": lambda: [of(tf.image.flip_left_right), L.Cropping2D(((0, 9), (0, 9))), conv(1, 3)],
    "gathered": lambda: [of(lambda x: tf.gather(x, tf.range(40, 10, -2), axis=2)), conv(1, 3)],
    "channels first": lambda: [
        of(lambda x: x[:, 5:]),
        L.Permute((3, 1, 2)),
        L.AveragePooling2D((1, 3), 1, data_format="channels_first"),
    ],
    "rows and columns swapped": lambda: [L.Cropping2D(((5, 0), (0, 2))), L.Permute((2, 1, 3))],
    "patches": lambda: [L.Cropping2D(((6, 0), (0, 1))), conv(2, 10, strides=10)],
    "patches as tokens": lambda: [
        L.Cropping2D(((6, 0), (0, 1))),
        conv(2, 10, strides=10),
        L.Reshape((24, 2)),
        L.ZeroPadding1D((1, 0)),
    ],
    "patches by reshapes": lambda: [
        L.Cropping2D(((6, 0), (0, 1))),
        L.Reshape((4, 10, 6, 10, 1)),
        L.Permute((1, 3, 2, 4, 5)),
        L.Reshape((24, 100)),
    ],
    "patches extracted": lambda: [
        L.Cropping2D(((6, 0), (1, 0))),
        of(lambda x: keras.ops.image.extract_patches(x, 10)),
    ],
    "pixels into channels": lambda: [
        L.Cropping2D(((6, 0), (1, 0))),
        of(lambda x: tf.nn.space_to_depth(x, 5)),
    ],
    "windows and back": lambda: [
        L.Cropping2D(((6, 0), (1, 0))),
        L.Reshape((4, 10, 6, 10, 1)),
        L.Permute((1, 3, 2, 4, 5)),
        of(lambda x: tf.reshape(x, (-1, 100, 1)) * 2.0),
        of(lambda x: tf.reshape(x, (-1, 4, 6, 10, 10, 1))),
        L.Permute((1, 3, 2, 4, 5)),
        L.Reshape((40, 60, 1)),
    ],
    "shrunk by a half": lambda: [L.Cropping2D(((6, 0), (1, 0))), L.Resizing(20, 30, "area")],
    "padded as an application pads": lambda: [L.ZeroPadding2D(((3, 3), (3, 3))), conv(1, 7)],
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_cells_lie_where_they_look(name: str) -> None:
    features, network = looked_at(EXACT[name]())
    for axis in (0, 1):
        check(network, features, axis, slack=0.0)


def box(x: Any) -> Any:
    count = tf.shape(x)[0]
    return tf.image.crop_and_resize(
        x, tf.tile([[0.2, 0.1, 0.9, 0.6]], (count, 1)), tf.range(count), (20, 20)
    )


ROUNDED: dict[str, Callable[[], Layers]] = {
    "strides, padded as needed": lambda: [conv(1, 3, strides=2, padding="same") for _ in range(3)],
    "strides, padded on one side": lambda: [
        *[L.ZeroPadding2D(((0, 1), (0, 1))), conv(1, 3, strides=2)],
        *[L.ZeroPadding2D(((1, 0), (1, 0))), conv(1, 3, strides=2)],
    ],
    "strides, padded on both sides": lambda: [L.ZeroPadding2D(3), conv(1, 7, strides=2)],
    "strides over gaps": lambda: [conv(1, 1, strides=2), conv(1, 3)],
    "pooling, padded": lambda: [L.AveragePooling2D(3, 2, "same"), L.MaxPooling2D(3, 2, "same")],
    "transposed": lambda: [
        conv(1, 3, strides=2, padding="same"),
        positive(L.Conv2DTranspose, 1, 3, strides=2, padding="same"),
    ],
    "transposed, valid": lambda: [L.Cropping2D(8), positive(L.Conv2DTranspose, 1, 5, strides=2)],
    "enlarged": lambda: [L.Cropping2D(8), L.UpSampling2D(2), conv(1, 3)],
    "enlarged, bilinear": lambda: [L.Cropping2D(8), L.UpSampling2D(2, interpolation="bilinear")],
    "resized": lambda: [L.Resizing(33, 50), conv(1, 3)],
    "resized, antialiased": lambda: [L.Resizing(20, 25, antialias=True)],
    "resized, cropped": lambda: [L.Resizing(20, 20, crop_to_aspect_ratio=True), conv(1, 3)],
    "resized, padded": lambda: [L.Resizing(60, 60, pad_to_aspect_ratio=True), conv(1, 3)],
    "resized, corners": lambda: [
        of(lambda x: tf.compat.v1.image.resize(x, (20, 40), align_corners=True))
    ],
    "resized, the old way": lambda: [
        of(lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (23, 20)))
    ],
    "a box": lambda: [of(box)],
    "padded to a shape": lambda: [of(lambda x: tf.image.resize_with_pad(x, 60, 60))],
}  # fmt: skip


@pytest.mark.parametrize("name", ROUNDED)
def test_cells_lie_where_they_look_to_half_a_cell(name: str) -> None:
    features, network = looked_at(ROUNDED[name]())
    for axis in (0, 1):
        place = features.places[axis]
        assert place is not None
        check(network, features, axis, slack=0.5 * max(1.0, abs(place.step)), edge=2.0)


MENU: tuple[Callable[[np.random.Generator], Layers], ...] = (
    lambda rng: [conv(1, int(rng.integers(1, 6)))],
    lambda rng: [conv(1, (3, 5), padding="same", dilation_rate=int(rng.integers(1, 3)))],
    lambda rng: [
        conv(1, int(rng.integers(1, 4)), strides=2, padding=rng.choice(["same", "valid"]))
    ],
    lambda rng: [positive(L.DepthwiseConv2D, 3, dilation_rate=int(rng.integers(1, 3)))],
    lambda rng: [L.MaxPooling2D(2, padding=rng.choice(["same", "valid"]))],
    lambda rng: [L.AveragePooling2D(int(rng.integers(2, 4)), int(rng.integers(1, 3)))],
    lambda rng: [L.Cropping2D(tuple(map(tuple, rng.integers(0, 6, (2, 2)).tolist())))],
    lambda rng: [L.ZeroPadding2D(tuple(map(tuple, rng.integers(0, 6, (2, 2)).tolist())))],
    lambda rng: [of(partial(lambda x, a, b: x[:, a:-2, b:], a=rng.integers(5), b=rng.integers(5)))],
    lambda _: [of(lambda x: x[:, ::-1])],
    lambda _: [L.UpSampling2D(2)],
    lambda _: [L.UpSampling2D(2, interpolation="bilinear")],
    lambda _: [positive(L.Conv2DTranspose, 1, 3, strides=2, padding="same")],
    lambda rng: [L.Resizing(*rng.integers(20, 40, 2).tolist())],
    lambda rng: [L.Resizing(*rng.integers(20, 40, 2).tolist(), crop_to_aspect_ratio=True)],
    lambda rng: [L.Resizing(*rng.integers(20, 40, 2).tolist(), pad_to_aspect_ratio=True)],
)


@pytest.mark.parametrize("seed", range(40))
def test_cells_of_random_layers_lie_where_they_look(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers: Layers = []
    for _ in range(4):
        layers += MENU[rng.integers(len(MENU))](rng)
    features, network = looked_at(layers)
    for axis in (0, 1):
        place = features.places[axis]
        assert place is not None
        names = [type(layer).__name__ for layer in layers]
        enlarged = sum(any(word in x for word in ("Transpose", "Up", "Resiz")) for x in names)
        slack = 0.5 + 0.5 * abs(place.step) * 2**enlarged
        check(network, features, axis, slack, edge=4.0)


def centres(function: Callable[[Any], Any], axis: int = 0) -> tuple[float, float] | None:
    """First and last centre of the rows or columns of what a function makes of the input."""
    features, _ = looked_at([of(function)])
    place = features.places[axis]
    if place is None:
        return None
    return place.first, place.first + place.step * (features.grid[axis] - 1)


def shrunk(x: Any, kernel: int) -> Any:
    return tf.nn.avg_pool2d(x, kernel, 1, "VALID")


KERNEL = np.ones((3, 3, 1, 1), np.float32)

JOINED: dict[str, tuple[Callable[[Any], Any], tuple[float, float] | None]] = {
    "a cropped way past": (lambda x: shrunk(x, 5) + x[:, 2:-2, 2:-2], (2.5, 43.5)),
    "channels of both": (lambda x: tf.concat([shrunk(x, 3), x[:, 1:-1, 1:-1]], -1), (1.5, 44.5)),
    "a cell apart: between the two": (lambda x: shrunk(x, 3) + x[:, 2:, 2:], (2.0, 45.0)),
    "two cells apart": (lambda x: shrunk(x, 5) + x[:, 4:, 4:], None),
    "both ways round": (lambda x: x + x[:, ::-1], None),
    "gated by all of it": (
        lambda x: x[:, 6:] * tf.sigmoid(tf.reduce_mean(x, (1, 2), keepdims=True)),
        (6.5, 45.5),
    ),
    "rolled": (lambda x: tf.nn.conv2d(tf.roll(x, 3, 1), KERNEL, 1, "VALID"), None),
    "rolled back": (
        lambda x: x[:, 6:] + tf.roll(tf.roll(x[:, 6:], 3, 1) * 2.0, -3, 1),
        (6.5, 45.5),
    ),
    "warped": (
        lambda x: keras.ops.image.affine_transform(x, np.array([1.0, 0, 9, 0, 1, 9, 0, 0], "f")),
        None,
    ),
    "taken at random places": (
        lambda x: tf.nn.conv2d(tf.gather(x, [3, 30, 4, 9], axis=1), KERNEL, 1, "SAME"),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", JOINED)
def test_where_ways_meet_cells_lie_between_or_nowhere(name: str) -> None:
    function, expected = JOINED[name]
    assert centres(function) == expected
