from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS
from tests import oracles_passes
from tests.cam.layers import ROWS, arguments, chosen, error_bound, layers
from tests.oracles import ORACLES, TARGETS

SIZES = {"smoothgradcampp": (-6, 0, 6)}
"""Powers of ten that a method's own powers keep in float32; others take all."""

NOT_HOMOGENEOUS = {"gradcampp", "smoothgradcampp"}
"""Their alpha sets the gradient against 1 over the activations."""


def test_every_method_has_an_oracle() -> None:
    assert set(ORACLES) | set(oracles_passes.ORACLES) == set(METHODS)
    assert set(TARGETS) == {name for name, row in METHODS.items() if row.target is not None}


@pytest.mark.parametrize("name", METHODS)
def test_a_row_says_what_has_to_be_known(name: str) -> None:
    row = METHODS[name]
    assert all((row.title, row.formula, row.paper, row.answers, row.misleads, row.tokens))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_documented(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    assert f"\n### {METHODS[name].title} (`{name}`)\n" in page


@pytest.mark.parametrize("name", ROWS)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_method_equals_its_loops(name: str, data: st.DataObject, seed: int) -> None:
    A, G = data.draw(layers(SIZES[name]) if name in SIZES else layers())
    arrays = chosen(name, A, G, np.random.default_rng(seed))
    bound = error_bound(name, arrays)
    assume(bound is not None)
    assert bound is not None
    expected = ORACLES[name](*arrays)
    for got in (
        METHODS[name].compute(*arrays, np),
        METHODS[name].compute(*map(tf.constant, arrays), keras.ops).numpy(),
    ):
        assert got.dtype == np.float32
        assert (np.abs(got - expected) <= 1e-5 * bound + 1e-36).all(), (got, expected)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (2, 5, 4, 30), (1, 1, 1, 1)])
def test_a_traced_method_equals_its_loops(name: str, shape: tuple[int, ...]) -> None:
    arrays = arguments(name, 1, shape)
    traced = tf.function(lambda *tensors: METHODS[name].compute(*tensors, keras.ops))
    got = traced(*map(tf.constant, arrays))
    assert got.shape == shape[:3]
    np.testing.assert_allclose(got, ORACLES[name](*arrays), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ROWS)
def test_a_method_leaves_its_arguments_alone(name: str) -> None:
    arrays = arguments(name, 2)
    before = [array.copy() for array in arrays]
    METHODS[name].compute(*arrays, np)
    for array, was in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, was)


@pytest.mark.parametrize("name", ROWS)
def test_the_order_of_channels_changes_nothing(name: str) -> None:
    arrays = arguments(name, 3)
    order = np.random.default_rng(0).permutation(arrays[0].shape[-1])
    shuffled = METHODS[name].compute(*(array[..., order] for array in arrays), np)
    np.testing.assert_allclose(shuffled, METHODS[name].compute(*arrays, np), rtol=1e-4, atol=1e-5)


def mirrored(array: NDArray[Any]) -> NDArray[Any]:
    return array[:, :, ::-1]


def upside_down(array: NDArray[Any]) -> NDArray[Any]:
    return array[:, ::-1]


def transposed(array: NDArray[Any]) -> NDArray[Any]:
    return np.swapaxes(array, 1, 2)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("turn", [mirrored, upside_down, transposed])
def test_turning_the_layer_turns_the_map(name: str, turn: Any) -> None:
    arrays = arguments(name, 4)
    there = METHODS[name].compute(*arrays, np)
    turned = METHODS[name].compute(*map(turn, arrays), np)
    np.testing.assert_allclose(turned, turn(there), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ROWS)
def test_a_batch_equals_its_singles(name: str) -> None:
    arrays = arguments(name, 5)
    singles = [
        METHODS[name].compute(*(array[n : n + 1] for array in arrays), np)[0]
        for n in range(len(arrays[0]))
    ]
    np.testing.assert_allclose(
        METHODS[name].compute(*arrays, np), np.stack(singles), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ROWS)
def test_a_positive_factor_on_the_gradient_changes_no_scaled_map(name: str) -> None:
    A, *slopes = arguments(name, 6)
    factors = [2**power for power in (1, 2, 3)] if METHODS[name].needs == "noise" else [2, 2]
    larger = [slope * factor for slope, factor in zip(slopes, factors, strict=False)]
    once, twice = (METHODS[name].compute(A, *more, np) for more in (slopes, larger))
    once, twice = (map_ / map_.max(axis=(1, 2), keepdims=True) for map_ in (once, twice))
    same = np.allclose(once, twice, rtol=1e-4, atol=1e-5)
    assert same == (name not in NOT_HOMOGENEOUS)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
def test_nothing_gives_a_map_of_zeros(name: str, xp: Any) -> None:
    arrays = arguments(name, 7)
    for zero in range(len(arrays)):
        some = [array * (number != zero) for number, array in enumerate(arrays)]
        assert np.isfinite(METHODS[name].compute(*some, xp)).all()
    none = [np.zeros_like(array) for array in arrays]
    np.testing.assert_array_equal(METHODS[name].compute(*none, xp), 0)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("xp", [np, keras.ops], ids=["numpy", "keras"])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_what_is_not_finite_stays_in_its_image_and_shows(name: str, xp: Any) -> None:
    whole = np.asarray(METHODS[name].compute(*arguments(name, 8), xp))
    for number in range(len(arguments(name, 8))):
        for broken in (np.nan, np.inf):
            arrays = arguments(name, 8)
            arrays[number][1, 0, 0, 0] = broken
            got = np.asarray(METHODS[name].compute(*arrays, xp))
            np.testing.assert_allclose(got[[0, 2]], whole[[0, 2]], rtol=1e-4, atol=1e-5)
            if np.isnan(broken) or METHODS[name].needs == "activations":
                assert not np.isfinite(got[1]).all()
