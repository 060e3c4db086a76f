from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.cam.compact import compact
from gradcam_cli.report.maps import Means, border, colours, difference, heat_of
from tests.report.made import heatmap


def random(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random(shape) ** 3


def fine(heat: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """The same map on a grid that is ``rows`` and ``columns`` times as fine."""
    return np.repeat(np.repeat(heat, rows, 0), columns, 1)


@pytest.mark.parametrize("shape", [(7, 7), (14, 14), (10, 10), (5, 3), (1, 1)])
def test_heat_in_the_border_counted_on_a_fine_grid(shape: tuple[int, int]) -> None:
    heat = random(1, *shape)
    large = fine(heat, 10, 10)  # a tenth of each side is whole cells
    rows, columns = shape
    total = inner = 0.0
    for y in range(10 * rows):
        for x in range(10 * columns):
            total += large[y, x]
            if rows <= y < 9 * rows and columns <= x < 9 * columns:
                inner += large[y, x]
    assert border(heat) == pytest.approx(1 - inner / total, abs=1e-12)
    assert border(np.ones(shape)) == pytest.approx(0.36, abs=1e-12)


def test_two_maps_apart_counted_on_a_common_grid() -> None:
    one, other = random(2, 4, 6), random(3, 2, 3)
    first, second = one / one.sum(), fine(other, 2, 2) / (4 * other.sum())
    expected = sum(abs(first[y, x] - second[y, x]) for y in range(4) for x in range(6)) / 2
    assert difference(one, other) == pytest.approx(expected, abs=1e-12)
    assert difference(other, one) == pytest.approx(expected, abs=1e-12)
    assert difference(one, 3 * one) == pytest.approx(0, abs=1e-12)
    corner, opposite = np.eye(1, 16).reshape(4, 4), np.eye(1, 16, 15).reshape(4, 4)
    assert difference(corner, opposite) == pytest.approx(1)


def test_the_mean_of_a_class_cell_by_cell() -> None:
    heats = [random(seed, 3, 4) for seed in range(5)]
    means = Means[str]()
    for heat in heats:
        means.add("cat", heat)
    means.add("dog", heats[0])
    found = {key: (count, mean) for key, count, mean in means.items()}
    assert {key: count for key, (count, _) in found.items()} == {"cat": 5, "dog": 1}
    for y in range(3):
        for x in range(4):
            assert found["cat"][1][y, x] == pytest.approx(sum(heat[y, x] for heat in heats) / 5)
    np.testing.assert_allclose(found["dog"][1], heats[0])


def test_the_mean_of_maps_on_different_grids_lies_on_the_finest() -> None:
    coarse, dense = random(1, 2, 2), random(2, 4, 6)
    means = Means[str]()
    for heat in (coarse, dense, coarse):
        means.add("cat", heat)
    (row,) = means.items()
    np.testing.assert_allclose(row[2], (2 * fine(coarse, 2, 3) + dense) / 3)


def test_a_record_s_own_map_comes_first(tmp_path: Path) -> None:
    heat = np.array([[0, 1], [0.2, 0.4]], np.float32)
    found = heat_of(replace(heatmap(), heat=compact(heat)), tmp_path)
    np.testing.assert_allclose(np.asarray(found), heat, atol=1 / 255)
    assert heat_of(replace(heatmap(reason="all negative"), heat=compact(heat)), tmp_path) is None
    for text in ("", "1x1:AA==", "nonsense"):
        assert heat_of(replace(heatmap(), heat=text), tmp_path) is None


def test_an_older_record_s_map_is_read_from_its_array(tmp_path: Path) -> None:
    raw = np.array([[-3, 4], [1, 2]], np.float32)
    np.save(tmp_path / "a.npy", raw)
    found = heat_of(heatmap(files={"array": "a.npy"}), tmp_path)
    np.testing.assert_allclose(np.asarray(found), np.array([[0, 1], [0.25, 0.5]]))


def npy(array: Any, **more: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **more)
    return buffer.getvalue()


HUGE = npy(np.zeros((7, 7), np.float32)).replace(b"(7, 7), }", b"(9**9,9),}"[:9])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        npy(np.zeros((7, 7), np.float32))[:-1],
        npy(np.ones((2, 2), np.int32)),
        npy(np.ones((2, 2, 2), np.float32)),
        npy(np.asfortranarray(np.ones((2, 3), np.float32))),
        npy(np.array([[print]], object), allow_pickle=True),
        npy(np.full((2, 2), np.nan, np.float32)),
        HUGE,
    ],
)
def test_any_other_array_is_not_a_map(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    assert heat_of(heatmap(files={"array": "a.npy"}), tmp_path) is None


def test_the_colours_are_those_of_the_run() -> None:
    for name, code in (("viridis", cv2.COLORMAP_VIRIDIS), ("jet", cv2.COLORMAP_JET)):
        shown = colours({"colormap": name})
        ends = cv2.applyColorMap(np.array([[0, 255]], np.uint8), code)[0, :, ::-1]
        assert [shown[0], shown[-1]] == [f"#{bytes(end).hex()}" for end in ends]
    assert colours({}) == colours({"colormap": "nonsense"}) == colours({"colormap": "jet"})
    assert (colours({"colormap": "gray"})[0], colours({"colormap": "gray"})[-1]) == (
        "#000000",
        "#ffffff",
    )
