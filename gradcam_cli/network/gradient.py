"""The gradient of a score with respect to a layer's output, and its change along that output."""

from __future__ import annotations

from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import tf

__all__ = ["gradient", "gradient_and_product"]

_FLOAT16_SCALE = 1024.0
"""Keeps float16 gradients above the smallest number that float16 can hold."""


def gradient(score: Any, activations: Any) -> Any:
    """Return ``d score / d A`` of a layer's output, symbolic float32 of the same shape.

    ``score`` is the sum over the images, so that each image's gradient is its own. Raises
    ModelError when the score does not depend on the activations.
    """
    scale = _scale(score)
    return tf.cast(_slope(score * scale, activations), tf.float32) / scale


def gradient_and_product(score: Any, activations: Any) -> tuple[Any, Any]:
    """Return the gradient G, and the Hessian of the score times the activations, alike in shape.

    The product is the gradient of ``sum(G * A)`` with the A in it held fixed: how G changes when A
    grows in proportion. It is zero where all behind the layer is linear, or linear in pieces as a
    ReLU is. Raises ModelError as ``gradient`` does, and when the gradient of the gradient is not
    known of an operation behind the layer.
    """
    scale = _scale(score)
    slope = _slope(score * scale, activations)
    fixed = tf.stop_gradient(tf.cast(activations, tf.float32))
    try:
        product = tf.gradients(tf.reduce_sum(tf.cast(slope, tf.float32) * fixed), activations)[0]
    except LookupError as error:
        raise ModelError(
            f"the layer's gradient cannot be differentiated once more: {error}",
            "choose a later layer, or a method that takes the gradient alone",
        ) from error
    if product is None:
        product = tf.zeros_like(activations)
    product = tf.cast(tf.convert_to_tensor(product), tf.float32) / scale
    return tf.cast(slope, tf.float32) / scale, product


def _slope(score: Any, activations: Any) -> Any:
    slope = tf.gradients(score, activations)[0]
    if slope is None:
        raise ModelError(
            "no gradient reaches the layer: something behind it cannot be differentiated",
            "choose a later layer; `gradcam layers MODEL` lists them",
        )
    return tf.convert_to_tensor(slope)


def _scale(score: Any) -> float:
    """Return what a score is multiplied by while its gradient is taken: a power of two."""
    half = any(
        value.dtype == tf.float16
        for operation in score.graph.get_operations()
        for value in operation.outputs
    )
    return _FLOAT16_SCALE if half else 1.0
