from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.network.axes import Features, features_of, follow, guess_features

N, U, V = 2, 4, 6
L = keras.layers
KERNEL = np.ones((3, 3, 3, 3), np.float32)

# Every cell of the picture holds 100 * row + column (+ 10000 for the second picture), so that a
# tensor that was folded rightly shows in every cell where it comes from.
PICTURE = np.zeros((N, U, V, 3), np.float32)
PICTURE += np.arange(N)[:, None, None, None] * 10000
PICTURE += np.arange(U)[:, None, None] * 100 + np.arange(V)[:, None]


def looked_at(
    function: Callable[[Any], Any], picture: Any = PICTURE
) -> tuple[Features | None, Any]:
    """What ``follow`` says of a function's result, and the result folded by it."""
    found: list[Features | None] = []

    def run(x: Any) -> Any:
        y = function(x)
        found.append(features_of(y, follow(x)))
        return y if found[0] is None else found[0].fold(y)

    traced = tf.function(run, autograph=False).get_concrete_function(
        tf.TensorSpec(picture.shape, tf.float32)
    )
    return found[0], traced(tf.constant(picture)).numpy()


def tokens(x: Any) -> Any:
    return tf.reshape(x, (N, U * V, 3))


def with_class_token(x: Any) -> Any:
    return tf.concat([tf.fill((N, 1, 3), -1.0), tokens(x)], 1)


CELLWISE: dict[str, Callable[[Any], Any]] = {
    "itself": lambda x: x + 0,
    "channels first": lambda x: tf.transpose(x, (0, 3, 1, 2)),
    "columns first": lambda x: tf.transpose(x, (0, 2, 1, 3)),
    "broadcast": lambda x: x * tf.ones((3,)) + tf.zeros((1, 1, 1, 1)),
    "gated": lambda x: x * tf.sigmoid(tf.reduce_mean(x, (1, 2), keepdims=True) + 99),
    "joined channels": lambda x: tf.concat([x, x], -1),
    "one channel": lambda x: x[..., :1],
    "one channel, named": lambda x: tf.slice(x, (0, 0, 0, 1), (N, U, V, 1)),
    "a class token by padding": lambda x: L.ZeroPadding1D((1, 0))(tokens(x)),
    "tokens padded on both sides": lambda x: tf.pad(tokens(x), [[0, 0], [2, 1], [0, 0]]) * 1,
    "padded behind a class token": lambda x: L.ZeroPadding1D((0, 2))(with_class_token(x)),
    "tokens padded and cropped": lambda x: L.Cropping1D((1, 0))(L.ZeroPadding1D((1, 0))(tokens(x))),
    "padded, a bias a token": lambda x: (
        tf.einsum("btd,de->bte", L.ZeroPadding1D((1, 0))(tokens(x)), tf.eye(3))
        + tf.zeros((U * V + 1, 3))
    ),
    "gathered cells behind a class token": lambda x: tf.gather(
        with_class_token(x), list(range(1, U * V + 1)), axis=1
    ),
    "a causal convolution over tokens": lambda x: tf.nn.conv1d(
        tf.pad(tokens(x), [[0, 0], [1, 0], [0, 0]]),
        np.stack([np.zeros((3, 3)), np.eye(3)]).astype(np.float32),
        1,
        "VALID",
    ),
    "channels reversed": lambda x: x[..., ::-1],
    "gathered channels": lambda x: tf.gather(x, [2, 0], axis=-1),
    "stacked and taken apart": lambda x: tf.unstack(tf.stack([x, -x], 1), axis=1)[0],
    "split channels": lambda x: tf.split(x, 3, -1)[1],
    "padded and cropped": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]])[:, 1:-1],
    "convolution": lambda x: tf.nn.conv2d(x, np.eye(3, dtype="f")[None, None], 1, "SAME"),
    "dense": lambda x: tf.tensordot(x, tf.eye(3), 1),
    "einsum": lambda x: tf.einsum("nuvk,kl->nuvl", x, tf.eye(3)),
    "einsum with dots": lambda x: tf.einsum("...k,kl->...l", x, tf.eye(3)),
    "groups": lambda x: tf.reshape(tf.reshape(x, (N, U, V, 3, 1)) * 1, (N, U, V, 3)),
    "tokens": tokens,
    "tokens, channels first": lambda x: tf.transpose(tokens(x), (0, 2, 1)),
    "tokens by columns": lambda x: tokens(tf.transpose(x, (0, 2, 1, 3))),
    "tokens and back": lambda x: tf.reshape(tokens(x) * 1, (N, U, V, 3)),
    "class token": with_class_token,
    "class and register tokens": lambda x: tf.concat([with_class_token(x), tf.zeros((N, 4, 3))], 1),
    "class token taken off": lambda x: with_class_token(x)[:, 1:],
    "class token split off": lambda x: tf.split(with_class_token(x), [1, U * V], 1)[1],
    "windows there and back": lambda x: windows_back(windows(x) * 1),
    "everything in one row": lambda x: tf.reshape(tf.reshape(x, (-1, 3)) * 1, (N, U, V, 3)),
    "float16": lambda x: tf.cast(x / 100, tf.float16) * 100,
    "a branch": lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x * 1, lambda: x * 2),
}


