"""A model's gradients are held against central differences, on the model itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import ModelError
from gradcam_cli.explain import gradient
from gradcam_cli.models.anatomy import find_step, named_operations
from gradcam_cli.models.head import find_head
from gradcam_cli.models.load import Model
from gradcam_cli.models.ports import run
from gradcam_cli.models.tap import recording, trace

__all__ = ["Check", "check_gradient"]

_STEPS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
_TOLERANCE = 2e-2


@dataclass(frozen=True, slots=True)
class Check:
    """One self-test: what was compared, how far apart it was, and whether that is close enough."""

    name: str
    passed: bool
    error: float
    detail: str


def check_gradient(model: Model, layer: str, seed: int = 0) -> Check:
    """Compare the gradient at ``layer`` with central differences of the score.

    A grey picture with noise goes through the network; the layer's output A is then moved a little
    along a random direction D, and the change of the likeliest class's logit is compared with
    ``sum(G * D)``. The best of several step lengths counts, since float32 differences are coarse
    at both ends; ReLUs whose kink lies within a step make up the rest of the tolerance (2 %).
    """
    rng = np.random.default_rng(seed)
    ports = model.ports
    shape = (ports.batch or 1, *ports.size, ports.channels)
    pixels = tf.constant(rng.integers(0, 256, shape).astype(np.float32))
    operations = {layer: named_operations(model.network)[layer]}

    def moved(pictures: Any, length: Any, wanted: Any) -> Any:
        directions: list[Any] = []

        def move(path: str, call: int, tensor: Any) -> Any:  # noqa: ARG001  the tap's signature
            seeds = tf.constant([seed, 1], tf.int32)
            direction = tf.random.stateless_normal(tf.shape(tensor), seeds)
            # In proportion to the activation: what is zero stays on its side of a ReLU's kink.
            direction *= tf.cast(tensor, tf.float32)
            directions.append(direction)
            return tensor + tf.cast(length * direction, tensor.dtype)

        with recording(operations, move) as steps:
            output = run(model.network, ports, model.scaling.apply(pictures))
        head = find_head(output)
        step = find_step(steps, layer)
        index = tf.where(wanted < 0, tf.argmax(head.logits[0], output_type=tf.int32), wanted)
        score = head.logits[0, index]
        slope = tf.reduce_sum(gradient(score, step) * directions[-1])
        return score, slope, index

    number, whole = tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)
    feed = trace(moved, tf.TensorSpec(shape, tf.float32), number, whole)
    score, slope, index = feed(pixels, tf.constant(0.0), tf.constant(-1))
    slope = float(slope)
    best = np.inf
    for length in _STEPS:
        above, below = (
            float(feed(pixels, tf.constant(sign * length), index)[0]) for sign in (1, -1)
        )
        difference = (above - below) / (2 * length)
        scale = max(abs(slope), abs(difference), 1e-6 * max(1.0, abs(float(score))))
        best = min(best, abs(difference - slope) / scale)
    if not np.isfinite(best):
        raise ModelError(f"the score is not finite at layer {layer!r}", "check the weights")
    return Check(
        "gradient against central differences", best < _TOLERANCE, best, f"slope {slope:.4g}"
    )
