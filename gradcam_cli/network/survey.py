"""One trace of a network becomes what can be said of it: layers, default layer, head, scaling."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError, OutOfMemory
from gradcam_cli.isolation import tf
from gradcam_cli.network.anatomy import Anatomy, FeatureMap, ancestors, default_map, dissect
from gradcam_cli.network.axes import Features
from gradcam_cli.network.footprint import free_bytes, on_gpu, working_bytes
from gradcam_cli.network.head import Head, behind_copies, pooled_features
from gradcam_cli.network.inside import OF_ITS_OWN, arriving_pixels, is_of_its_own, read_scaling
from gradcam_cli.network.operations import constant
from gradcam_cli.network.places import Place
from gradcam_cli.network.ports import Ports
from gradcam_cli.network.tap import Step, trace

_QUOTIENTS = ("RealDiv", "DivNoNan", "Div", "Reciprocal", "Inv")
"""What a sigmoid that is written out by hand ends in."""
_NOISE_BYTES = 20
"""For each pixel of noise: float64 as it is drawn, float32 before and after it is halved."""
_MEMORY = 2
"""Times the estimated memory, as for batches."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer that can be explained: its path, class, call number, grid and channels.

    ``tokens`` says that the grid is folded from the tokens of a transformer, and ``reached`` that
    the score depends on more than one of them. ``places`` say where its rows and columns lie in the
    network's input, None where that is not known.
    """

    path: str
    kind: str
    call: int
    grid: tuple[int, int]
    channels: int
    tokens: bool = False
    places: tuple[Place | None, Place | None] = (None, None)
    reached: bool = True


@dataclass(frozen=True, slots=True)
class Survey:
    """What one trace shows of a network.

    ``default`` is the path of the layer that is explained unless another is named, ``reason`` why;
    when ``default`` is empty, ``reason`` says what is missing. ``pooled`` says whether CAM is
    defined. ``inside`` is what the network does to pixels itself (see ``read_scaling``).
    ``behind_softmax`` says that no logits were found, although the output is not a plain sum.
    """

    layers: tuple[LayerRow, ...]
    default: str
    reason: str
    head: str
    classes: int
    has_logits: bool
    pooled: bool
    inside: str
    behind_softmax: bool = False


def survey(network: Any, ports: Ports) -> Survey:
    """Trace ``network`` once on float32 images that fit its ports.

    Black, middle grey and white images are then sent as far as the network's first weights, to
    read what it does to pixels by itself. Of a transformer, a second trace shows which tokens the
    score depends on. Raises OutOfMemory when one image needs more than the machine has free.
    """
    found: list[Anatomy] = []
    shape = (ports.batch or 1, *ports.size, ports.channels)

    def arrives(pictures: Any) -> tuple[Any, Any, Any]:
        anatomy = dissect(network, ports, pictures)
        found.append(anatomy)
        value = arriving_pixels(pictures, anatomy.axes)
        pixel = tf.cast(value[0, value.shape[1] // 2, value.shape[2] // 2], tf.float32)
        return pixel, anatomy.head.output[0], tf.cast(value[0], tf.float32)

    feed = trace(arrives, tf.TensorSpec(shape, tf.float32))
    _check_memory(feed.graph, shape)
    rows: list[tuple[Any, Any, Any]] = [
        feed(tf.fill(shape, tf.constant(level, tf.float32))) for level in (0.0, 127.5, 255.0)
    ]
    anatomy, inside = found[0], read_scaling(np.stack([row[0].numpy() for row in rows]))
    noise = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    if not inside and is_of_its_own(*(feed(tf.constant(x))[2].numpy() for x in (noise, noise / 2))):
        inside = OF_ITS_OWN
    spelt_out = _is_activated(anatomy.head, np.stack([row[1].numpy() for row in rows]))
    described = replace(_describe(anatomy), inside=inside, behind_softmax=spelt_out)
    try:
        chosen = default_map(anatomy)
        if chosen.features.tokens:
            alive = _alive(network, ports, 255.0 if inside else 1.0)
            described = replace(described, layers=_reached(described.layers, alive))
            chosen = default_map(anatomy, alive)
    except ModelError as error:
        return replace(described, reason=error.message)
    return replace(described, default=chosen.path, reason=_reason(chosen, anatomy))


def _check_memory(graph: Any, shape: tuple[int, ...]) -> None:
    """Raise OutOfMemory for a network that cannot answer for one image on this machine."""
    needed = _MEMORY * working_bytes(graph) + _NOISE_BYTES * math.prod(shape)
    free = free_bytes()
    if free is not None and needed > free and not on_gpu():
        raise OutOfMemory(
            f"the model takes pictures of {shape[1]}x{shape[2]}, and one of them about "
            f"{needed / 1e9:,.1f} GB of memory; {free / 1e9:,.1f} GB are free",
            "close other programs, or take a machine with more memory",
        )


def _is_activated(head: Head, outputs: NDArray[np.float32]) -> bool:
    """Return whether a head without a softmax or sigmoid ends in one all the same.

    It is written out by hand, or an average of several: shares that sum up to 1, or quotients
    between 0 and 1. A fixed divisor only scales logits. ``outputs`` are float ``[rows, C]``.
    """
    if head.found or head.kind != "linear":
        return False
    finite = outputs[np.isfinite(outputs).all(1)]
    if not len(finite) or (finite < 0).any() or (finite > 1 + 1e-3).any():
        return False
    if head.classes > 1 and (abs(finite.sum(1) - 1) < 1e-3).all():
        return True
    last = behind_copies(head.source).op
    return last.type in _QUOTIENTS and constant(last.inputs[-1]) is None


def _describe(anatomy: Anatomy) -> Survey:
    head = anatomy.head
    pooled = pooled_features(head)
    return Survey(
        layers=tuple(_row(each.step, each.features) for each in anatomy.maps),
        default="",
        reason="",
        head=head.kind,
        classes=head.classes,
        has_logits=head.found,
        pooled=pooled is not None and any(is_pooled(each, pooled) for each in anatomy.maps),
        inside="",
    )


def _row(step: Step, features: Features) -> LayerRow:
    kind, grid, channels = type(step.layer).__name__, features.grid, features.channels
    return LayerRow(step.path, kind, step.call, grid, channels, features.tokens, features.places)


def is_pooled(each: FeatureMap, pooled: Any) -> bool:
    """Return whether a feature map is the one of which the head takes the average over the grid."""
    extra = each.features.before + each.features.after  # an average over class tokens, too, is none
    return behind_copies(each.step.tensor) is pooled and not extra


def _alive(network: Any, ports: Ports, level: float) -> set[tuple[str, int]]:
    """Return path and call of the tokens of which more than one patch has a gradient.

    Behind the last attention of a transformer, the score depends on its class token alone.
    ``level`` is the largest pixel of the noise that is used.
    """
    names: list[tuple[str, int]] = []
    shape = (ports.batch or 1, *ports.size, ports.channels)

    def counts(pictures: Any) -> Any:
        anatomy = dissect(network, ports, pictures)
        tokens = [each for each in anatomy.maps if each.features.tokens]
        names.extend((each.path, each.step.call) for each in tokens)
        score = tf.reduce_sum(tf.reduce_max(anatomy.head.logits, axis=-1))
        slopes = tf.gradients(score, [each.step.tensor for each in tokens])
        return [_moved(each, slope) for each, slope in zip(tokens, slopes, strict=True)]

    noise = np.random.default_rng(0).random(shape, dtype=np.float32) * level
    moved = trace(counts, tf.TensorSpec(shape, tf.float32))(tf.constant(noise))
    return {name for name, count in zip(names, moved, strict=True) if count.numpy() > 1}


def _reached(rows: tuple[LayerRow, ...], alive: set[tuple[str, int]]) -> tuple[LayerRow, ...]:
    return tuple(
        replace(row, reached=not row.tokens or (row.path, row.call) in alive) for row in rows
    )


def _moved(each: FeatureMap, slope: Any) -> Any:
    if slope is None:
        return tf.constant(0)
    cells = tf.reduce_any(each.fold(tf.convert_to_tensor(slope)) != 0, axis=-1)
    return tf.reduce_sum(tf.cast(cells[0], tf.int32))


def _reason(chosen: FeatureMap, anatomy: Anatomy) -> str:
    u, v = chosen.features.grid
    if chosen.features.tokens:
        return f"the last normalised tokens with more than one patch behind the score, {u}x{v}"
    place = anatomy.steps.index(chosen.step)
    mine = chosen.step.tensor
    for step in anatomy.steps[place + 1 :]:
        if step.tensor is not mine and mine.op.name in ancestors(step.tensor):
            return f"the last {u}x{v} feature map, before {step.path}"
    return f"the last {u}x{v} feature map"
