"""TIFFs of measurements, of every compression of bytes, and with damage in a strip."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from gradcam_cli.errors import ImageError
from tests.images.making import bare_tiff, check, levels, meant, read, refusal, tiff
from tests.mutations import seeds

DATA = Path(__file__).parent / "data"


def stated(low: float, high: float) -> dict[str, Any]:
    """Return what tifffile writes as SMinSampleValue and SMaxSampleValue, in fractions."""
    return {"extratags": [(340, 11, 1, low, True), (341, 11, 1, high, True)]}


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_floating_point_levels_from_0_to_1(tmp_path: Path, channels: int, kind: str) -> None:
    samples, extra = levels(channels, 255), (2,) if channels == 4 else ()
    for order, compression, predictor in (
        ("<", None, None),
        (">", "deflate", None),
        ("<", "lzw", 3),
        (">", "deflate", 3),
    ):
        data = tiff(
            (samples / 255).astype(kind),
            photometric="rgb" if channels > 1 else "minisblack",
            extrasamples=extra or None,
            byteorder=order,
            compression=compression,
            predictor=predictor,
            rowsperstrip=5,
        )
        check(tmp_path, data, meant(samples, 255, extra=extra), (order, compression, predictor))


def test_floating_point_levels_in_tiles(tmp_path: Path) -> None:
    samples = levels(3, 255)
    numbers = (samples / 255).astype(np.float32)
    data = tiff(numbers, photometric="rgb", tile=(16, 16), compression="zstd", predictor=3)
    check(tmp_path, data, meant(samples, 255))


@pytest.mark.parametrize("kind", ["float32", "uint32"])
def test_measurements_of_a_stated_range(tmp_path: Path, kind: str) -> None:
    samples = levels(1, 255)
    numbers = (samples.astype(np.float64) * 100 + 1000).astype(kind)
    data = tiff(numbers, photometric="minisblack", **stated(1000, 26500))
    check(tmp_path, data, meant(samples, 255))
    narrow = tiff(numbers, photometric="minisblack", **stated(1000, 13700))
    check(tmp_path, narrow, np.minimum(meant(samples, 127), 255), "brighter than white")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (np.full((9, 9), 300, np.float32), "from 300 to 300"),
        (np.full((9, 9), -0.5, np.float64), "from -0.5 to -0.5"),
        (np.full((9, 9), np.nan, np.float32), "from nan to nan"),
        (np.full((9, 9), 7, np.uint32), "does not state"),
        (np.zeros((9, 9), np.int32), "int32"),
    ],
)
def test_measurements_without_a_range_are_refused(tmp_path: Path, numbers: Any, said: str) -> None:
    assert said in refusal(tmp_path, tiff(numbers[:, :, None], photometric="minisblack"))


def test_pillow_reads_the_same(tmp_path: Path) -> None:
    data = (DATA / "float.tif").read_bytes()
    numbers = np.asarray(Image.open(io.BytesIO(data)))
    if numbers.max() > 1 or numbers.min() < 0:
        assert "does not state" in refusal(tmp_path, data)
    else:
        check(tmp_path, data, np.dstack([numbers * 255] * 3))


@pytest.mark.parametrize("compression", ["zstd", "lzma", "deflate", "lzw", "packbits"])
def test_every_compression_of_bytes(tmp_path: Path, compression: str) -> None:
    samples = levels(3, 255)
    data = tiff(samples, photometric="rgb", compression=compression, rowsperstrip=4)
    check(tmp_path, data, meant(samples, 255))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("compression", [1, 8])
def test_bytes_may_be_filled_from_either_end(tmp_path: Path, compression: int, order: int) -> None:
    samples = levels(1, 255)
    raw = samples.tobytes() if compression == 1 else zlib.compress(samples.tobytes())
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in raw) if order == 2 else raw
    data = bare_tiff(turned, {258: 8, 262: 1, 266: order, 259: compression})
    check(tmp_path, data, meant(samples, 255))


@pytest.mark.parametrize(
    "name", ["lzw.tif", "deflate.tif", "packbits.tif", "tiles.tif", "planes.tif"]
)
def test_a_damaged_strip_is_found(tmp_path: Path, name: str) -> None:
    data = bytearray(seeds()[name])
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        place, count = file.pages[0].dataoffsets[1], file.pages[0].databytecounts[1]
    nothing = b"\x80" if name == "packbits.tif" else b"\xff"
    data[place : place + count] = nothing * count
    with pytest.raises(ImageError, match="is damaged"):
        read(tmp_path, data)


def test_a_damaged_jpeg_strip_is_drawn_with_a_warning(tmp_path: Path) -> None:
    data = bytearray(seeds()["jpeg.tif"])
    assert read(tmp_path, data).warning == ""
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        place, count = file.pages[0].dataoffsets[1], file.pages[0].databytecounts[1]
    data[place + count - 60 : place + count - 20] = b"\0" * 40
    assert "Corrupt JPEG data" in read(tmp_path, data).warning


def test_damage_behind_the_first_page_is_not_looked_at(tmp_path: Path) -> None:
    data = bytearray(seeds()["pages.tif"])
    expected = read(tmp_path, data)
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        place = file.pages[1].dataoffsets[0]
    data[place : place + 500] = b"\xff" * 500
    damaged = read(tmp_path, data)
    np.testing.assert_array_equal(damaged.pixels, expected.pixels)
    assert damaged.warning == ""


def test_a_directory_whose_depths_are_lost_is_damaged(tmp_path: Path) -> None:
    data = bytearray(seeds()["strips.tif"])
    place = data.index(struct.pack("<HHI", 258, 3, 3))
    struct.pack_into("<I", data, place + 4, 0)
    with pytest.raises(ImageError, match="directory is damaged"):
        read(tmp_path, data)


def test_the_length_of_a_single_strip_may_be_left_out(tmp_path: Path) -> None:
    samples = levels(3, 255)
    data = bytearray(tiff(samples, photometric="rgb", compression="lzw"))
    place = data.index(struct.pack("<HHI", 279, 3, 1) if b"\x17\x01\x03\0" in data else b"\x17\x01")
    struct.pack_into("<H", data, place, 65001)
    check(tmp_path, data, meant(samples, 255))
