"""What a network does to pixels before its first weights becomes a range: measured, not guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.network.axes import Axes, features_of
from gradcam_cli.network.kinds import WEIGHTED

OF_ITS_OWN = "a range of each image's own"
"""What is read of a network that standardises each image by itself."""


def arriving_pixels(source: Any, axes: Axes) -> Any:
    """Return what arrives at the first weights behind the input, symbolic ``[N, h, w, K]``.

    ``source`` is the symbolic input, ``axes`` where its rows and columns go. Weights are a
    convolution, a matrix product or any arithmetic with a trained variable, such as batch
    normalisation. Where these take patches, the image that the patches are cut from is returned.
    """
    reached = {source.op.name}
    trained: set[str] = set()
    for operation in source.graph.get_operations():
        inputs = list(operation.inputs)
        pictures = [value for value in inputs if value.op.name in reached]
        weights = any(value.op.name in trained for value in inputs)
        if not pictures:
            if weights or operation.type == "ReadVariableOp":
                trained.add(operation.name)
        elif weights or operation.type in WEIGHTED:
            return _picture_behind(pictures[0], source, axes, reached)
        elif operation.type not in ("Shape", "ShapeN"):
            reached.add(operation.name)
    return source


def _picture_behind(tensor: Any, source: Any, axes: Axes, reached: set[str]) -> Any:
    while tensor is not source:
        features = features_of(tensor, axes)
        if features is not None and not features.tokens and features.channels in (1, 3):
            return features.fold(tensor)
        if tensor.shape.rank == 4 and tensor.shape == source.shape:
            return tensor  # flipped or rolled: its rows are lost, its levels are not
        tensor = next(value for value in tensor.op.inputs if value.op.name in reached)
    return source


def read_scaling(arrived: NDArray[np.float32]) -> str:
    """Name what a network does to the pixels 0, 127.5 and 255 before its first weights.

    ``arrived`` is float ``[3, channels]``, what became of the three. Returns ``nothing``, ``0..1``,
    ``-1..1``, another range as ``a..b``, or an empty string when it is not a plain scaling.
    """
    pixels = np.array([[0.0], [127.5], [255.0]], dtype=np.float32)
    if not np.isfinite(arrived).all():
        return ""
    if np.allclose(arrived, pixels, atol=1e-3):
        return "nothing"
    straight = np.allclose(arrived[1], (arrived[0] + arrived[2]) / 2, atol=1e-2)
    slopes = (arrived[2] - arrived[0]) / 255
    normalised = np.abs(slopes).max() * 255 <= 10 and np.abs(arrived).max() <= 20
    centred = np.allclose(slopes, 1, atol=1e-4) and np.abs(arrived).max() < 255
    if not straight or not (normalised or centred) or np.abs(slopes).max() < 1e-6:
        return ""
    low, high = round(float(arrived.min()), 2) + 0.0, round(float(arrived.max()), 2) + 0.0
    return f"{low:g}..{high:g}"


def is_of_its_own(arrived: NDArray[np.float32], of_half: NDArray[np.float32]) -> bool:
    """Return whether an image and one half as bright arrive alike at a network's first weights."""
    size = float(np.abs(arrived).max())
    same = bool(np.isfinite(arrived).all()) and np.allclose(arrived, of_half, atol=3e-2 * size)
    return same and float(arrived.std()) > 1e-3 * size
