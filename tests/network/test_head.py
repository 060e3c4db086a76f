from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.errors import ModelError
from gradcam_cli.network.head import Head, find_head, pooled_features

L = keras.layers
Z = np.array([[0.3, -1.2, 2.0, 0.1], [-0.4, 0.0, 0.7, -2.0]], np.float32)
P = np.exp(Z) / np.exp(Z).sum(-1, keepdims=True)


def headed(function: Callable[[Any], Any], z: Any = Z, **options: Any) -> tuple[Head, Any, Any]:
    """The head of ``function(z)``, and the values of its logits and output."""
    heads: list[Head] = []

    def run(x: Any) -> Any:
        heads.append(find_head(function(x), **options))
        return heads[0].logits, heads[0].output

    traced = tf.function(run, autograph=False)
    logits, output = traced.get_concrete_function(tf.TensorSpec(z.shape, tf.float32))(
        tf.constant(z)
    )
    return heads[0], logits.numpy(), output.numpy()


SPELT: dict[str, Callable[[Any], Any]] = {
    "tf": tf.nn.softmax,
    "keras.ops": keras.ops.softmax,
    "layer": L.Softmax(),
    "activation": L.Activation("softmax"),
    "log": tf.nn.log_softmax,
    "cast": lambda z: tf.cast(tf.nn.softmax(tf.cast(z, tf.float64)), tf.float32),
    "reshape": lambda z: tf.reshape(tf.nn.softmax(z), (2, 1, 1, 4)),
    "squeeze": lambda z: tf.squeeze(tf.nn.softmax(z[:, None, None]), (1, 2)),
    "expanded": lambda z: tf.nn.softmax(z)[:, None],
    "first axis": lambda z: tf.transpose(tf.nn.softmax(z)[..., None], (0, 2, 1)),
}


@pytest.mark.parametrize("name", SPELT)
def test_every_spelling_of_softmax_gives_its_logits(name: str) -> None:
    head, logits, output = headed(SPELT[name])
    assert (head.kind, head.classes, head.found) == ("softmax", 4, True)
    np.testing.assert_allclose(logits, Z, atol=1e-6)
    np.testing.assert_allclose(output, P, atol=1e-6)


def test_one_sigmoid_unit_is_two_classes() -> None:
    head, logits, output = headed(lambda z: tf.sigmoid(z[:, :1]))
    assert (head.kind, head.classes) == ("binary", 2)
    np.testing.assert_allclose(logits, np.stack([-Z[:, 0], Z[:, 0]], -1))
    p = 1 / (1 + np.exp(-Z[:, 0]))
    np.testing.assert_allclose(output, np.stack([1 - p, p], -1), atol=1e-6)


def test_one_linear_unit_is_a_regression_unless_there_are_two_labels() -> None:
    head, logits, output = headed(lambda z: z[:, :1])
    assert (head.kind, head.classes, head.found) == ("linear", 1, False)
    np.testing.assert_array_equal(logits, Z[:, :1])
    np.testing.assert_array_equal(output, Z[:, :1])
    head, logits, output = headed(lambda z: z[:, :1], binary=True)
    assert (head.kind, head.classes) == ("binary", 2)
    np.testing.assert_allclose(output[:, 1], 1 / (1 + np.exp(-Z[:, 0])), atol=1e-6)
    flat, _, values = headed(lambda z: z[:, 0])
    assert flat.classes == 1
    np.testing.assert_array_equal(values, Z[:, :1])


def test_several_sigmoid_units_are_independent_labels() -> None:
    head, logits, output = headed(tf.sigmoid)
    assert (head.kind, head.classes) == ("sigmoid", 4)
    np.testing.assert_array_equal(logits, Z)
    np.testing.assert_allclose(output, 1 / (1 + np.exp(-Z)), atol=1e-6)


def test_without_an_activation_the_output_is_the_score() -> None:
    head, logits, output = headed(lambda z: tf.exp(z) / tf.reduce_sum(tf.exp(z), -1, keepdims=True))
    assert (head.kind, head.found) == ("linear", False)
    np.testing.assert_array_equal(logits, output)
    np.testing.assert_allclose(output, P, atol=1e-6)


MAP = np.array(
    [[[[3.0, 1, 0], [0, 2, 1]], [[1, 0, -1], [-4, -5, -2]]]], np.float32
)  # wins: class 0, class 1, class 0, class 2


def test_a_map_of_classes_sums_a_class_over_the_cells_that_it_wins() -> None:
    head, logits, output = headed(tf.nn.softmax, MAP)
    assert (head.kind, head.classes, head.found) == ("segmentation", 3, True)
    np.testing.assert_allclose(logits, [[3 + 1, 2, -2]])
    p = np.exp(MAP) / np.exp(MAP).sum(-1, keepdims=True)
    np.testing.assert_allclose(output, p.mean((1, 2)), atol=1e-6)


