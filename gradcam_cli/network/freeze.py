"""A network is traced with its weights as constants, which makes it faster on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradcam_cli.isolation import keras, tf

_MOST_BYTES = 256 << 20
"""Of weights; a frozen function holds copies of them, and for large networks it gains nothing."""


def can_freeze(network: Any) -> bool:
    """Return whether a network is small enough to be traced with constants for weights."""
    return sum(_bytes(variable) for variable in network.weights) <= _MOST_BYTES


@contextmanager
def weights_as_constants(network: Any) -> Iterator[None]:
    """Make a Keras network read its weights as constants where it is traced in the block.

    TensorFlow then folds batch normalisation and activations into the convolutions; the numbers
    differ by rounding only. Traced so from the start, it costs a fraction of what converting a
    traced function does. Raises ValueError when the network changes one of its weights: what is
    constant would not be changed.
    """
    with tf.init_scope():  # the numbers as they are now, not symbols of the traced graph
        values = [(variable, variable.numpy()) for variable in network.weights]
    with keras.StatelessScope(values) as scope:
        before = [scope.get_current_value(variable) for variable, _ in values]
        yield
        for (variable, _), value in zip(values, before, strict=True):
            if scope.get_current_value(variable) is not value:
                raise ValueError(f"{variable.path} is changed by the network")


def _bytes(variable: Any) -> int:
    return int(variable.value.dtype.size) * int(variable.value.shape.num_elements() or 0)
