from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from gradcam_cli.errors import ImageError
from gradcam_cli.images.files import read_picture
from gradcam_cli.sources.endings import heic_installed
from tests.images.making import HEIGHT, WIDTH, levels, meant

LOSSLESS: dict[str, Any] = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}


def heic(mode: str, samples: Any) -> bytes:
    file = io.BytesIO()
    whole = pillow_heif.from_bytes(mode, (WIDTH, HEIGHT), samples.tobytes())
    whole.save(file, **LOSSLESS)
    return file.getvalue()


@pytest.mark.parametrize(
    ("mode", "channels", "bits", "extra"),
    [
        *[("L", 1, 8, ()), ("LA", 2, 8, (2,)), ("RGB", 3, 8, ()), ("RGBA", 4, 8, (2,))],
        *[("RGB;10", 3, 10, ()), ("RGB;12", 3, 12, ()), ("RGBA;12", 4, 12, (2,))],
        *[("I;16", 1, 16, ()), ("RGBa", 4, 8, (1,))],
    ],
)
def test_colours_of_every_depth(
    tmp_path: Path, mode: str, channels: int, bits: int, extra: tuple[int, ...]
) -> None:
    samples = levels(channels, 2**bits - 1)
    path = tmp_path / "a.jpg"
    path.write_bytes(heic(mode, samples))
    expected = meant(samples, 2**bits - 1, extra=extra)
    assert np.abs(read_picture(path).pixels - np.rint(expected)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turn_is_made_once(tmp_path: Path, orientation: int) -> None:
    """The file says it twice: as a property of the picture, and in its EXIF block."""
    image = Image.fromarray(levels(3, 255))
    image.getexif()[274] = orientation
    block = image.getexif().tobytes()
    file = io.BytesIO()
    pillow_heif.register_heif_opener()
    image.save(file, "HEIF", exif=block, **LOSSLESS)
    path = tmp_path / "a.heic"
    path.write_bytes(file.getvalue())
    upright = ImageOps.exif_transpose(image)
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, np.asarray(upright))
    assert (picture.width, picture.height) == upright.size


def test_a_damaged_file_gives_an_error_or_a_picture(tmp_path: Path) -> None:
    data = heic("RGB", levels(3, 255))
    path = tmp_path / "a.heic"
    for length in (40, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ImageError) as caught:
            read_picture(path)
        assert caught.value.kind == "truncated"
    chance = np.random.default_rng(1)
    kinds = set()
    for _ in range(60):
        broken = bytearray(data)
        broken[int(chance.integers(12, len(data)))] = int(chance.integers(256))
        path.write_bytes(broken)
        try:
            kinds.add(read_picture(path).pixels.shape[2])
        except ImageError as error:
            kinds.add(error.kind)
    assert kinds <= {3, "not-a-picture", "truncated", "too-large"}


def test_without_the_library_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(heic("RGB", levels(3, 255)))
    assert heic_installed()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert not heic_installed()
    with pytest.raises(ImageError, match="HEIC") as caught:
        read_picture(path)
    assert caught.value.kind == "not-a-picture"
    assert "pip install 'gradcam-cli[heic]'" in caught.value.hint


def test_the_library_is_imported_for_heic_only(tmp_path: Path) -> None:
    Image.fromarray(levels(3, 255)).save(tmp_path / "a.png")
    (tmp_path / "a.heic").write_bytes(heic("RGB", levels(3, 255)))
    program = (
        "import sys; from pathlib import Path; from gradcam_cli.images.files import read_picture\n"
        "for name in ('a.png', 'a.heic'):\n"
        "    read_picture(Path(name)); print('pillow_heif' in sys.modules, 'PIL' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split("\n")[0] == "False False"
    assert done.stdout.split("\n")[1].startswith("True")
