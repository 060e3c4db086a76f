"""One trace of a network becomes what can be said of it: layers, default layer, head, scaling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.models.anatomy import (
    default_step,
    feature_grid,
    feature_steps,
    first_weights_input,
    named_operations,
    read_scaling,
)
from gradcam_cli.models.head import Head, find_head, pooled_features
from gradcam_cli.models.ports import Ports, run
from gradcam_cli.models.tap import Step, recording, trace

__all__ = ["LayerRow", "Survey", "survey"]


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer that can be explained: its path, class, call number, grid and channels."""

    path: str
    kind: str
    call: int
    grid: tuple[int, int]
    channels: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What one trace tells of a network.

    ``default`` is the path of the layer that is explained unless another is named, ``reason`` why;
    both concern the error in ``reason`` when ``default`` is empty. ``pooled`` tells whether CAM is
    defined. ``inside`` is what the network does to pixels itself (see ``read_scaling``).
    """

    layers: tuple[LayerRow, ...]
    default: str
    reason: str
    head: str
    classes: int
    has_logits: bool
    pooled: bool
    inside: str


def survey(network: Any, ports: Ports) -> Survey:
    """Trace ``network`` once on float32 pictures that fit its ports.

    Black, middle grey and white pictures are then sent as far as the network's first weights, to
    read what it does to pixels by itself.
    """
    found: list[Survey] = []
    shape = (ports.batch or 1, *ports.size, ports.channels)

    def arrives(pictures: Any) -> Any:
        with recording(named_operations(network)) as steps:
            output = run(network, ports, pictures)
        head = find_head(output)
        value = first_weights_input(pictures)
        found.append(_describe(steps, head))
        return tf.cast(value[0, value.shape[1] // 2, value.shape[2] // 2], tf.float32)

    feed = trace(arrives, tf.TensorSpec(shape, tf.float32))
    rows: list[NDArray[np.float32]] = [
        feed(tf.fill(shape, tf.constant(level, tf.float32))).numpy()
        for level in (0.0, 127.5, 255.0)
    ]
    return replace(found[0], inside=read_scaling(np.stack(rows)))


def _describe(steps: list[Step], head: Head) -> Survey:
    rows = []
    for step in feature_steps(steps, head.source):
        u, v, channels = feature_grid(step) or (0, 0, 0)
        rows.append(LayerRow(step.path, type(step.layer).__name__, step.call, (u, v), channels))
    try:
        default, reason = default_step(steps, head.source).path, "the last feature map"
    except ModelError as error:
        default, reason = "", error.message
    return Survey(
        layers=tuple(rows),
        default=default,
        reason=reason,
        head=head.kind,
        classes=head.classes,
        has_logits=head.found,
        pooled=pooled_features(head) is not None,
        inside="",
    )
