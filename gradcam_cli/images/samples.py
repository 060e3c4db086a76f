"""The samples of TIFF images, strip by strip or tile by tile, become numbers that mean colours.

Each strip or tile becomes a small TIFF of its own, of grey bytes, so that its compression is undone
and damage found; which bytes make a number, and what the numbers mean, is decided here by the tags.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import FailureKind, ImageError
from gradcam_cli.images.header import Header
from gradcam_cli.images.jpeg import jpeg_complaint
from gradcam_cli.images.pillow import pillow_complaint, read_grey_tiff
from gradcam_cli.images.tiff import Layout, read_layout

Samples = NDArray[Any]
Bytes = NDArray[np.uint8]

_AT_ONCE = 1 << 22  # numbers that are unpacked from bits, or scaled, at once
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_samples(data: bytes) -> Samples | None:
    """Return grey ``[H, W]``, BGR ``[H, W, 3]`` or BGRA ``[H, W, 4]`` numbers of a TIFF.

    They are uint8 for up to eight bits, else uint16, not stretched: white is the largest that the
    bits hold. Measurements are uint16, from black to white as the file states them; floating-point
    numbers that state nothing must lie from 0 to 1. What is behind the colours is left out unless
    it is opacity. None where a strip or tile is damaged. Raises ImageError (``not-a-picture``) for
    measurements of another range.
    """
    layout = read_layout(data)
    numbers = _tiles(data, layout) if 322 in layout.tags else _strips(data, layout)
    if numbers is None:
        return None
    return _colours(_levels(numbers, layout) if layout.measured else numbers, layout)


def _strips(data: bytes, layout: Layout) -> Samples | None:
    height, width = layout.get(257), layout.get(256)
    planes, deep = (layout.samples, 1) if layout.separate else (1, layout.samples)
    rows = min(layout.get(278, height) or height, height)
    each = -(-height // rows)
    found = []
    for plane in range(planes):
        part = slice(plane * each, (plane + 1) * each)
        numbers = _numbers(data, layout, part, (height, width, deep), rows)
        if numbers is None:
            return None
        found.append(numbers)
    return found[0] if planes == 1 else np.concatenate(found, axis=2)


def _tiles(data: bytes, layout: Layout) -> Samples | None:
    """Read a row of tiles at a time, as if they were strips one below the other."""
    height, width, high, wide = (layout.get(tag) for tag in (257, 256, 323, 322))
    if not high or not wide:
        return None
    planes, deep = (layout.samples, 1) if layout.separate else (1, layout.samples)
    across, down = -(-width // wide), -(-height // high)
    if across * wide * down * high > 4 * width * height + _AT_ONCE:
        return None  # damaged: nobody makes tiles so much larger than the image
    result: Samples | None = None
    for plane in range(planes):
        for row in range(down):
            first = (plane * down + row) * across
            part = slice(first, first + across)
            numbers = _numbers(data, layout, part, (across * high, wide, deep), high)
            if numbers is None:
                return None
            if result is None:
                result = np.empty((down * high, across * wide, planes * deep), numbers.dtype)
            tiles = numbers.reshape(across, high, wide, deep)
            tiles = tiles.transpose(1, 0, 2, 3).reshape(high, across * wide, deep)
            result[row * high : (row + 1) * high, :, plane * deep : plane * deep + deep] = tiles
    return None if result is None else np.ascontiguousarray(result[:height, :width])


def _numbers(
    data: bytes, layout: Layout, part: slice, size: tuple[int, int, int], rows: int
) -> Samples | None:
    """Return the numbers ``size`` ``[height, width, deep]`` of some strips of ``rows`` each."""
    height, width, deep = size
    bits = layout.bits
    body = _undone(data, layout, part, (height, -(-width * deep * bits // 8), rows))
    if body is None:
        return None
    if bits < 8 or 8 < bits < 16:
        return _unpacked(body, width * deep, bits).reshape(size)
    if layout.predictor == 3:  # the bytes' differences, the highest bytes of all numbers first
        body = np.cumsum(body.reshape(height, -1, deep), axis=1, dtype=np.uint8)
        planes = body.reshape(height, bits // 8, width * deep)
        numbers = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">u{bits // 8}")
    else:
        numbers = body.view(f"{layout.order}u{bits // 8}")
    numbers = numbers.reshape(size).astype(f"=u{bits // 8}", copy=False)
    if layout.predictor == 2:
        numbers = np.cumsum(numbers, axis=1, dtype=numbers.dtype)
    return numbers.view(f"=f{bits // 8}") if layout.kind[:5] == "float" else numbers


def _undone(data: bytes, layout: Layout, part: slice, size: tuple[int, int, int]) -> Bytes | None:
    """Return the uncompressed bytes ``[height, columns]`` of some strips of ``rows`` each."""
    height, columns, rows = size
    places, counts = layout.places[part], layout.counts[part]
    if len(layout.places) == 1 and not counts:
        counts = [len(data)]  # some writers leave it out
    compression = layout.get(259, 1)
    needed = [min(rows, height - row) * columns for row in range(0, height, rows)]
    if compression == 1:
        counts = needed  # what a strip holds is known; the tag is wrong in some files
    if not len(places) == len(counts) == len(needed):
        return None
    strips = [data[at : at + count] for at, count in zip(places, counts, strict=True)]
    if layout.get(266, 1) == 2:
        strips = [strip.translate(_REVERSED) for strip in strips]
    if compression != 1:
        tiff = _grey_tiff(strips, compression, (height, columns, rows))
        return read_grey_tiff(tiff, columns, height)
    body = np.frombuffer(b"".join(strips), np.uint8)
    return body.reshape(height, columns) if body.size == height * columns else None


def _grey_tiff(strips: list[bytes], compression: int, size: tuple[int, int, int]) -> bytes:
    """Return a TIFF file of a grey image of 8 bits, ``[height, width]``, ``rows`` a strip."""
    height, width, rows = size
    count, start = len(strips), 8 + sum(map(len, strips))
    far = start + 2 + 10 * 12 + 4
    tags = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 277: 1, 278: rows}
    tags |= {273: far, 279: far + 4 * count} if count > 1 else {273: 8, 279: len(strips[0])}
    tags[284] = 1
    directory = struct.pack("<H", len(tags))
    for tag, value in sorted(tags.items()):
        directory += struct.pack("<HHII", tag, 4, count if tag in (273, 279) else 1, value)
    lengths = np.array([len(strip) for strip in strips], "<u4")
    places = 8 + np.cumsum(lengths, dtype="<u4") - lengths
    lists = places.astype("<u4").tobytes() + lengths.tobytes() if count > 1 else b""
    head = struct.pack("<2sHI", b"II", 42, start)
    return b"".join([head, *strips, directory, b"\0" * 4, lists])


def _unpacked(rows: Samples, width: int, bits: int) -> Samples:
    """Return numbers of ``bits`` bits, ``[height, width]``, from rows of bytes."""
    result = np.empty((len(rows), width), np.uint8 if bits <= 8 else np.uint16)
    weights = (1 << np.arange(bits)[::-1]).astype(np.uint16)
    step = max(1, _AT_ONCE // (width * bits))
    for start in range(0, len(rows), step):
        part = np.unpackbits(rows[start : start + step], axis=1)
        part = part[:, : width * bits].reshape(-1, width, bits)
        result[start : start + step] = part @ weights
    return result


def _levels(numbers: Samples, layout: Layout) -> NDArray[np.uint16]:
    """Return measurements as levels from 0, which is black, to 65535."""
    low, high = float(numbers.min()), float(numbers.max())
    black, white = layout.stated_range or (0.0, 1.0)
    if not np.isfinite(high - low) or (not layout.stated_range and (low < 0 or high > 1)):
        raise ImageError(
            FailureKind.NOT_A_PICTURE,
            f"the file is a TIFF of {layout.kind} numbers from {low:.4g} to {high:.4g}, and does "
            "not state which of them are black and white",
            "scale them to 0..1, or convert it to JPEG or PNG first",
        )
    result = np.empty(numbers.shape, np.uint16)
    step = max(1, _AT_ONCE // (numbers.shape[1] * numbers.shape[2]))
    for start in range(0, len(numbers), step):
        share = (numbers[start : start + step].astype(np.float64) - black) / (white - black)
        result[start : start + step] = np.rint(np.clip(share, 0, 1) * 65535)
    return result


def _colours(numbers: Samples, layout: Layout) -> Samples:
    """Return grey, BGR or BGRA numbers from all the samples of each pixel."""
    white = layout.white
    colour = numbers[:, :, : layout.colours]
    opacity = [place for place, kind in enumerate(layout.extra) if kind in (1, 2)]
    if layout.get(262) == 3:
        table = np.array(layout.tags[320], np.uint16 if white > 255 else np.uint8)
        colour = table.reshape(3, -1).T[colour[:, :, 0]]
    elif layout.get(262) == 5:
        paper = white - colour.astype(np.uint32)
        colour = (paper[:, :, :3] * paper[:, :, 3:] // white).astype(numbers.dtype)
    if not opacity:
        bgr = colour[:, :, ::-1]
        return np.ascontiguousarray(bgr[:, :, 0] if bgr.shape[2] == 1 else bgr)
    alpha = numbers[:, :, layout.colours + opacity[0]]
    return np.dstack([np.broadcast_to(colour[:, :, ::-1], (*alpha.shape, 3)), alpha])


def strips_complaint(data: bytes, header: Header) -> str:
    """Return what is wrong with a strip or tile of a TIFF that is read whole, or nothing.

    libtiff's RGBA interface goes on behind damage, and only prints what it found.
    """
    layout = read_layout(data)
    if (complaint := pillow_complaint(data, header)) or layout.get(259, 1) != 7:
        return complaint
    tables = bytes(layout.tags.get(347, []))[:-2] or b"\xff\xd8"
    for at, count in zip(layout.places, layout.counts, strict=False):
        if complaint := jpeg_complaint(tables + data[at + 2 : at + count]):
            return f"in a strip or tile: {complaint}"
    return ""