def windows(x: Any) -> Any:
    parts = tf.transpose(tf.reshape(x, (N, 2, 2, 3, 2, 3)), (0, 1, 3, 2, 4, 5))
    return tf.reshape(parts, (-1, 4, 3))


def windows_back(x: Any) -> Any:
    parts = tf.transpose(tf.reshape(x, (N, 2, 3, 2, 2, 3)), (0, 1, 3, 2, 4, 5))
    return tf.reshape(parts, (-1, U, V, 3))


@pytest.mark.parametrize("name", CELLWISE)
def test_a_cell_shows_its_own_place(name: str) -> None:
    features, folded = looked_at(CELLWISE[name])
    assert features is not None
    assert features.grid == (U, V)
    expected = np.broadcast_to(PICTURE[..., :1], folded.shape)
    np.testing.assert_allclose(folded, expected, rtol=2e-3 if name == "float16" else 0)


NO_MAP: dict[str, Callable[[Any], Any]] = {
    "attention": lambda x: tf.matmul(tokens(x), tokens(x), transpose_b=True),
    "attention by heads": lambda x: tf.einsum(
        "nthk,nshk->nhts",
        tf.reshape(tokens(x), (N, U * V, 3, 1)),
        tf.reshape(tokens(x), (N, U * V, 3, 1)),
    ),
    "query by heads": lambda x: tf.reshape(tokens(x), (N, U * V, 3, 1)),
    "windows": windows,
    "averaged": lambda x: tf.reduce_mean(x, (1, 2)),
    "averaged columns": lambda x: tf.reduce_mean(x, 1),
    "rows of columns": lambda x: tf.reshape(x, (N, U, V * 3)),
    "flat": lambda x: tf.reshape(x, (N, -1)),
    "one token": lambda x: with_class_token(x)[:, 0],
    "some tokens": lambda x: tokens(x)[:, 3:],
    "tokens twice": lambda x: tf.concat([tokens(x), tokens(x)], 1),
    "tokens mixed": lambda x: tf.matmul(tf.eye(U * V, batch_shape=[N]), tokens(x)),
    "pictures of a batch mixed up": lambda x: tf.reshape(x, (1, N * U, V, 3)),
    "whole numbers": lambda x: tf.cast(x, tf.int32),
    "rolled": lambda x: tf.roll(x, 1, 1),
    "tiled": lambda x: tf.tile(x, (1, 2, 1, 1)),
    "a loop": lambda x: tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y * 2), (0, x))[1],
    "a constant": lambda _: tf.zeros((N, U, V, 3)),
}


@pytest.mark.parametrize("name", NO_MAP)
def test_what_only_looks_like_a_feature_map_is_none(name: str) -> None:
    assert looked_at(NO_MAP[name])[0] is None


