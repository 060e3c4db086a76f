"""Whole image files of every format that is read, and what disks and attackers do to them.

``seeds`` gives the files by name, ``mutate`` damages one; the same random numbers give the same
bytes.
"""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.images.making import bmp, os2_bmp, png, pnm

__all__ = ["mutate", "seeds"]

HEIGHT, WIDTH = 45, 61


def photograph(channels: int = 3, white: int = 255) -> NDArray[Any]:
    """Return ``[H, W, channels]`` whole numbers from 0 to ``white``: slopes, an edge and grain."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grain = np.random.default_rng(7).random((HEIGHT, WIDTH, channels)) / 8
    waves = [np.sin(x / 9 + k) / 5 + np.cos(y / 7 + 2 * k) / 5 + 0.45 for k in range(channels)]
    shown = np.clip(np.stack(waves, axis=2) + grain + (x > 2 * y)[:, :, None] / 8, 0, 1)
    return np.asarray(np.rint(shown * white), np.uint8 if white < 256 else np.uint16)


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def tiff(samples: NDArray[Any], **more: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, metadata=None, **more)
    return file.getvalue()


def _jpegs(rgb: Image.Image) -> dict[str, bytes]:
    return {
        "plain.jpg": saved(rgb, "JPEG", quality=90),
        "progressive.jpg": saved(rgb, "JPEG", quality=90, progressive=True),
        "restarts.jpg": saved(rgb, "JPEG", quality=90, restart_marker_blocks=2),
        "grey.jpg": saved(rgb.convert("L"), "JPEG"),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG", quality=90),
    }


def _tiffs(deep: NDArray[Any], flat: NDArray[Any]) -> dict[str, bytes]:
    rows = {"photometric": "rgb", "rowsperstrip": 8}
    bits = Image.fromarray(flat[:, :, 0]).convert("1")
    return {
        "strips.tif": tiff(flat, **rows),
        "lzw.tif": tiff(flat, compression="lzw", predictor=True, **rows),
        "deflate.tif": tiff(flat, compression="deflate", **rows),
        "packbits.tif": tiff(flat, compression="packbits", **rows),
        "jpeg.tif": tiff(flat, compression="jpeg", photometric="ycbcr", tile=(32, 32)),
        "tiles.tif": tiff(flat, compression="lzw", photometric="rgb", tile=(16, 32)),
        "deep.tif": tiff(deep, compression="deflate", **rows),
        "float.tif": tiff(flat[:, :, 0].astype(np.float32) / 255, compression="deflate"),
        "planes.tif": tiff(
            np.moveaxis(flat, 2, 0), photometric="rgb", planarconfig="separate", compression="lzw"
        ),
        "palette.tif": saved(Image.fromarray(flat).quantize(60), "TIFF"),
        "group4.tif": saved(bits, "TIFF", compression="group4"),
        "pages.tif": saved(
            Image.fromarray(flat),
            "TIFF",
            compression="tiff_lzw",
            save_all=True,
            append_images=[Image.fromarray(255 - flat)],
        ),
    }


def _bmps(flat: NDArray[Any]) -> dict[str, bytes]:
    grey, rgb = Image.fromarray(flat[:, :, 0]), Image.fromarray(flat)
    packed = (flat.astype(np.uint16) >> 3) @ np.array([1 << 10, 1 << 5, 1], np.uint16)
    table = np.arange(768) // 3
    return {
        "plain.bmp": saved(rgb, "BMP"),
        "palette.bmp": saved(rgb.quantize(200), "BMP"),
        "bits.bmp": saved(grey.convert("1"), "BMP"),
        "sixteen.bmp": bmp(packed.astype(np.uint16), (0x7C00, 0x3E0, 0x1F)),
        "os2.bmp": os2_bmp(flat[:, :, :1], table),
        "runs.bmp": runs_bmp(flat[:, :, 0] >> 5 << 5),
    }


def runs_bmp(grey: NDArray[Any]) -> bytes:
    """Return a BMP file of grey levels ``[H, W]``, as runs of eight bits (RLE8)."""
    body = b""
    for row in grey[::-1]:
        edges = [0, *(np.flatnonzero(np.diff(row.astype(int))) + 1).tolist(), len(row)]
        for start, end in itertools.pairwise(edges):
            body += bytes([end - start, int(row[start])])
        body += b"\0\0"
    body += b"\0\1"
    plain = saved(Image.fromarray(grey), "BMP")
    head = bytearray(plain[: int.from_bytes(plain[10:14], "little")])
    head[2:6] = (len(head) + len(body)).to_bytes(4, "little")
    head[30:34] = (1).to_bytes(4, "little")
    head[34:38] = len(body).to_bytes(4, "little")
    return bytes(head) + body


def _timeless(film: bytes) -> bytes:
    """Return a film's bytes without the time when it was made."""
    data = bytearray(film)
    for kind in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.index(kind) + 4
        size = 16 if data[at] else 8
        data[at + 4 : at + 4 + size] = bytes(size)
    return bytes(data)


