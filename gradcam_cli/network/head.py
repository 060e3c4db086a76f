"""A network's traced output becomes one score and one probability a class.

The score is the logit: the tensor that feeds the softmax or sigmoid, found by walking back from
the output through operations that only copy or reshape. Every spelling of the last activation ends
in the same few TensorFlow operations, and the network is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import tf
from gradcam_cli.network.kinds import ACTIVATIONS, COPIES, PRODUCTS, SAME_NUMBERS
from gradcam_cli.network.operations import sizes_of

Kind = Literal["softmax", "sigmoid", "binary", "linear", "segmentation", "sequence", "similarity"]


@dataclass(frozen=True, slots=True)
class Head:
    """What the end of a network says about its classes.

    ``logits`` and ``output`` are symbolic float32 tensors ``[N, C]``; for one sigmoid unit
    (``binary``) C is 2: class 1 is ``+z`` and ``p``, class 0 is ``-z`` and ``1 - p``. ``source`` is
    the network's own tensor that the logits were read from. ``found`` is False where no softmax or
    sigmoid was found, so that the output itself is the score.

    A map of classes (``segmentation``) and a row of them (``sequence``: text read from left to
    right, or a map that was flattened) have ``cells``, their logits ``[N, M, C]`` cell by cell, and
    ``own``, 1 where a class wins its cell; ``logits`` sums a class over its own cells, and
    ``output`` is its mean probability over all cells.
    """

    kind: Kind
    classes: int
    logits: Any
    output: Any
    source: Any
    found: bool
    cells: Any = None
    own: Any = None


def find_head(output: Any, binary: bool = False, class_axis: int = -1) -> Head:
    """Return the head behind a network's symbolic output ``[N, C]``, ``[N]`` or ``[N, a, b, C]``.

    ``binary`` says that one linear unit is a two-class logit (two labels were given for it),
    ``class_axis`` where a map of classes has its classes. Raises ModelError for an output that
    holds no number a class.
    """
    source, activation, logits = _behind_activation(output)
    logits, values = tf.cast(logits, tf.float32), tf.cast(output, tf.float32)
    kind: Kind = ACTIVATIONS.get(activation, "linear")
    if activation == "LogSoftmax":
        values = tf.exp(values)
    logits, values = _by_class(logits, class_axis), _by_class(values, class_axis)
    classes = values.shape[-1]
    if classes is None:
        raise ModelError("the model does not say how many classes it has", "fix its output shape")
    if classes == 1 and (kind == "sigmoid" or (kind == "linear" and binary)):
        if kind == "linear":
            values = tf.sigmoid(logits)
        logits, values = tf.concat([-logits, logits], -1), tf.concat([1 - values, values], -1)
        kind, classes = "binary", 2
    found = activation != ""
    if values.shape[1] == 1:
        return Head(kind, classes, logits[:, 0], values[:, 0], source, found)
    own = tf.cast(logits > 0, tf.float32)  # of independent classes, each has its own mask
    if kind != "sigmoid":
        own = tf.one_hot(tf.argmax(logits, axis=-1), classes, dtype=tf.float32)
    own = tf.stop_gradient(own)
    score, share = tf.reduce_sum(logits * own, axis=1), tf.reduce_mean(values, axis=1)
    return Head(_cells_kind(output, class_axis), classes, score, share, source, found, logits, own)


def _cells_kind(output: Any, class_axis: int) -> Kind:
    sizes = list(output.shape)
    del sizes[class_axis % len(sizes)]
    return "segmentation" if sum(size != 1 for size in sizes[1:]) > 1 else "sequence"


def _by_class(tensor: Any, class_axis: int) -> Any:
    """Return an output as ``[N, cells, C]``."""
    rank = tensor.shape.rank
    if rank is None or rank == 0:
        raise ModelError("the model's output is a single number", "choose another with --output")
    if rank == 1:
        return tensor[:, None, None]
    if rank == 2:
        return tensor[:, None]
    axis = class_axis % rank
    order = [at for at in range(rank) if at != axis] + [axis]
    tensor = tf.transpose(tensor, order)
    cells = 1
    for size in tensor.shape[1:-1]:
        cells = -1 if size is None or cells < 0 else cells * size
    classes = -1 if tensor.shape[-1] is None else tensor.shape[-1]
    batch = tensor.shape[0] if cells < 0 or classes < 0 else -1
    return tf.reshape(tensor, (batch, cells, classes))


def _behind_activation(output: Any) -> tuple[Any, str, Any]:
    """Return what feeds the last softmax or sigmoid, its type, and that in the output's shape.

    Where there is no such operation, these are the output, an empty string, and the output.
    """
    tensor, way = output, []
    while _copies(tensor.op):
        way.append(tensor.op)
        tensor = tensor.op.inputs[0]
    if tensor.op.type not in ACTIVATIONS:
        return output, "", output
    source = logits = tensor.op.inputs[0]
    for operation in reversed(way):
        if operation.type == "Transpose":
            logits = tf.transpose(logits, operation.inputs[1])
        elif operation.type not in COPIES:
            logits = tf.reshape(logits, tf.shape(operation.outputs[0]))
            logits.set_shape(operation.outputs[0].shape)
    return source, tensor.op.type, logits


def behind_copies(tensor: Any) -> Any:
    """Return the tensor that ``tensor`` is a mere copy, cast, reshape or transposition of."""
    while _copies(tensor.op):
        tensor = tensor.op.inputs[0]
    return tensor


def _copies(operation: Any) -> bool:
    """Return whether an operation passes its first input's values on, in another shape or type."""
    if operation.type == "StridedSlice":  # x[:, None] and x[:, 0] of one entry take nothing away
        before, after = sizes_of(operation.inputs[0]), sizes_of(operation.outputs[0])
        strides = tf.get_static_value(operation.inputs[3])
        forwards = strides is not None and (strides > 0).all()
        return bool(forwards and before and after and prod(before) == prod(after))
    return operation.type in SAME_NUMBERS and bool(operation.inputs)


def pooled_features(head: Head) -> Any | None:
    """Return the tensor whose global average feeds the head's dense layer, or None.

    Walks back from the logits: bias, matrix product (or the 1 x 1 convolution that takes its
    place), copies, then a mean over the grid. CAM is defined at the returned tensor, ``[N, u, v,
    K]`` or tokens ``[N, T, K]``, alone (Zhou et al. 2016).
    """
    tensor = behind_copies(head.source)
    if tensor.op.type in ("BiasAdd", "Add", "AddV2"):
        tensor = behind_copies(tensor.op.inputs[0])
    if tensor.op.type == "Conv2D":
        if not _one_cell(tensor.op.inputs[0]):
            return None
    elif tensor.op.type not in PRODUCTS:
        return None
    mean = behind_copies(tensor.op.inputs[0])
    if mean.op.type not in ("AvgPool", "Mean"):
        return None
    pooled = mean.op.inputs[0]
    if mean.op.type == "AvgPool":
        return behind_copies(pooled) if _one_cell(mean) else None
    if pooled.shape.rank not in (3, 4):
        return None
    axes = tf.get_static_value(mean.op.inputs[1])
    over = sorted(int(axis) % pooled.shape.rank for axis in axes.reshape(-1))
    grids = ([1],) if pooled.shape.rank == 3 else ([1, 2], [2, 3])
    return behind_copies(pooled) if over in grids else None


def _one_cell(tensor: Any) -> bool:
    shape = tensor.shape
    if shape.rank != 4:
        return False
    return list(shape[1:3]) == [1, 1] or list(shape[2:4]) == [1, 1]
