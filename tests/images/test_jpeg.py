"""A JPEG's pixels at every size, and libjpeg's complaint about just that file."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import ImageError
from gradcam_cli.images.encode import encode
from gradcam_cli.images.files import read_picture
from tests.images.making import read


def photo(height: int = 240, width: int = 320) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    cells = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    return np.asarray(cv2.resize(cells, (width, height)), np.uint8)


def jpegs() -> tuple[bytes, bytes]:
    """A sound JPEG, and one of which libjpeg says that there are bytes too many."""
    restarts = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    good = cv2.imencode(".jpg", photo(), restarts)[1].tobytes()
    at = good.index(b"\xff\xd1", 600)
    return good, good[:at] + b"\x11\x22\x33" + good[at:]


def test_a_complaint_belongs_to_the_file_that_caused_it(tmp_path: Path) -> None:
    good, bad = jpegs()
    for number in range(60):
        (tmp_path / f"{number}.jpg").write_bytes(bad if number % 2 else good)

    def warning(number: int) -> str:
        return read_picture(tmp_path / f"{number}.jpg").warning

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(warning, range(60)))
    assert set(said[::2]) == {""}
    assert all(text.startswith("Corrupt JPEG data: 3 extraneous") for text in said[1::2])


def test_a_middle_that_is_damaged_is_drawn_with_a_warning(tmp_path: Path) -> None:
    good = encode(photo(), "jpg", 90)
    middle = len(good) // 2
    bad = good[:middle] + b"\0" * 40 + good[middle + 40 :]
    picture = read(tmp_path, bad)
    assert picture.warning.startswith("Corrupt JPEG data")
    drawn = np.asarray(Image.open(io.BytesIO(bad)).convert("RGB"))
    assert np.abs(picture.pixels.astype(int) - drawn).max() <= 2


@pytest.mark.parametrize("progressive", [False, True])
def test_half_a_picture_with_an_end_marker(tmp_path: Path, progressive: bool) -> None:
    """Half of the lines are missing in one, half of the sharpness in the other."""
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "JPEG", quality=90, progressive=progressive)
    data = file.getvalue()[: len(file.getvalue()) // 2] + b"\xff\xd9"
    if progressive:
        assert "premature end" in read(tmp_path, data).warning
        return
    with pytest.raises(ImageError, match="premature end") as caught:
        read(tmp_path, data)
    assert caught.value.kind == "truncated"


def test_a_fatal_error_never_gives_pixels(tmp_path: Path) -> None:
    """Behind a warning, libjpeg gives up at a marker that it does not know."""
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "JPEG", quality=90, progressive=True)
    data = bytearray(file.getvalue())
    data[-700:-696] = b"\0\0\xff\x7f"
    with pytest.raises(ImageError):
        read(tmp_path, data)


def test_plain_grey_at_the_end_of_a_sound_picture_is_no_damage(tmp_path: Path) -> None:
    pixels = photo()
    pixels[100:] = 128
    assert read(tmp_path, encode(pixels, "jpg", 95)).warning == ""


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_pixels_are_what_opencv_decodes(tmp_path: Path, subsampling: int, mode: str) -> None:
    """Of colours in four inks, the subsampling is one that only OpenCV reads."""
    file = io.BytesIO()
    image = Image.fromarray(photo(249, 331)).convert(mode)
    image.save(file, "JPEG", quality=85, subsampling=subsampling)
    decoded = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    expected = np.asarray(decoded)[:, :, ::-1]
    picture = read(tmp_path, file.getvalue())
    np.testing.assert_array_equal(picture.pixels, expected)
    assert (picture.height, picture.width) == (249, 331)
