"""A traced function becomes a faster one, with its weights frozen into it as constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

__all__ = ["freeze"]

_MOST_BYTES = 256 << 20
"""Of weights; a frozen function holds a copy, and for large networks it gains nothing."""


def freeze(traced: Any) -> Callable[..., dict[str, Any]] | None:
    """Return a function that does what ``traced`` does, or None when that is not worth it.

    ``traced`` is a concrete function that returns a dict of tensors. With constants for weights
    TensorFlow folds batch normalisation and activations into the convolutions; the numbers differ
    by rounding only. None for networks with many weights, and for those with loops that TensorFlow
    cannot freeze.
    """
    if sum(_bytes(variable) for variable in traced.variables) > _MOST_BYTES:
        return None
    try:
        frozen = convert_variables_to_constants_v2(traced)
    except Exception:  # noqa: BLE001  whatever goes wrong, the function as it is still works
        return None
    names = sorted(traced.structured_outputs)
    if len(frozen.outputs) != len(names):
        return None

    def call(*arguments: Any) -> dict[str, Any]:
        return dict(zip(names, frozen(*arguments), strict=True))

    return call


def _bytes(variable: Any) -> int:
    return int(variable.shape.num_elements() or 0) * int(variable.dtype.size)
