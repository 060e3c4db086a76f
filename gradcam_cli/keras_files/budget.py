"""A network may become only as large as its file can have made it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras, tf

_PER_BYTE = 16
"""Weights for each byte of the file: float32 without compression has a quarter of one.

Pruned ones where 99 of 100 are zero are compressed to a fiftieth, and a byte has 13 of them.
"""
_ALWAYS = 1 << 24
"""Weights that any file may have: 64 MB."""
_MOST_OPERATIONS = 30_000
"""NASNetLarge and EfficientNetB7 have 7,000."""
_MOST_STEPS = 10_000
"""Calls of what a layer repeats, one after another."""
_MOST_NUMBERS = 1 << 33
"""Numbers in one tensor: 32 GB. TensorFlow ends the process where their count overflows."""
_HINT = "the file is damaged, or was made to take up all memory"


@contextmanager
def limited_weights(path: Path) -> Iterator[None]:
    """Raise ModelError while the block builds a network of more weights than its file can hold.

    It is raised before they are allocated.
    """
    budget = max(_ALWAYS, _PER_BYTE * path.stat().st_size)
    weights = 0

    def count(_: Any, initializer: Any, shape: Any = None, *__: Any, **___: Any) -> bool:
        nonlocal weights
        shape = getattr(initializer, "shape", ()) if shape is None else shape
        sizes = list(shape) if isinstance(shape, Iterable) else [shape]
        weights += math.prod(max(0, int(size)) for size in sizes if isinstance(size, Integral))
        return weights <= budget

    what = f"{path} describes a network of more than {budget:,} weights, which it cannot hold"
    with _checked(keras.Variable, "__init__", count, ModelError(what, _HINT)):
        yield


@contextmanager
def limited_operations(name: str) -> Iterator[None]:
    """Raise ModelError while the block traces a network that no classifier is.

    A small file can say that a layer is repeated without end, or makes a tensor of any size.
    """
    operations = 0

    def count(*_: Any, **__: Any) -> bool:
        nonlocal operations
        operations += 1
        return operations <= _MOST_OPERATIONS

    def are_small(_: Any, __: str, inputs: Any, *___: Any, **____: Any) -> bool:
        return all(map(_is_small, inputs))

    def is_short(layer: Any, inputs: Any, *_: Any, **__: Any) -> bool:
        loops = getattr(layer, "unroll", True) and inputs.shape.rank > 1
        return not loops or (inputs.shape[1] or 0) <= _MOST_STEPS

    checks = (
        (keras.layers.RNN, "call", is_short, f"calls a layer {_MOST_STEPS:,} times"),
        (keras.layers.TimeDistributed, "call", is_short, f"calls a layer {_MOST_STEPS:,} times"),
        (tf.Graph, "_create_op_internal", count, f"has {_MOST_OPERATIONS:,} operations"),
        (tf.Graph, "_create_op_internal", are_small, f"has a tensor of {_MOST_NUMBERS:,} numbers"),
    )
    with ExitStack() as stack:
        for kind, method, check, what in checks:
            fault = ModelError(f"{name} describes a network that {what} or more", _HINT)
            stack.enter_context(_checked(kind, method, check, fault))
        yield


def _is_small(tensor: Any) -> bool:
    shape = getattr(tensor, "shape", None)
    count = None if shape is None else shape.num_elements()
    return count is None or count <= _MOST_NUMBERS


@contextmanager
def _checked(kind: Any, name: str, check: Callable[..., bool], fault: ModelError) -> Iterator[None]:
    """Raise ``fault`` when ``check`` says no to a call of a method in the block, and behind it.

    Keras goes on behind some errors, and turns others into its own.
    """
    home = next(base for base in kind.__mro__ if name in vars(base))
    original = vars(home)[name]
    failed = False

    def checked(*args: Any, **kwargs: Any) -> Any:
        nonlocal failed
        failed = failed or not check(*args, **kwargs)
        if failed:
            raise fault
        return original(*args, **kwargs)

    setattr(home, name, checked)
    try:
        yield
    except Exception:
        if not failed:
            raise
    finally:
        setattr(home, name, original)
    if failed:
        raise fault
