"""The score of a network without classes: how like a reference its output is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import GradcamError

_TRAINED = "give the output of this very network for the image to compare with"


def cosine_similarity(Y: Any, r: Any, xp: Any) -> Any:
    """Return ``s_n = sum_d Y_nd r_d / (|Y_n| |r|)``, in -1..1, float ``[N]``.

    ``Y``: output vectors ``[N, D]``; ``r``: the reference ``[D]``; ``xp``: ``numpy`` or
    ``keras.ops``. A vector of zeros has no direction: its similarity is 0, and so is the gradient
    there. Vectors are scaled before they are squared, so that none is too large or too small.
    """
    return xp.sum(_unit(Y, xp) * _unit(r, xp), axis=-1)


def cosine_slope(Y: Any, r: Any, xp: Any) -> Any:
    """Return the gradient of ``cosine_similarity`` with respect to Y, float ``[N, D]``.

    Where that is taken by other means than differentiation: as the weights of outputs.
    """
    unit, other = _unit(Y, xp), _unit(r, xp)
    along = xp.sum(unit * other, axis=-1, keepdims=True)
    length = xp.sum(unit * Y, axis=-1, keepdims=True)
    some = length > 0
    return xp.where(some, (other - along * unit) / xp.where(some, length, 1.0), 0.0)


def _unit(vectors: Any, xp: Any) -> Any:
    """Return vectors ``[..., D]`` at length 1, and zeros as they are."""
    largest = xp.max(xp.abs(vectors), axis=-1, keepdims=True)
    some = largest > 0
    scaled = vectors / xp.where(some, largest, xp.ones_like(largest))
    squares = xp.sum(scaled * scaled, axis=-1, keepdims=True)
    # without this the root's slope at 0, which is infinite, makes NaN of the gradient
    squares = xp.where(some, squares, xp.ones_like(squares))
    return xp.where(some, scaled / xp.sqrt(squares), xp.zeros_like(vectors))


def reference(values: NDArray[Any], length: int, source: str) -> NDArray[np.float32]:
    """Return a reference vector for outputs of a length, float32 ``[D]``, scaled to length 1.

    ``values`` are numbers ``[D]`` or ``[1, D]``; ``source`` names them in errors. Raises
    GradcamError for any other shape, another length, numbers that are not finite, and zeros only.
    """
    shape = list(values.shape)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] != 1):
        raise GradcamError(
            f"{source}: an array of shape {shape} is not one vector",
            f"save one vector, of shape [{length}] or [1, {length}]",
        )
    if shape[-1] != length:
        raise GradcamError(
            f"{source}: a vector of {shape[-1]} numbers, but the network's output has {length}",
            _TRAINED,
        )
    if length < 2:
        raise GradcamError(
            f"{source}: the network's output is a single number, which has no direction",
            "cosine similarity is for outputs of two numbers or more; leave out the target",
        )
    vector = values.reshape(length).astype(np.float64)
    if not np.isfinite(vector).all():
        raise GradcamError(f"{source}: the vector holds infinities or NaN", _TRAINED)
    largest = np.abs(vector).max()
    if largest == 0:
        raise GradcamError(f"{source}: the vector is zero everywhere", _TRAINED)
    vector /= largest
    return np.asarray(vector / np.sqrt(np.sum(vector * vector)), np.float32)
