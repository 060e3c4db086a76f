"""A network's traced output becomes one score and one probability a class.

The score is the logit: the tensor that feeds the softmax or sigmoid, found by walking back from
the output through operations that only copy or reshape. Every spelling of the last activation ends
in the same few TensorFlow operations, and the network is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

__all__ = ["Head", "find_head", "pooled_features"]

Kind = Literal["softmax", "sigmoid", "binary", "linear", "segmentation"]

_SAME_VALUES = ("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "StopGradient")


@dataclass(frozen=True, slots=True)
class Head:
    """What the end of a network says about its classes.

    ``logits`` and ``output`` are symbolic float32 tensors ``[N, C]``; for one sigmoid unit
    (``binary``) C is 2: class 1 is ``+z`` and ``p``, class 0 is ``-z`` and ``1 - p``. ``source`` is
    the network's own tensor that the logits were read from. ``found`` is False where no softmax or
    sigmoid was found, so that the output itself is the score.
    """

    kind: Kind
    classes: int
    logits: Any
    output: Any
    source: Any
    found: bool


def find_head(output: Any, binary: bool = False) -> Head:
    """Return the head behind a network's symbolic output ``[N, C]``, ``[N]`` or ``[N, a, b, C]``.

    A map of classes (segmentation) gives each class the sum of its scores over the cells where it
    wins, and as probability the mean of its probabilities over all cells. ``binary`` says that one
    linear unit is a two-class logit (two labels were given for it).
    """
    source, activation = _behind_activation(output)
    logits = tf.cast(source, tf.float32)
    values = tf.cast(output, tf.float32)
    if activation == "LogSoftmax":
        values = tf.exp(values)
    if logits.shape.rank != values.shape.rank or logits.shape[1:] != values.shape[1:]:
        logits = tf.reshape(logits, tf.shape(values))
        logits.set_shape(values.shape)
    if values.shape.rank == 1:
        values, logits = values[:, None], logits[:, None]
    kind: Kind = "linear"
    if activation in ("Softmax", "LogSoftmax"):
        kind = "softmax"
    elif activation == "Sigmoid":
        kind = "sigmoid"
    cells = 1
    for size in values.shape[1:-1]:
        cells = -1 if size is None or cells < 0 else cells * size
    classes = int(values.shape[-1])
    if values.shape.rank > 2:
        values = tf.reshape(values, [tf.shape(values)[0], -1, classes])
        logits = tf.reshape(logits, [tf.shape(logits)[0], -1, classes])
        if cells == 1:
            values, logits = values[:, 0], logits[:, 0]
        else:
            values, logits, classes = _over_cells(values, logits, classes, kind)
            return Head("segmentation", classes, logits, values, source, kind != "linear")
    found = kind != "linear"
    if classes == 1 and (kind == "sigmoid" or (kind == "linear" and binary)):
        if kind == "linear":
            values = tf.sigmoid(logits)
        values = tf.concat([1 - values, values], axis=-1)
        logits = tf.concat([-logits, logits], axis=-1)
        kind, classes = "binary", 2
    return Head(kind, classes, logits, values, source, found)


def _over_cells(values: Any, logits: Any, classes: int, kind: Kind) -> tuple[Any, Any, int]:
    if classes == 1 and kind == "sigmoid":
        values = tf.concat([1 - values, values], axis=-1)
        logits = tf.concat([-logits, logits], axis=-1)
        classes = 2
    own = tf.one_hot(tf.argmax(logits, axis=-1), classes, dtype=tf.float32)
    return tf.reduce_mean(values, axis=1), tf.reduce_sum(logits * own, axis=1), classes


def _behind_activation(output: Any) -> tuple[Any, str]:
    """Return the tensor that feeds the last softmax or sigmoid and its type, or the output."""
    tensor = output
    while True:
        operation = tensor.op
        if operation.type in ("Softmax", "LogSoftmax", "Sigmoid"):
            return operation.inputs[0], operation.type
        if operation.type not in _SAME_VALUES or not operation.inputs:
            return output, ""
        tensor = operation.inputs[0]


def pooled_features(head: Head) -> Any | None:
    """Return the feature map whose global average feeds the head's dense layer, or None.

    Walks back from the logits: bias, matrix product, reshapes, then a mean over two grid axes. The
    returned symbolic tensor has rank 4; CAM is defined for it alone (Zhou et al. 2016).
    """
    tensor = _skip(head.source)
    if tensor.op.type in ("BiasAdd", "Add", "AddV2"):
        tensor = _skip(tensor.op.inputs[0])
    if tensor.op.type not in ("MatMul", "BatchMatMulV2", "Einsum", "Tensordot"):
        return None
    tensor = _skip(tensor.op.inputs[0])
    if tensor.op.type != "Mean" or tensor.op.inputs[0].shape.rank != 4:
        return None
    axes = tf.get_static_value(tensor.op.inputs[1])
    if axes is None or sorted(int(axis) % 4 for axis in axes.reshape(-1)) not in ([1, 2], [2, 3]):
        return None
    return tensor.op.inputs[0]


def _skip(tensor: Any) -> Any:
    while tensor.op.type in _SAME_VALUES and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor
