"""What a traced graph fixes of an operation: shapes, attributes, constant inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcam_cli.isolation import tf


def sizes_of(tensor: Any) -> list[int] | None:
    """Return a tensor's shape, or None when it is not known to the last axis."""
    shape = tensor.shape
    if shape.rank is None or any(size is None for size in shape):
        return None
    return [int(size) for size in shape]


def attribute(operation: Any, name: str) -> Any:
    """Return an operation's attribute, or None when it has none of that name."""
    try:
        return operation.get_attr(name)
    except ValueError:
        return None


def numbers(tensor: Any) -> list[int] | None:
    """Return a constant tensor's integers, or None when the graph does not fix them."""
    value = constant(tensor)
    return None if value is None else [int(number) for number in np.ravel(value)]


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Sub": np.subtract,
    "AddV2": np.add,
    "Mul": np.multiply,
    "RealDiv": np.divide,
    "FloorDiv": np.floor_divide,
    "FloorMod": np.mod,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Neg": np.negative,
    "Identity": np.asarray,
    "Reshape": np.reshape,
    "Tile": np.tile,
    "SelectV2": np.where,
    "Range": np.arange,
    "Pack": lambda *parts: np.stack(parts),
    "ConcatV2": lambda *parts: np.concatenate(parts[:-1]),
}


def constant(tensor: Any) -> Any | None:
    """Return a tensor's value where the graph fixes it, through arithmetic with sizes as well."""
    value, operation = tf.get_static_value(tensor), tensor.op
    if value is not None or operation.type not in (*_ARITHMETIC, "Cast", "StridedSlice"):
        return value
    parts = [constant(part) for part in operation.inputs]
    if any(part is None for part in parts):
        return None
    if operation.type == "Cast":
        return np.asarray(parts[0]).astype(tensor.dtype.as_numpy_dtype)
    if operation.type == "StridedSlice":
        return _entries(operation, *(np.asarray(part) for part in parts))
    return _ARITHMETIC[operation.type](*parts)


def _entries(operation: Any, values: Any, begin: Any, end: Any, strides: Any) -> Any | None:
    """Return what is cut from a vector, ``x[i]`` or ``x[i:j]``; None of anything larger."""
    if values.ndim != 1 or begin.size != 1:
        return None
    if operation.get_attr("shrink_axis_mask"):
        return values[int(begin[0])]
    start = None if operation.get_attr("begin_mask") else int(begin[0])
    stop = None if operation.get_attr("end_mask") else int(end[0])
    return values[start : stop : int(strides[0])]
