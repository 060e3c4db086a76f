from __future__ import annotations

import keras
import numpy as np
import pytest

from gradcam_cli.cam.methods import METHODS
from tests.oracles import ORACLES


def arrays(seed: int, shape: tuple[int, ...] = (3, 4, 5, 6)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)


def test_every_method_has_an_oracle() -> None:
    assert set(ORACLES) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (1, 1, 7, 2), (2, 3, 3, 1)])
def test_a_method_equals_its_loops(name: str, shape: tuple[int, ...]) -> None:
    A, G = arrays(1, shape)
    expected = ORACLES[name](A, G)
    np.testing.assert_allclose(METHODS[name].compute(A, G, np), expected, atol=1e-4)
    np.testing.assert_allclose(METHODS[name].compute(A, G, keras.ops), expected, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_leaves_its_arguments_alone(name: str) -> None:
    A, G = arrays(2)
    before = A.copy(), G.copy()
    METHODS[name].compute(A, G, np)
    np.testing.assert_array_equal(A, before[0])
    np.testing.assert_array_equal(G, before[1])


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_channels_changes_nothing(name: str) -> None:
    A, G = arrays(3)
    order = np.random.default_rng(0).permutation(A.shape[-1])
    there = METHODS[name].compute(A, G, np)
    np.testing.assert_allclose(
        METHODS[name].compute(A[..., order], G[..., order], np), there, atol=1e-5
    )


@pytest.mark.parametrize("name", METHODS)
def test_flipping_the_layer_flips_the_map(name: str) -> None:
    A, G = arrays(4)
    there = METHODS[name].compute(A, G, np)
    flipped = METHODS[name].compute(A[:, :, ::-1], G[:, :, ::-1], np)
    np.testing.assert_allclose(flipped, there[:, :, ::-1], atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_equals_its_singles(name: str) -> None:
    A, G = arrays(5)
    singles = [METHODS[name].compute(A[n : n + 1], G[n : n + 1], np)[0] for n in range(len(A))]
    np.testing.assert_allclose(METHODS[name].compute(A, G, np), np.stack(singles), atol=1e-6)


def test_grad_cam_by_hand() -> None:
    A = np.array([[[[1.0, 2.0], [0.0, 1.0]], [[3.0, 0.0], [1.0, 1.0]]]])
    G = np.array([[[[4.0, -1.0], [0.0, -1.0]], [[0.0, -1.0], [0.0, 1.0]]]])
    # a = (4/4, -2/4) = (1, -0.5)
    expected = [[[1 - 1.0, -0.5], [3.0, 1 - 0.5]]]
    np.testing.assert_array_equal(METHODS["gradcam"].compute(A, G, np), expected)
    # w = (4, -2)
    np.testing.assert_array_equal(
        METHODS["cam"].compute(A, G, np), [[[4 - 4.0, -2.0], [12.0, 4 - 2.0]]]
    )
