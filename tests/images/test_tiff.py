"""Every kind of TIFF shows what its format says, to one level, or is refused by name."""

from __future__ import annotations

import io
import itertools
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from gradcam_cli.errors import ImageError
from gradcam_cli.images.tiff import read_layout
from tests.images.making import (
    HEIGHT,
    WIDTH,
    bare_tiff,
    check,
    levels,
    meant,
    packed_rows,
    read,
    refusal,
    tiff,
)

EXTRAS = [(), (0,), (1,), (2,), (0, 0), (0, 2)]


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["minisblack", "miniswhite", "rgb", "separated"])
def test_tiff(tmp_path: Path, kind: str, bits: int, planes: str) -> None:
    colours = {"rgb": 3, "separated": 4}.get(kind, 1)
    ways = itertools.product(
        EXTRAS,
        (None, "lzw", "deflate", "packbits"),
        (None, (16, 16)),
        [("<", True), (">", False), (">", True)],
    )
    for extra, compression, tile, (order, other) in ways:
        if colours + len(extra) == 1 and planes == "separate":
            continue
        if compression in ("packbits", "deflate") and (tile or order == "<"):
            continue
        samples = levels(colours + len(extra), 2**bits - 1)
        # What is other: differences where they are compressed, BigTIFF where not.
        more: dict[str, Any] = {"predictor": other} if compression else {"bigtiff": other}
        if compression == "packbits":
            more = {"bigtiff": other}
        if planes == "separate":
            more["planarconfig"] = planes
        strips = {"tile": tile} if tile else {"rowsperstrip": 5}
        data = tiff(
            samples,
            photometric=kind,
            extrasamples=extra or None,
            compression=compression,
            byteorder=order,
            **strips,
            **more,
        )
        stored = tifffile.imread(io.BytesIO(data)).reshape(
            samples.shape if planes == "contig" else (samples.shape[2], HEIGHT, WIDTH)
        )
        stored = stored if planes == "contig" else np.moveaxis(stored, 0, 2)
        what = (extra, compression, tile, order, more)
        check(tmp_path, data, meant(stored, 2**bits - 1, kind, extra), what)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 9, 10, 12, 14])
def test_tiff_of_packed_bits(tmp_path: Path, bits: int) -> None:
    ways = itertools.product(("minisblack", "miniswhite", "rgb"), ("contig", "separate"), EXTRAS)
    for kind, planes, extra in ways:
        count = (3 if kind == "rgb" else 1) + len(extra)
        if count == 1 and planes == "separate":
            continue
        samples = levels(count, 2**bits - 1)
        more = {"planarconfig": planes} if planes == "separate" else {}
        data = tiff(
            samples,
            photometric=kind,
            extrasamples=extra or None,
            bitspersample=bits,
            rowsperstrip=7,
            **more,
        )
        check(tmp_path, data, meant(samples, 2**bits - 1, kind, extra), (kind, planes, extra))