RESIZED: dict[str, tuple[Callable[[Any], Any], tuple[int, int]]] = {
    "pooling": (lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), (2, 3)),
    "strides": (lambda x: tf.nn.avg_pool2d(x, 1, (1, 2), "SAME"), (4, 3)),
    "padding": (lambda x: tf.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]]), (6, 8)),
    "cropping": (lambda x: x[:, 1:, :-2], (3, 4)),
    "turned upside down": (lambda x: tf.reverse(x, [1]), (4, 6)),
    "every other": (lambda x: x[:, ::2, ::3], (2, 2)),
    "resizing": (lambda x: tf.image.resize(x, (8, 12)), (8, 12)),
    "repeating": (lambda x: tf.repeat(tf.repeat(x, 2, 1), 2, 2), (8, 12)),
    "pixel shuffle": (lambda x: tf.nn.space_to_depth(x, 2), (2, 3)),
    "patches": (
        lambda x: tf.image.extract_patches(x, (1, 2, 2, 1), (1, 2, 2, 1), (1, 1, 1, 1), "VALID"),
        (2, 3),
    ),
    "patches by reshapes": (
        lambda x: tf.reshape(
            tf.transpose(tf.reshape(x, (N, 2, 2, 3, 2, 3)), (0, 1, 3, 2, 4, 5)), (N, 6, 12)
        ),
        (2, 3),
    ),
    "dilated": (
        lambda x: tf.nn.depthwise_conv2d(x, KERNEL, (1, 1, 1, 1), "VALID", dilations=(1, 2)),
        (2, 2),
    ),
    "transposed": (
        lambda x: tf.nn.conv2d_transpose(x, KERNEL, (N, 8, 12, 3), 2, "SAME"),
        (8, 12),
    ),
    "upsampling": (lambda x: L.UpSampling2D(2)(x), (8, 12)),
    "behind a loop": (
        lambda x: tf.nn.conv2d(NO_MAP["a loop"](x), KERNEL, 1, "VALID"),
        (2, 4),
    ),
}


@pytest.mark.parametrize("name", RESIZED)
def test_rows_and_columns_are_followed_to_other_sizes(name: str) -> None:
    function, grid = RESIZED[name]
    features, folded = looked_at(function)
    assert features is not None
    assert features.grid == grid == folded.shape[1:3]


def test_one_column_of_cells_stays_a_grid() -> None:
    picture = np.arange(10, dtype=np.float32).reshape(1, 5, 1, 2)
    features, folded = looked_at(lambda x: tf.reshape(x, (1, 5, 2)) * 1, picture)
    assert features is not None
    assert features.grid == (5, 1)
    np.testing.assert_array_equal(folded, picture)


def test_class_tokens_are_counted() -> None:
    features, _ = looked_at(CELLWISE["class and register tokens"])
    assert features is not None
    assert (features.before, features.after, features.tokens) == (1, 4, True)
    assert features.channels == 3


def test_softmax_over_channels_first_keeps_the_axes() -> None:
    features, folded = looked_at(
        lambda x: keras.ops.softmax(tf.transpose(x * 0 + [0.0, 1.0, 2.0], (0, 3, 1, 2)), axis=1)
    )
    assert features is not None
    assert features.order == (0, 2, 3, 1)
    np.testing.assert_allclose(folded.sum(-1), 1, rtol=1e-6)


def test_a_guess_for_a_layer_that_the_user_named() -> None:
    def guess(*shape: int, layer: Any = None) -> Features | None:
        with tf.Graph().as_default():
            return guess_features(tf.zeros(shape), layer)

    first = L.Conv2D(1, 1, data_format="channels_first")
    assert guess(2, 4, 6, 3) == Features((4, 6), 3, (0, 1, 2, 3))
    assert guess(2, 3, 4, 6, layer=first) == Features((4, 6), 3, (0, 2, 3, 1))
    assert guess(2, 16, 5) == Features((4, 4), 5, (0, 1, 2), tokens=True)
    assert guess(2, 17, 5) == Features((4, 4), 5, (0, 1, 2), tokens=True, before=1)
    assert guess(2, 15, 5) is None
    assert guess(2, 5) is None
