"""Networks are built without drawing random weights that are about to be overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradcam_cli.isolation import keras
from gradcam_cli.keras_files.memory import aligned_zeros, shared

_RANDOM: tuple[Any, ...] = (
    keras.initializers.Orthogonal,
    keras.initializers.RandomNormal,
    keras.initializers.RandomUniform,
    keras.initializers.TruncatedNormal,
    keras.initializers.VarianceScaling,  # and with it Glorot, He and LeCun
)


@contextmanager
def blank_weights() -> Iterator[None]:
    """Make Keras's random initialisers give zeros while the block runs.

    Drawing VGG16's 138 million random weights takes longer than reading the trained ones. The zeros
    are pages that nobody has touched, so they take no memory either. The initialisers are the same
    again afterwards, and whatever is not overwritten by then is zero.
    """
    calls = {kind: vars(kind)["__call__"] for kind in _RANDOM}

    def zeros(_: Any, shape: Any, dtype: Any = None, **__: Any) -> Any:
        kind = keras.backend.standardize_dtype(dtype)
        if kind != "float32":
            return keras.ops.zeros(shape, kind)
        return shared(aligned_zeros(tuple(shape)))

    try:
        for kind in calls:
            kind.__call__ = zeros
        yield
    finally:
        for kind, call in calls.items():
            kind.__call__ = call