def test_packed_bits_do_not_depend_on_the_order_of_bytes(tmp_path: Path) -> None:
    samples = levels(1, 4095)
    for order in "<>":
        data = bare_tiff(packed_rows(samples, 12), {258: 12, 262: 1}, order)
        check(tmp_path, data, meant(samples, 4095), order)


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_with_a_palette(
    tmp_path: Path, bits: int, compression: str | None, tile: tuple[int, int] | None
) -> None:
    table = np.random.default_rng(bits).integers(0, 256, (3, 2**bits)).astype(np.uint16) * 257
    index = levels(1, 2**bits - 1)
    data = tiff(index, photometric="palette", colormap=table, compression=compression, tile=tile)
    check(tmp_path, data, np.moveaxis(table[:, index[:, :, 0]] // 257, 0, 2))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_tiff_with_a_small_palette(tmp_path: Path, bits: int) -> None:
    table = np.random.default_rng(bits).integers(0, 256, (3, 2**bits)).astype(np.uint16) * 257
    index = levels(1, 2**bits - 1)
    tags = {258: bits, 262: 3, 320: table.ravel().tolist()}
    data = bare_tiff(packed_rows(index, bits), tags)
    check(tmp_path, data, np.moveaxis(table[:, index[:, :, 0]] // 257, 0, 2))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("compression", [None, "jpeg", "group3", "group4", "tiff_lzw"])
def test_tiff_as_pillow_writes_it(tmp_path: Path, mode: str, compression: str | None) -> None:
    image = Image.fromarray(levels(4, 255)) if mode == "RGBA" else Image.fromarray(levels(3, 255))
    image, file = image.convert(mode), io.BytesIO()
    if (compression in ("group3", "group4")) != (mode == "1") and compression:
        return
    if compression == "jpeg" and mode in ("P", "RGBA"):
        return
    image.save(file, "TIFF", compression=compression)
    decoded = Image.open(io.BytesIO(file.getvalue()))
    if mode == "RGBA":
        expected = meant(np.asarray(decoded), 255, extra=(2,))
    else:
        expected = np.asarray(decoded.convert("RGB")).astype(float)
    check(tmp_path, file.getvalue(), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_read_by_samples_is_turned(tmp_path: Path, orientation: int) -> None:
    deep = levels(1, 65535)
    tags = [(274, 3, 1, orientation, True)]
    data = tiff(deep, photometric="miniswhite", extratags=tags)
    image = Image.fromarray(np.rint(meant(deep, 65535, "miniswhite")).astype(np.uint8))
    turns = Image.Transpose
    turn = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation)
    check(tmp_path, data, np.asarray(image if turn is None else image.transpose(turn)))


def unlike(kind: str) -> bytes:
    """Return a TIFF that no decoder here reads rightly."""
    if kind.startswith(("int", "uint")):
        return tiff(np.zeros((9, 9, 3), kind), photometric="rgb")
    if kind == "CIE Lab":
        file = io.BytesIO()
        Image.frombytes("LAB", (WIDTH, HEIGHT), levels(3, 255).tobytes()).save(file, "TIFF")
        return file.getvalue()
    if kind == "raw":
        return tiff(levels(1, 65535), photometric="cfa")
    if kind == "thumbnail":
        tags = {254: 1, 258: 8, 262: 2, 277: 3, 330: 8}
        return bare_tiff(levels(3, 255).tobytes(), tags)
    if kind == "CR2":  # its mark stands between the header and the first directory
        data = bytearray(tiff(levels(3, 255), photometric="rgb"))
        (at,) = struct.unpack_from("<I", data, 4)
        assert data[:4] == b"II*\0"
        directory = data[at : at + 2 + 12 * data[at] + 4]
        struct.pack_into("<I", data, 4, len(data) + len(data) % 2)
        data += bytes(len(data) % 2) + directory
        data[8:12] = b"CR\2\0"
        return bytes(data)
    return tiff(levels(3, 255), photometric="rgb", compression=kind)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        *[(name, name) for name in ("int8", "int16", "int32", "uint32", "uint64")],
        *[("CIE Lab", "8-bit CIE Lab"), ("raw", "camera's raw"), ("thumbnail", "thumbnail")],
        ("CR2", "camera's raw file (CR2)"),
        *[("jpegxl", "JPEG XL"), ("jpeg2000", "JPEG 2000"), ("webp", "WebP"), ("lerc", "LERC")],
    ],
)
def test_tiff_that_cannot_be_read_rightly_is_refused(tmp_path: Path, kind: str, said: str) -> None:
    assert said in refusal(tmp_path, unlike(kind))


def test_the_largest_sample_is_a_depth_where_it_can_be(tmp_path: Path) -> None:
    """The TIFF standard calls it a statistic that does not change how a picture looks."""
    for most, brightest, white in ((4095, 4095, 4095), (4095, 4096, 65535), (3000, 3000, 65535)):
        samples = levels(3, brightest)
        tag = [(281, 3, 3, (most,) * 3, True)]
        data = tiff(samples, photometric="rgb", extratags=tag)
        check(tmp_path, data, meant(samples, white), (most, brightest))


@pytest.mark.parametrize("place", [2**62, 2**64 - 1])
def test_places_far_outside_a_bigtiff(tmp_path: Path, place: int) -> None:
    data = bytearray(tiff(levels(1, 65535), photometric="miniswhite", bigtiff=True))
    data[8:16] = struct.pack("<Q", place)
    with pytest.raises(ImageError, match="ends inside its header"):
        read(tmp_path, data)


def test_differences_are_a_matter_of_the_compression(tmp_path: Path) -> None:
    """libtiff, and so Pillow, ignores the tag where nothing is compressed."""
    samples = levels(5, 255)
    tags = {258: [8] * 5, 262: 2, 277: 5, 317: 2, 338: [0, 0]}
    data = bare_tiff(samples.tobytes(), tags)
    check(tmp_path, data, meant(samples, 255, extra=(0, 0)))


def test_long_private_tags_are_not_read() -> None:
    data = bare_tiff(b"\0" * WIDTH * HEIGHT, {258: 8, 262: 1, 65000: [7] * 3_000_000})
    start = time.process_time()
    assert 65000 not in read_layout(data).tags
    assert time.process_time() - start < 0.05