@cache
def seeds() -> dict[str, bytes]:
    """Return whole files by name, of 45 x 61 pixels each; a name ends with its format's ending."""
    flat, four, deep = photograph(), photograph(4), photograph(3, 65535)
    rgb, rgba = Image.fromarray(flat), Image.fromarray(four)
    frames: dict[str, Any] = {
        "save_all": True,
        "append_images": [Image.fromarray(255 - flat)],
        "duration": 90,
    }
    few = rgb.quantize(64)
    return {
        **_jpegs(rgb),
        "plain.png": saved(rgb, "PNG"),
        "alpha.png": saved(rgba, "PNG"),
        "palette.png": saved(few, "PNG"),
        "deep.png": png(deep, 16, 2),
        "interlaced.gif": saved(few, "GIF", interlace=1),
        "animated.gif": saved(rgb, "GIF", **frames),
        "lossy.webp": saved(rgb, "WEBP", quality=90),
        "lossless.webp": saved(rgba, "WEBP", lossless=True, exact=True),
        "animated.webp": saved(rgb, "WEBP", lossless=True, **frames),
        **_tiffs(deep, flat),
        **_bmps(flat),
        "plain.ppm": pnm(flat, 255, plain=False),
        "digits.pgm": pnm(flat[:, :, :1], 255, plain=True),
        "deep.ppm": pnm(photograph(3, 1023), 1023, plain=False),
        "bits.pbm": saved(Image.fromarray(flat[:, :, 0]).convert("1"), "PPM"),
        "plain.jp2": bytes(imagecodecs.jpeg2k_encode(flat, level=0, reversible=True)),
        "plain.avif": saved(rgb, "AVIF", quality=90, speed=9),
        "animated.avif": _timeless(saved(rgb, "AVIF", speed=9, **frames)),
    }


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Return a damaged copy of a file, headers more often than the rest of it."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_DAMAGES)(rng, data) or data
    return data


def _place(rng: random.Random, data: bytes) -> int:
    return rng.randrange(max(1, min(len(data), rng.choice((16, 64, 256, len(data), len(data))))))


def _bit(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _byte(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes([rng.choice((0, 1, 127, 255, rng.randrange(256)))]) + data[at + 1 :]


def _number(rng: random.Random, data: bytes) -> bytes:
    """Put an awkward number where one of two or four bytes may be."""
    at, size = _place(rng, data) & ~1, rng.choice((2, 4))
    value = rng.choice((0, 1, 2, 0x7FFF, 0xFFFF, 1 << 16, (1 << 31) - 1, (1 << 32) - 1))
    order: Any = rng.choice(("little", "big"))
    return data[:at] + (value % (1 << 8 * size)).to_bytes(size, order) + data[at + size :]


def _noise(rng: random.Random, data: bytes) -> bytes:
    at, size = _place(rng, data), rng.randrange(1, 64)
    return data[:at] + rng.randbytes(len(data[at : at + size])) + data[at + size :]


def _zeros(rng: random.Random, data: bytes) -> bytes:
    """Blank what a disk's lost sector, or a download with a hole, would have held."""
    at, size = _place(rng, data), rng.choice((4, 64, 512))
    return data[:at] + b"\0" * len(data[at : at + size]) + data[at + size :]


def _without(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at + rng.randrange(1, 40) :]


def _doubled(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[: at + rng.randrange(1, 40)] + data[at:]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: max(1, rng.randrange(len(data)))]


def _cut_and_filled(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + b"\0" * (len(data) - at)


def _longer(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice((b"\0" * 64, b"<!-- sent by -->\r\n", rng.randbytes(200), data[:100]))


_DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_bit, _byte, _number, _noise, _zeros, _without, _doubled, _cut, _cut_and_filled, _longer),
)
