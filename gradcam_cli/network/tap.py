"""While a network is traced, every chosen layer's output is handed out as it is made.

The layer's ``call`` is wrapped on the instance, through ``vars(layer)``, so that neither Keras's
attribute tracking nor its locks notice, and the wrapper is gone when the trace ends. No graph is
rebuilt: nested, shared, reloaded and subclassed networks run exactly as they always do.
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gradcam_cli.errors import GradcamError, ModelError
from gradcam_cli.isolation import own_settings, tf
from gradcam_cli.network.operations import constant

_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One output of one call of a layer or operation, in the order of the calls.

    ``path`` names the layer (``base/block5_conv3``), ``call`` counts its calls from 1, ``tensor``
    is symbolic and lives in the traced graph.
    """

    path: str
    call: int
    layer: Any
    tensor: Any


def trace(function: Callable[..., Any], *signature: Any) -> Any:
    """Trace a function that calls a network, once, for the given tensor specs.

    Raises ModelError when the network cannot be run.
    """
    try:
        with own_settings():
            return tf.function(function, autograph=False).get_concrete_function(*signature)
    except (GradcamError, MemoryError, tf.errors.ResourceExhaustedError):
        raise
    except Exception as error:
        raise ModelError(
            f"the model fails on a picture of its input size: {_said(error)[:200]}",
            "call it on such a picture in Keras; other code it needs goes with --custom-objects",
        ) from error


def _said(error: Exception) -> str:
    """Return the line of an error that says what is wrong, without Keras's frame around it."""
    plain = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered")]
    return said[0] if said else type(error).__name__


@contextmanager
def recording(
    operations: Mapping[str, Any], change: Callable[[str, int, Any], Any] | None = None
) -> Iterator[list[Step]]:
    """Record the outputs of the given layers and operations, by path, while the block runs.

    ``change(path, call, tensor)`` may return another tensor, which the network then goes on with.

    Must be entered while a function is being traced. Outputs that belong to another graph (scratch
    graphs of layers that build themselves, loop bodies) or to another thread are left out. Inner
    ``tf.function`` calls are traced inline, so that layers inside them are seen as well.
    """
    steps: list[Step] = []
    graph = tf.compat.v1.get_default_graph()
    thread = threading.get_ident()
    with _ONE_AT_A_TIME:
        undo: list[Callable[[], None]] = []
        try:
            undo.append(_inline_functions(thread))
            undo.append(_decide_conditions(thread))
            for path, layer in operations.items():
                undo.append(_wrap(path, layer, graph, thread, steps, change))
            yield steps
        finally:
            for restore in reversed(undo):
                restore()


def _inline_functions(thread: int) -> Callable[[], None]:
    """Make every ``tf.function`` that this thread calls run as Python, in the traced graph."""
    kind = type(tf.function(lambda: None))
    compiled = kind.__call__

    def inline(self: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread:
            return compiled(self, *args, **kwargs)
        function = inspect.unwrap(self.python_function, stop=_is_users_own)
        if inspect.ismethod(function):
            owner = function.__self__  # TensorFlow keeps only a reference to the object
            args = (getattr(owner, "target", owner), *args)
            function = function.__func__
        return _graph_code(function)(*args, **kwargs)

    def restore() -> None:
        kind.__call__ = compiled

    kind.__call__ = inline
    return restore


def _decide_conditions(thread: int) -> Callable[[], None]:
    """Make ``tf.cond`` take the one branch that can be, where sizes alone decide it.

    Both branches of a layer that pads images to an aspect ratio would hide what is done to them.
    """
    either = tf.cond

    @functools.wraps(either)
    def decided(pred: Any, true_fn: Any = None, false_fn: Any = None, name: Any = None) -> Any:
        mine = threading.get_ident() == thread and hasattr(pred, "graph")
        value = constant(pred) if mine else None
        if value is None:
            return either(pred, true_fn, false_fn, name)
        return true_fn() if value else false_fn()

    def restore() -> None:
        tf.cond = either

    tf.cond = decided
    return restore


def _is_users_own(function: Any) -> bool:
    """Tell a function, or a decorator around it, from what TensorFlow wraps around methods."""
    return not hasattr(function, "_tf_decorator")


def _graph_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose control flow is TensorFlow's, as in a ``tf.function``."""
    if (function.__module__ or "").split(".")[0] in ("keras", "tensorflow"):
        return function  # written for graphs already
    try:
        converted: Callable[..., Any] = tf.autograph.to_graph(function)
    except Exception:  # noqa: BLE001  no source to convert: it has to do as it is
        return function
    return converted


def _wrap(
    path: str,
    layer: Any,
    graph: Any,
    thread: int,
    steps: list[Step],
    change: Callable[[str, int, Any], Any] | None,
) -> Callable[[], None]:
    quantized = getattr(layer, "quantization_mode", None) is not None
    name = "quantized_call" if quantized else "call"
    original, attributes = getattr(layer, name), vars(layer)
    shadowed = name in attributes
    calls = 0

    def is_mine(value: Any) -> bool:
        return isinstance(value, tf.Tensor) and getattr(value, "graph", None) is graph

    @functools.wraps(original)
    def tapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        output = original(*args, **kwargs)
        mine = [value for value in tf.nest.flatten(output) if is_mine(value)]
        if not mine or threading.get_ident() != thread:
            return output
        calls += 1
        if change is not None:
            adjust = functools.partial(change, path, calls)
            output = tf.nest.map_structure(lambda v: adjust(v) if is_mine(v) else v, output)
            mine = [value for value in tf.nest.flatten(output) if is_mine(value)]
        steps.extend(Step(path, calls, layer, value) for value in mine)
        return output

    def restore() -> None:
        if shadowed:
            attributes[name] = original
        else:
            attributes.pop(name, None)

    attributes[name] = tapped
    return restore
