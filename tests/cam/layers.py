"""Activations and gradients to try methods on, and how exact float32 can be on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS
from tests.oracles import ORACLES

Array = NDArray[Any]

ROWS = [
    name
    for name, method in METHODS.items()
    if method.needs in ("activations", "gradient", "noise", "curvature")
]
"""The methods whose function takes arrays of a batch."""


def arguments(name: str, seed: int, shape: tuple[int, ...] = (3, 4, 5, 6)) -> list[Array]:
    """Return the float32 arrays that a row's function takes; A as it is behind a ReLU."""
    rng = np.random.default_rng(seed)
    A = np.maximum(rng.normal(size=shape), 0)
    return chosen(name, A, rng.normal(size=shape), rng)


def chosen(name: str, A: Array, G: Array, rng: np.random.Generator) -> list[Array]:
    """Return what a row's function takes, made of A and G and of arrays of their size."""
    match METHODS[name].needs:
        case "activations":
            arrays = [A]
        case "noise":
            copies = G + 0.3 * np.abs(G).max() * rng.normal(size=(4, *G.shape))
            arrays = [A, copies.mean(axis=0), (copies**2).mean(axis=0), (copies**3).mean(axis=0)]
        case "curvature":
            arrays = [A, G, np.abs(G).max() * rng.normal(size=G.shape)]
        case _:
            arrays = [A, G]
    return [array.astype(np.float32) for array in arrays]


@st.composite
def layers(draw: st.DrawFn, powers: tuple[int, ...] = (-15, -6, 0, 6, 15)) -> tuple[Array, Array]:
    """A and G of small grids: of both signs or behind a ReLU, with zeros, huge or tiny."""
    shape = tuple(draw(st.integers(1, most)) for most in (2, 3, 3, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    A, G = rng.normal(size=shape), rng.normal(size=shape)
    if draw(st.booleans()):
        A = np.maximum(A, 0)
    for array in (A, G):
        array *= 10.0 ** draw(st.sampled_from(powers))
        array[rng.random(shape) < draw(st.sampled_from((0, 0.3, 1)))] = 0
    return A.astype(np.float32), G.astype(np.float32)


def error_bound(name: str, arrays: list[Array]) -> Array | None:
    """Return what an error of 1 in a million of each number makes of the map, in millionths.

    None where no float32 number of the map is certain: at a pole of the method's formula, or
    between two singular vectors that are equally strong.
    """
    A, *more = (array.astype(np.float64) for array in arrays)
    if name in ("eigencam", "eigengradcam"):
        return _of_singular_vector(A if name == "eigencam" else A * more[0])
    if name in ("gradcampp", "smoothgradcampp", "xgradcam"):
        return _of_quotient(name, A, more)
    if name == "shapleycam":
        return ORACLES[name](np.abs(A), np.abs(more[0]), -np.abs(more[1]))
    return ORACLES[name](np.abs(A), *(np.abs(array) for array in more))


def _of_quotient(name: str, A: Array, more: list[Array]) -> Array | None:
    total, absolute = (array.sum(axis=(1, 2), keepdims=True) for array in (A, np.abs(A)))
    above, below, terms = np.abs(more[0]), total + 0 * A, absolute + 0 * A
    if name == "xgradcam":
        above = above * np.abs(A)
    elif name == "gradcampp":
        above, below, terms = above**3, *(2 * above**2 + t * above**3 for t in (total, absolute))
        above, below, terms = (np.where(more[0] > 0, x, 0) for x in (above, below, terms))
    else:
        _, G2, G3 = more
        above, below, terms = above * G2, 2 * G2 + total * G3, 2 * G2 + absolute * np.abs(G3)
    if (np.abs(below) < 1e-9 * terms).any():
        return None
    quotient = np.divide(above * terms, below**2, where=terms > 0, out=np.zeros_like(above))
    bound: Array = np.einsum("nuvk,nk->nuv", np.abs(A), quotient.sum(axis=(1, 2)))
    return bound


def _of_singular_vector(X: Array) -> Array | None:
    bound = np.zeros(X.shape[:3])
    for n, image in enumerate(X.reshape(len(X), -1, X.shape[-1])):
        left, values, _ = np.linalg.svd(image)
        second = values[1] if len(values) > 1 else 0.0
        if values[0] == 0:
            continue
        agreement = abs(left[:, 0] @ image.sum(axis=1)) / np.abs(image).sum()
        if values[0] - second < 1e-2 * values[0] or agreement < 1e-4:
            return None
        bound[n] = values[0] ** 2 / (values[0] - second) * len(image)
    return bound
