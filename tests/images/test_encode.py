from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.errors import ImageError
from gradcam_cli.images.encode import encode, encode_array
from gradcam_cli.images.files import read_picture


def textured() -> NDArray[np.uint8]:
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (96, 64)), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (7, 3)])
@pytest.mark.parametrize("end", ["jpg", "png", "webp"])
def test_extreme_sizes_survive(tmp_path: Path, size: tuple[int, int], end: str) -> None:
    pixels = np.full((*size, 3), (200, 100, 50), np.uint8)
    path = tmp_path / "a"
    path.write_bytes(encode(pixels, end, 95))
    read = read_picture(path)
    assert (read.height, read.width) == size
    assert np.abs(read.pixels.astype(int) - pixels).max() <= 6


def test_png_is_exact_and_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(textured(), "png"))
    np.testing.assert_array_equal(read_picture(path).pixels, textured())
    bgr = np.asarray(cv2.imread(os.fspath(path)))
    np.testing.assert_array_equal(bgr[:, :, ::-1], textured())


def test_quality_is_used() -> None:
    sizes = [len(encode(textured(), end, q)) for end in ("jpg", "webp") for q in (20, 95)]
    assert sizes[0] < sizes[1]
    assert sizes[2] < sizes[3]


@pytest.mark.parametrize(("end", "size"), [("webp", 16384), ("jpg", 65536)])
def test_a_format_that_cannot_hold_the_picture(end: str, size: int) -> None:
    with pytest.raises(ImageError, match=f"{size} x 1") as caught:
        encode(np.zeros((1, size, 3), np.uint8), end)
    assert (caught.value.kind, "png" in caught.value.hint) == ("write", True)


def test_arrays_are_float32() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    read = np.load(io.BytesIO(encode_array(array.T)))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, array.T)
