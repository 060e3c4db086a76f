"""Small pictures of any depth, as files of many formats, and what their formats say they show.

What a file shows comes from the numbers that went in, or from another reader, never from us.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from gradcam_cli.errors import ImageError
from gradcam_cli.images.files import Picture, read_picture

HEIGHT, WIDTH = 18, 21  # no multiple of eight, nor of a tile


def levels(channels: int, white: int) -> NDArray[Any]:
    """Return ``[H, W, channels]`` whole numbers from 0 to ``white``, each channel another wave."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [(np.sin(x / 5 + 1.3 * k) + np.cos(y / 4 + k)) / 4 + 0.5 for k in range(channels)]
    spread = [(wave - wave.min()) / np.ptp(wave) for wave in waves]
    numbers = np.rint(np.stack(spread, axis=2) * white)
    return np.asarray(numbers, np.uint8 if white < 256 else np.uint16)


def meant(
    samples: NDArray[Any], white: int, kind: str = "rgb", extra: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """Return the levels 0 to 255, on white paper, that samples ``[H, W, n]`` stand for.

    ``extra``, of TIFF: 1 is opacity that colours are scaled by, 2 opacity, 0 something else.
    """
    parts = samples / white
    colours, alpha = parts[:, :, : parts.shape[2] - len(extra)], np.ones((1, 1, 1))
    if kind == "miniswhite":
        colours = 1 - colours
    if kind == "separated":
        colours = (1 - colours[:, :, :3]) * (1 - colours[:, :, 3:])
    if {1, 2} & set(extra):
        place = next(at for at, what in enumerate(extra) if what in (1, 2))
        alpha = parts[:, :, parts.shape[2] - len(extra) + place, np.newaxis]
        colours = colours * alpha if extra[place] == 2 else colours
    colours = np.minimum(colours + 1 - alpha, 1)
    return np.broadcast_to(colours * 255, (*samples.shape[:2], 3))


def tiff(samples: NDArray[Any], **more: Any) -> bytes:
    """Return a TIFF file of samples ``[H, W, n]``."""
    if more.get("planarconfig") == "separate":
        samples = np.moveaxis(samples, 2, 0)
    elif samples.shape[2] == 1:
        samples = samples[:, :, 0]
    file = io.BytesIO()
    tifffile.imwrite(file, samples, metadata=None, **more)
    return file.getvalue()


def packed_rows(samples: NDArray[Any], bits: int) -> bytes:
    """Return samples ``[H, W, n]`` bit by bit, each row filled up to a whole byte."""
    rows = samples.reshape(len(samples), -1, 1) >> np.arange(bits)[::-1] & 1
    return np.packbits(rows.reshape(len(samples), -1).astype(np.uint8), axis=1).tobytes()


def bare_tiff(raw: bytes, tags: dict[int, Any], order: str = "<") -> bytes:
    """Return a TIFF file of one strip, whose tags are whole numbers or sequences of them."""
    tags = {256: WIDTH, 257: HEIGHT, 259: 1, 278: HEIGHT, 279: len(raw), 273: 0} | tags
    start = 8 + 2 + 12 * len(tags) + 4
    far = {tag: value for tag, value in tags.items() if not isinstance(value, int)}
    tags[273] = start + sum(4 * len(values) for values in far.values())
    data, rest = struct.pack(order + "HIH", 42, 8, len(tags)), b""
    for tag, value in sorted(tags.items()):
        count = len(far[tag]) if tag in far else 1
        place = start + len(rest) if tag in far else value
        data += struct.pack(order + "HHII", tag, 4, count, place)
        rest += struct.pack(f"{order}{count}I", *far[tag]) if tag in far else b""
    mark = b"II" if order == "<" else b"MM"
    return mark + data + struct.pack(order + "I", 0) + rest + raw


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples: NDArray[Any], depth: int, colour: int, chunks: bytes = b"") -> bytes:
    """Return a PNG file of samples ``[H, W, n]``; ``colour`` is the format's own number."""
    rows = samples.reshape(len(samples), -1)
    if depth < 8:
        rows = np.frombuffer(packed_rows(samples, depth), np.uint8).reshape(len(rows), -1)
    raw = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in rows)
    size = struct.pack(">IIBBBBB", samples.shape[1], len(samples), depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", size) + chunks + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def pnm(samples: NDArray[Any], most: int, plain: bool) -> bytes:
    """Return a PGM or PPM file of samples ``[H, W, 1 or 3]``, plain ones written out in digits."""
    height, width, channels = samples.shape
    kind = (2 if plain else 5) + (channels == 3)
    if plain:
        raw = "\n".join(" ".join(map(str, row.ravel())) for row in samples).encode() + b"\n"
    else:
        raw = samples.astype(">u2" if most > 255 else "u1").tobytes()
    return b"P%d\n# made\n%d %d\n%d\n" % (kind, width, height, most) + raw


def bmp(pixels: NDArray[Any], masks: tuple[int, ...] = (), size: int = 40) -> bytes:
    """Return a BMP file of pixels: uint16 or uint32 ``[H, W]``."""
    height, width = pixels.shape
    odd = width * pixels.itemsize % 4 // pixels.itemsize
    rows = np.pad(pixels, ((0, 0), (0, odd))).astype(f"<u{pixels.itemsize}").tobytes()
    compression = 3 if masks else 0
    bits = 8 * pixels.itemsize
    start = struct.pack("<IiiHHIIiiII", size, width, -height, 1, bits, compression, *(0,) * 5)
    rest = b"".join(struct.pack("<I", mask) for mask in masks)
    head = start + (rest.ljust(size - 40, b"\0") if size > 40 else rest)
    place = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", place + len(rows), 0, 0, place) + head + rows


def os2_bmp(samples: NDArray[Any], table: NDArray[Any] | None = None) -> bytes:
    """Return a BMP file with the short header of OS/2: BGR ``[H, W, 3]``, or places in a table."""
    height, width, channels = samples.shape
    rows = np.pad(samples[::-1].reshape(height, -1), ((0, 0), (0, -width * channels % 4)))
    head = struct.pack("<IHHHH", 12, width, height, 1, 8 * channels)
    head += b"" if table is None else table.astype(np.uint8).tobytes()
    size = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", size + rows.size, 0, 0, size) + head + rows.tobytes()


def read(folder: Path, data: bytes | bytearray, **more: Any) -> Picture:
    path = folder / "a"
    path.write_bytes(data)
    return read_picture(path, **more)


def check(
    folder: Path, data: bytes | bytearray, expected: NDArray[Any], what: object = "", **more: Any
) -> None:
    pixels = read(folder, data, **more).pixels
    assert pixels.shape == expected.shape, what
    off = np.abs(pixels.astype(int) - np.rint(expected).astype(int)).max()
    assert off <= 1, (what, off)


def refusal(folder: Path, data: bytes | bytearray) -> str:
    with pytest.raises(ImageError) as caught:
        read(folder, data)
    assert caught.value.kind == "not-a-picture"
    assert "JPEG or PNG" in caught.value.hint
    return caught.value.message
