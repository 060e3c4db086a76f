"""Every kind of picture shows what its format says, to one level, or is refused by name."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import ImageError
from gradcam_cli.images.boxes import boxes
from tests.images.making import (
    HEIGHT,
    WIDTH,
    bmp,
    check,
    chunk,
    levels,
    meant,
    os2_bmp,
    png,
    pnm,
    read,
    refusal,
    tiff,
)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("container", ["jp2", "j2k"])
def test_jpeg_2000(tmp_path: Path, container: str, bits: int, channels: int) -> None:
    samples = levels(channels, 2**bits - 1)
    plain = samples[:, :, 0] if channels == 1 else samples
    data = imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(plain),
        level=0,
        bitspersample=bits,
        codecformat=container,
        reversible=True,
    )
    assert b"cdef" not in data  # so a fourth channel is not opacity
    stored = imagecodecs.jpeg2k_decode(data).reshape(samples.shape)
    extra = (0,) if channels == 4 else ()
    check(tmp_path, data, meant(stored, 2**bits - 1, extra=extra))


@pytest.mark.parametrize("kind", [1, 2])
def test_opacity_of_jpeg_2000_is_defined_in_a_box(tmp_path: Path, kind: int) -> None:
    file = io.BytesIO()
    samples = levels(4, 255)
    Image.fromarray(samples).save(file, "JPEG2000")
    data = bytearray(file.getvalue())
    at = data.index(b"cdef") + 6 + 3 * 6
    assert data[at : at + 4] == b"\0\3\0\1"
    data[at + 3] = kind
    check(tmp_path, data, meant(samples, 255, extra=(3 - kind,)))


@pytest.mark.parametrize(
    ("mode", "said"), [("YCbCr", "sYCC"), ("LA", "2 channels"), ("CMYK", "CMYK")]
)
def test_jpeg_2000_that_cannot_be_read_rightly(tmp_path: Path, mode: str, said: str) -> None:
    file = io.BytesIO()
    if mode == "CMYK":
        data = imagecodecs.jpeg2k_encode(levels(4, 255), level=0, colorspace="CMYK")
    else:
        image = Image.fromarray(levels(2 if mode == "LA" else 3, 255))
        image.convert(mode).save(file, "JPEG2000")
        data = file.getvalue()
    assert said in refusal(tmp_path, data)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif(tmp_path: Path, bits: int, channels: int) -> None:
    samples = levels(channels, 2**bits - 1)
    data = imagecodecs.avif_encode(
        samples if channels > 1 else samples[:, :, 0].copy(),
        level=100,
        bitspersample=bits,
        pixelformat="444" if channels > 2 else "400",
        speed=9,
    )
    stored = imagecodecs.avif_decode(data).reshape(HEIGHT, WIDTH, -1)
    check(tmp_path, data, meant(stored, 2**bits - 1, extra=() if channels % 2 else (2,)))


@pytest.mark.parametrize("spread", ["full", "limited"])
@pytest.mark.parametrize("sampling", ["4:4:4", "4:0:0"])
def test_avif_of_either_range(tmp_path: Path, sampling: str, spread: str) -> None:
    file = io.BytesIO()
    Image.fromarray(levels(3, 255)).save(
        file, "AVIF", quality=100, range=spread, subsampling=sampling, speed=9
    )
    decoded = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    check(tmp_path, file.getvalue(), np.asarray(decoded).astype(float))


def grown(data: bytes, kind: bytes, more: bytes) -> bytes:
    """Return an AVIF file with bytes put at the end of a box of its header."""
    for name in (b"meta", b"iprp", b"ipco", b"ipma"):
        at = data.index(name) - 4
        (size,) = struct.unpack_from(">I", data, at)
        if name in (b"meta", b"iprp", kind):
            data = data[:at] + struct.pack(">I", size + len(more)) + data[at + 4 :]
        end = at + size
        if name == kind:
            data = data[:end] + more + data[end:]
            break
    start = data.index(b"mdat") + 4
    old = struct.pack(">I", start - len(more))
    place = data.index(old, data.index(b"iloc"))
    return data[:place] + struct.pack(">I", start) + data[place + 4 :]


@pytest.mark.parametrize(("right", "down"), [(0, 0), (1, -2)])
def test_only_the_clean_aperture_of_an_avif_is_shown(tmp_path: Path, right: int, down: int) -> None:
    whole = bytes(imagecodecs.avif_encode(levels(3, 255), level=100, speed=9))
    ipco = whole.index(b"ipco") - 4
    (size,) = struct.unpack_from(">I", whole, ipco)
    number = len(list(boxes(whole, ipco + 8, ipco + size))) + 1
    box = struct.pack(">I4s4IiIiI", 40, b"clap", WIDTH - 8, 1, HEIGHT - 6, 1, right, 1, down, 1)
    data = bytearray(grown(grown(whole, b"ipco", box), b"ipma", bytes([0x80 | number])))
    data[data.index(b"ipma") + 4 + 4 + 4 + 2] += 1  # associations of the first item
    expected = imagecodecs.avif_decode(whole)[3 + down : HEIGHT - 3 + down]
    check(tmp_path, data, expected[:, 4 + right : WIDTH - 4 + right])


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("most", [1, 7, 100, 255, 256, 1023, 4095, 65535])
def test_pnm_of_any_maxval(tmp_path: Path, most: int, plain: bool) -> None:
    for channels in (1, 3):
        samples = levels(channels, most)
        check(tmp_path, pnm(samples, most, plain), meant(samples, most), channels)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_png(tmp_path: Path, depth: int, colour: int, channels: int) -> None:
    if depth < 8 and colour:
        return
    white = 2**depth - 1
    samples = levels(channels, white)
    extra = (2,) if channels in (2, 4) else ()
    check(tmp_path, png(samples, depth, colour), meant(samples, white, extra=extra))
    if extra:
        return
    clear = samples[3, 3]  # one colour is transparent
    mark = chunk(b"tRNS", struct.pack(f">{channels}H", *clear.tolist()))
    expected = np.array(meant(samples, white))
    expected[(samples == clear).all(axis=2)] = 255
    check(tmp_path, png(samples, depth, colour, mark), expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_png_with_a_palette(tmp_path: Path, depth: int) -> None:
    table = np.random.default_rng(depth).integers(0, 256, (2**depth, 4), dtype=np.uint8)
    index = levels(1, 2**depth - 1)
    palette = chunk(b"PLTE", table[:, :3].tobytes())
    check(tmp_path, png(index, depth, 3, palette), table[index[:, :, 0], :3])
    see_through = palette + chunk(b"tRNS", table[:, 3].tobytes())
    expected = meant(table[index[:, :, 0]], 255, extra=(2,))
    check(tmp_path, png(index, depth, 3, see_through), expected)


def test_significant_bits_do_not_change_a_png(tmp_path: Path) -> None:
    """The standard stretches levels over all bits, and says nothing else of decoders."""
    few = levels(3, 4095)
    data = png(few << 4 | few >> 8, 16, 2, chunk(b"sBIT", b"\x0c\x0c\x0c"))
    check(tmp_path, data, meant(few, 4095))


BGR = (0xFF0000, 0xFF00, 0xFF)


@pytest.mark.parametrize(
    ("masks", "size", "opaque"),
    [
        *[((), 40, True), ((), 108, True), (BGR, 40, True), (BGR, 124, True)],
        *[
            ((*BGR, 0), 108, True),
            ((*BGR, 0xFF000000), 108, False),
            ((*BGR, 0xFF000000), 56, False),
        ],
    ],
)
def test_bmp_of_32_bits(tmp_path: Path, masks: tuple[int, ...], size: int, opaque: bool) -> None:
    samples = levels(4, 255)
    packed = np.ascontiguousarray(samples[:, :, [2, 1, 0, 3]]).view("<u4")[:, :, 0]
    expected = meant(samples, 255, extra=(0 if opaque else 2,))
    check(tmp_path, bmp(packed, masks, size), expected)
    if opaque:  # where the fourth byte is not an alpha, it is mostly 0
        check(tmp_path, bmp(packed & 0xFFFFFF, masks, size), expected)


@pytest.mark.parametrize("masks", [(), (0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)])
def test_bmp_of_16_bits(tmp_path: Path, masks: tuple[int, ...]) -> None:
    whites = (31, 63 if masks[:1] == (0xF800,) else 31, 31)
    parts = [levels(3, white)[:, :, place] for place, white in enumerate(whites)]
    red, green, blue = (part.astype(np.uint16) for part in parts)
    packed = red << (11 if whites[1] == 63 else 10) | green << 5 | blue
    expected = np.stack(parts, axis=2) / np.array(whites) * 255
    check(tmp_path, bmp(packed, masks), expected)


def test_bmp_of_os2(tmp_path: Path) -> None:
    samples = levels(3, 255)
    check(tmp_path, os2_bmp(samples), samples[:, :, ::-1])
    table = np.random.default_rng(3).integers(0, 256, (256, 3))
    index = levels(1, 255)
    check(tmp_path, os2_bmp(index, table), table[index[:, :, 0], ::-1])


def test_bmp_in_an_unusual_order_is_refused(tmp_path: Path) -> None:
    packed = levels(4, 255).view("<u4")[:, :, 0]
    assert "bitfields layout" in refusal(tmp_path, bmp(packed, BGR[::-1], 40))


@pytest.mark.parametrize("name", ["WEBP", "PNG", "GIF", "AVIF"])
def test_the_first_frame_of_an_animation(tmp_path: Path, name: str) -> None:
    file, pixels = io.BytesIO(), levels(4, 255)
    frames = [Image.fromarray(part) for part in (pixels, 255 - pixels)]
    more: dict[str, Any] = {"lossless": True, "exact": True} if name == "WEBP" else {}
    frames[0].save(file, name, save_all=True, append_images=frames[1:], duration=90, **more)
    first = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGBA"))
    check(tmp_path, file.getvalue(), meant(first, 255, extra=(2,)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (imagecodecs.jpeg8_encode(levels(3, 4095), bitspersample=12), "a JPEG file of 12 bits"),
        (imagecodecs.jpegls_encode(levels(3, 255)), "a JPEG-LS file"),
        (imagecodecs.jpegxl_encode(levels(3, 255)), "a JPEG XL picture"),
    ],
)
def test_jpeg_of_another_kind_is_refused_by_name(tmp_path: Path, data: bytes, said: str) -> None:
    assert said in refusal(tmp_path, data)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(tmp_path: Path, progressive: bool, mode: str) -> None:
    file = io.BytesIO()
    image = Image.fromarray(levels(3, 255)).convert(mode)
    image.save(file, "JPEG", quality=95, progressive=progressive)
    decoded = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    check(tmp_path, file.getvalue(), np.asarray(decoded))


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_in_inks(tmp_path: Path, progressive: bool) -> None:
    """OpenCV mixes them in eight bits, rounding on the way."""
    file = io.BytesIO()
    image = Image.fromarray(levels(4, 255), "CMYK")
    image.save(file, "JPEG", quality=95, progressive=progressive)
    decoded = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    expected = meant(decoded, 255, "separated")
    assert np.abs(read(tmp_path, file.getvalue()).pixels - expected).max() <= 3


DEEP = levels(3, 65535)
WHOLES = {
    "planes": tiff(DEEP, photometric="rgb", planarconfig="separate", compression="lzw"),
    "tiles": tiff(
        levels(5, 65535),
        photometric="rgb",
        extrasamples=(0, 2),
        tile=(16, 16),
        predictor=True,
        compression="deflate",
    ),
    "bigtiff": tiff(levels(1, 65535), photometric="miniswhite", bigtiff=True),
    "packed": tiff(levels(2, 4095), photometric="minisblack", extrasamples=(2,), bitspersample=12),
    "cmyk": tiff(levels(5, 255), photometric="separated", extrasamples=(0,)),
    "avif": imagecodecs.avif_encode(levels(3, 1023), level=100, bitspersample=10, speed=9),
    "jp2": imagecodecs.jpeg2k_encode(levels(4, 4095), level=0, bitspersample=12, reversible=True),
    "bmp": bmp(levels(4, 255).view("<u4")[:, :, 0], (*BGR, 0xFF000000), 108),
}


@pytest.mark.parametrize("name", list(WHOLES))
def test_damaged_files_give_a_picture_or_an_error(tmp_path: Path, name: str) -> None:
    chance = random.Random(name)
    for _ in range(80):
        data = bytearray(WHOLES[name])
        for _ in range(chance.choice((1, 1, 2, 8))):
            place = chance.randrange(chance.choice((32, 64, 256, len(data))))
            data[min(place, len(data) - 1)] = chance.choice((0, 1, 255, chance.randrange(256)))
        try:
            picture = read(tmp_path, data)
        except ImageError:
            continue
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape[2:] == (3,)


@pytest.mark.parametrize("name", list(WHOLES))
def test_a_cut_file_never_gives_a_picture(tmp_path: Path, name: str) -> None:
    whole = WHOLES[name]
    for length in range(1, len(whole) - 2, 1 + len(whole) // 60):
        with pytest.raises(ImageError) as caught:
            read(tmp_path, whole[:length])
        assert caught.value.kind in ("truncated", "not-a-picture")
