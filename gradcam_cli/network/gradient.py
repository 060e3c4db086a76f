"""Gradients of a score with respect to layers' outputs, and their change along these outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import tf

_FLOAT16_SCALE = 1024.0
"""Keeps float16 gradients above the smallest number that float16 can hold."""


def gradient(score: Any, activations: Any) -> Any:
    """Return ``d score / d A`` of a layer's output, symbolic float32 of the same shape.

    ``score`` is the sum over the images, so that each image's gradient is its own. Raises
    ModelError when the score does not depend on the activations.
    """
    return gradients(score, [activations])[0]


def gradients(score: Any, layers: Sequence[Any]) -> list[Any]:
    """Return the gradient of each of several layers' outputs, on one way back through the network.

    Raises ModelError as ``gradient`` does.
    """
    scale = _scale(score)
    return [_float32(slope, scale) for slope in _slopes(score * scale, layers)]


def gradients_and_products(score: Any, layers: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return each layer's gradient G, and the Hessian of the score times its activations.

    The product is the gradient of ``sum(G * A)`` with the A in it held fixed: how G changes when A
    grows in proportion. It is zero where all behind the layer is linear, or linear in pieces as a
    ReLU is. Raises ModelError as ``gradient`` does, and when the gradient of the gradient is not
    known of an operation behind the layer.
    """
    scale = _scale(score)
    slopes = _slopes(score * scale, layers)
    return [
        (_float32(slope, scale), _float32(_product(slope, layer), scale))
        for slope, layer in zip(slopes, layers, strict=True)
    ]


def _product(slope: Any, activations: Any) -> Any:
    fixed = tf.stop_gradient(tf.cast(activations, tf.float32))
    try:
        product = tf.gradients(tf.reduce_sum(tf.cast(slope, tf.float32) * fixed), activations)[0]
    except LookupError as error:
        raise ModelError(
            f"the layer's gradient cannot be differentiated once more{_at(error)}",
            "choose a later layer, or a method that takes the gradient alone, such as "
            "--method gradcam",
        ) from error
    return tf.zeros_like(activations) if product is None else product


def _at(error: LookupError) -> str:
    """Return which operation TensorFlow knows no gradient of, where the error names it."""
    named = re.search(r"op type: (\w+)", str(error))
    return f": TensorFlow has no gradient of {named[1]}, behind the layer" if named else ""


def _slopes(score: Any, layers: Sequence[Any]) -> list[Any]:
    slopes = tf.gradients(score, list(layers))
    if any(slope is None for slope in slopes):
        raise ModelError(
            "no gradient reaches the layer: something behind it cannot be differentiated",
            "choose a later layer (`gradcam layers MODEL` lists them), or a method that takes no "
            "gradient, such as --method reciprocam or --method eigencam",
        )
    return [tf.convert_to_tensor(slope) for slope in slopes]


def _float32(slope: Any, scale: float) -> Any:
    return tf.cast(tf.convert_to_tensor(slope), tf.float32) / scale


def _scale(score: Any) -> float:
    """Return what a score is multiplied by while its gradient is taken: a power of two."""
    half = any(
        value.dtype == tf.float16
        for operation in score.graph.get_operations()
        for value in operation.outputs
    )
    return _FLOAT16_SCALE if half else 1.0
