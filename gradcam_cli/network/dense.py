"""Gradients go back through large dense layers with their weights read once, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensorflow.python.framework.ops import gradient_registry

from gradcam_cli.isolation import tf

_LARGE = 8_000_000
"""Weights of all matrix products together."""

_IN_ORDER = "GradcamMatMul"


def is_dense(graph: Any) -> bool:
    """Return whether all classes' gradients should go back through the head together.

    VGG16's fully connected weights are half a gigabyte, which each class alone would read again;
    small heads, and those with loops, are faster class by class.
    """
    operations = graph.get_operations()
    if any("While" in operation.type for operation in operations):
        return False
    weights = [op.inputs[1].shape.num_elements() for op in operations if op.type == "MatMul"]
    return sum(count or 0 for count in weights) > _LARGE


@contextmanager
def weights_in_order() -> Iterator[None]:
    """Give the matrix products that are traced in the block a gradient that is fast on CPUs.

    Of ``y = x W``, TensorFlow takes ``dx = dy W^T`` as it stands there, and the product with a
    transposed right side is rearranged first, at several times the cost of the product itself when
    there are few rows. ``(W dy^T)^T`` is the same sum over rows of ``W`` as they lie in memory.
    """
    with tf.compat.v1.get_default_graph().gradient_override_map({"MatMul": _IN_ORDER}):
        yield


@tf.RegisterGradient(_IN_ORDER)  # type: ignore[untyped-decorator]
def _matmul_gradient(op: Any, slope: Any) -> Any:
    x, weights = op.inputs
    plain = not (op.get_attr("transpose_a") or op.get_attr("transpose_b"))
    if not plain or x.dtype not in (tf.float32, tf.bfloat16):
        return gradient_registry.lookup("MatMul")(op, slope)
    to_input = tf.transpose(tf.matmul(weights, slope, transpose_b=True))
    return to_input, tf.matmul(x, slope, transpose_a=True)