def test_a_row_of_classes_is_no_segmentation() -> None:
    """What reads text gives one class a step: ``[N, T, C]``."""
    for row in (MAP.reshape(1, 4, 3), MAP.reshape(1, 1, 4, 3), MAP.reshape(1, 4, 1, 3)):
        head, logits, _ = headed(tf.nn.softmax, row)
        assert (head.kind, head.classes) == ("sequence", 3)
        np.testing.assert_allclose(logits, [[3 + 1, 2, -2]])


def test_a_map_of_independent_classes_sums_each_where_it_is_likely() -> None:
    _, logits, _ = headed(tf.sigmoid, MAP)
    np.testing.assert_allclose(logits, [[3 + 1, 1 + 2, 1]])
    head, logits, output = headed(lambda z: tf.sigmoid(z[..., :1]), MAP)
    assert head.classes == 2
    np.testing.assert_allclose(logits, [[4, 4]])  # class 0: the cells 0 (a draw) and -4, as -z
    p = 1 / (1 + np.exp(-MAP[..., 0]))
    np.testing.assert_allclose(output, [[1 - p.mean(), p.mean()]], atol=1e-6)


def test_a_map_of_classes_with_channels_first() -> None:
    first = np.transpose(MAP, (0, 3, 1, 2))
    for function in (lambda z: keras.ops.softmax(z, axis=1), lambda z: z + 0):
        _, logits, _ = headed(function, first, class_axis=1)
        np.testing.assert_allclose(logits, [[3 + 1, 2, -2]])


def test_a_turned_output_is_no_copy() -> None:
    head, logits, _ = headed(lambda z: tf.nn.softmax(z)[:, ::-1])
    assert not head.found
    np.testing.assert_allclose(logits, P[:, ::-1], atol=1e-6)


def test_an_output_without_classes_is_refused() -> None:
    with pytest.raises(ModelError, match="single number"):
        headed(tf.reduce_sum)


def pooled(layers: list[Any], shape: tuple[int, ...] = (8, 8, 3)) -> int | None:
    """The place of the layer whose output ``pooled_features`` names."""
    found: list[int | None] = []

    def run(x: Any) -> Any:
        values = [x]
        for layer in layers:
            values.append(layer(values[-1]))
        feature = pooled_features(find_head(values[-1]))
        places = [place - 1 for place, value in enumerate(values) if value is feature]
        found.append(places[0] if places else None)
        return values[-1]

    keras.Sequential([keras.Input(shape), *layers])
    tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec((2, *shape), tf.float32))
    return found[0]


def test_the_features_that_are_averaged_into_a_dense_layer_are_found() -> None:
    gap, dense = L.GlobalAveragePooling2D, L.Dense
    conv = L.Conv2D(4, 3)
    assert pooled([conv, gap(), dense(3, "softmax")]) == 0
    assert pooled([L.Conv2D(4, 3, activation="relu"), gap(), dense(1, "sigmoid")]) == 0
    assert pooled([L.Conv2D(4, 3), L.ReLU(), gap(), L.Dropout(0.5), dense(3, use_bias=False)]) == 1
    assert pooled([L.Conv2D(4, 3), L.AveragePooling2D(6), L.Flatten(), dense(3)]) == 0
    keepdims = [L.Conv2D(4, 3), gap(keepdims=True), L.Conv2D(3, 1), L.Reshape((3,)), L.Softmax()]
    assert pooled(keepdims) == 0
    tokens = [L.Reshape((64, 3)), L.LayerNormalization(), L.GlobalAveragePooling1D(), dense(3)]
    assert pooled(tokens) == 1
    first: dict[str, Any] = {"data_format": "channels_first"}
    assert pooled([L.Conv2D(4, 1), L.Permute((3, 1, 2)), L.ReLU(), gap(**first), dense(3)]) == 2


def test_other_heads_have_no_pooled_features() -> None:
    gap, dense = L.GlobalAveragePooling2D, L.Dense
    assert pooled([L.Conv2D(4, 3), L.Flatten(), dense(3)]) is None
    assert pooled([L.Conv2D(4, 3), L.GlobalMaxPooling2D(), dense(3)]) is None
    assert pooled([L.Conv2D(4, 3), gap(), dense(5, "relu"), dense(3)]) is None
    assert pooled([L.Conv2D(4, 3), L.AveragePooling2D(3), L.Flatten(), dense(3)]) is None
    assert pooled([L.Conv2D(3, 3), gap(), L.Softmax()]) is None
    assert pooled([L.Conv2D(3, 3), L.Conv2D(3, 1), L.Softmax()]) is None
