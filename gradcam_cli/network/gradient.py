"""The gradient of a score with respect to a layer's output, in a traced graph."""

from __future__ import annotations

from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import tf

__all__ = ["gradient"]

_FLOAT16_SCALE = 1024.0
"""Keeps float16 gradients above the smallest number that float16 can hold."""


def gradient(score: Any, activations: Any) -> Any:
    """Return ``d score / d A`` of a layer's output, symbolic float32 of the same shape.

    ``score`` is the sum over the images, so that each image's gradient is its own. Raises
    ModelError when the score does not depend on the activations.
    """
    scale = _FLOAT16_SCALE if activations.dtype == tf.float16 else 1.0
    slope = tf.gradients(score * scale, activations)[0]
    if slope is None:
        raise ModelError(
            "no gradient reaches the layer: something behind it cannot be differentiated",
            "choose a later layer; `gradcam layers MODEL` lists them",
        )
    return tf.cast(tf.convert_to_tensor(slope), tf.float32) / scale
