"""Dense layers' gradients: the numbers are the product rule's, the weights stay as they lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.network.dense import is_dense, weights_in_order

ROWS, INNER, OUTER = 3, 5, 4
rng = np.random.default_rng(0)
X = rng.normal(size=(ROWS, INNER))
WEIGHTS = rng.normal(size=(INNER, OUTER))
SLOPE = rng.normal(size=(ROWS, OUTER))


def gradients(product: Callable[[Any, Any], Any], x: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Return both gradients of ``sum(SLOPE * product)``, and the graph they were traced in."""

    @tf.function  # type: ignore[untyped-decorator]
    def traced(x: Any, weights: Any) -> Any:
        with weights_in_order():
            y = product(x, weights)
        score = tf.reduce_sum(y * tf.cast(SLOPE, y.dtype))
        return tf.gradients(score, [x, weights])

    function = traced.get_concrete_function(tf.constant(x), tf.constant(weights))
    to_x, to_weights = function(tf.constant(x), tf.constant(weights))
    return to_x.numpy(), to_weights.numpy(), function.graph


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", ["nothing", "x", "weights", "both"])
def test_both_gradients_are_the_product_rules(dtype: str, turned: str) -> None:
    left, right = turned in ("x", "both"), turned in ("weights", "both")
    x = (X.T if left else X).astype(dtype)
    weights = (WEIGHTS.T if right else WEIGHTS).astype(dtype)
    to_x, to_weights, _ = gradients(
        lambda a, b: tf.matmul(a, b, transpose_a=left, transpose_b=right), x, weights
    )
    wanted_x, wanted_weights = SLOPE @ WEIGHTS.T, X.T @ SLOPE
    np.testing.assert_allclose(to_x, wanted_x.T if left else wanted_x, rtol=1e-5)
    np.testing.assert_allclose(to_weights, wanted_weights.T if right else wanted_weights, rtol=1e-5)


def test_the_weights_are_not_transposed() -> None:
    *_, graph = gradients(tf.matmul, X.astype("float32"), WEIGHTS.astype("float32"))
    products = [op for op in graph.get_operations() if op.type == "MatMul"]
    given = next(op.outputs[0] for op in graph.get_operations() if op.outputs[0].shape[0] == INNER)
    backwards = [op for op in products if op.inputs[0] is given]
    assert len(backwards) == 1
    assert not backwards[0].get_attr("transpose_a")


def test_several_classes_go_back_in_one_product() -> None:
    classes = [[0, 1, 3], [3, 0, 2]]

    @tf.function  # type: ignore[untyped-decorator]
    def traced(x: Any, weights: Any) -> Any:
        with weights_in_order():
            y = tf.matmul(x, weights)

        def back(hot: Any) -> Any:
            return tf.gradients(tf.reduce_sum(y * hot), x)[0]

        return tf.vectorized_map(back, tf.one_hot(classes, OUTER))

    slopes = traced(tf.constant(X, tf.float32), tf.constant(WEIGHTS, tf.float32)).numpy()
    for slope, indices in zip(slopes, classes, strict=True):
        np.testing.assert_allclose(slope, WEIGHTS[:, indices].T, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "loop", "wanted"),
    [((3000, 3000), False, True), ((300, 300), False, False), ((3000, 3000), True, False)],
)
def test_only_large_heads_without_loops_are_dense(
    shape: tuple[int, int], loop: bool, wanted: bool
) -> None:
    with tf.Graph().as_default() as graph:
        y = tf.matmul(tf.zeros((1, shape[0])), tf.zeros(shape))
        if loop:
            tf.while_loop(lambda i, _: i < 2, lambda i, v: (i + 1, v), (tf.constant(0), y))
        assert is_dense(graph) is wanted
