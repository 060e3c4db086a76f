from __future__ import annotations

import os
import random
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.errors import ImageError
from gradcam_cli.images import files
from gradcam_cli.images.encode import encode
from gradcam_cli.images.files import read_picture

DATA = Path(__file__).parent / "data"
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
FADED_BLUE = (127, 127, 255)
PLAIN = (RED, GREEN, BLUE, YELLOW)

Array = NDArray[np.uint8]


def kind_of(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_picture(path)
    assert caught.value.message
    return caught.value.kind


def quadrants(height: int = 24, width: int = 40) -> Array:
    pixels = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    pixels[:top, :left], pixels[:top, left:] = RED, GREEN
    pixels[top:, :left], pixels[top:, left:] = BLUE, YELLOW
    return pixels


def centres(pixels: Array) -> list[tuple[int, ...]]:
    h, w = pixels.shape[:2]
    spots = [(h // 4, w // 4), (h // 4, 3 * w // 4), (3 * h // 4, w // 4), (3 * h // 4, 3 * w // 4)]
    return [tuple(int(level) for level in pixels[spot]) for spot in spots]


def upright(stored: Array, orientation: int) -> Array:
    """The EXIF standard's table: where the stored row 0 and column 0 are seen."""
    h, w = stored.shape[:2]
    seen: Callable[[int, int], tuple[int, int]] = {
        1: lambda r, c: (r, c),
        2: lambda r, c: (r, w - 1 - c),
        3: lambda r, c: (h - 1 - r, w - 1 - c),
        4: lambda r, c: (h - 1 - r, c),
        5: lambda r, c: (c, r),
        6: lambda r, c: (c, h - 1 - r),
        7: lambda r, c: (w - 1 - c, h - 1 - r),
        8: lambda r, c: (w - 1 - c, r),
    }[orientation]
    result = np.zeros((w, h, 3) if orientation > 4 else (h, w, 3), np.uint8)
    for r in range(h):
        for c in range(w):
            result[seen(r, c)] = stored[r, c]
    return result


def exif(orientation: int, order: str) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    return (
        mark
        + struct.pack(order + "HIH", 42, 8, 2)
        + struct.pack(order + "HHIHH", 0x0106, 3, 1, 2, 0)
        + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
        + struct.pack(order + "I", 0)
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def jpeg_with(pixels: Array, block: bytes) -> bytes:
    data = encode(pixels, "jpg", 100)
    body = b"Exif\0\0" + block
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def png_with(pixels: Array, block: bytes) -> bytes:
    data = encode(pixels, "png")
    return data[:33] + chunk(b"eXIf", block) + data[33:]


def webp_with(pixels: Array, block: bytes) -> bytes:
    data = encode(pixels, "webp", 101)  # above 100 OpenCV writes without loss
    place = b"".join(int(side - 1).to_bytes(3, "little") for side in pixels.shape[1::-1])
    more = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + place
    tail = b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) % 2)
    body = b"WEBP" + more + data[12:] + tail
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff_with(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], orientation: int, order: str
) -> bytes:
    """An uncompressed TIFF of 8 or 16 bits, grey, RGB or RGBA with straight alpha."""
    height, width = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = pixels.itemsize * 8
    body = pixels.astype(f"{order}u{pixels.itemsize}").tobytes()
    count = 10 if samples == 4 else 9
    after = 8 + 2 + 12 * count + 4
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, samples, after if samples > 2 else bits),
        (259, 3, 1, 1),
        (262, 3, 1, 2 if samples > 2 else 1),
        (273, 4, 1, after + 8),
        (274, 3, 1, orientation),
        (277, 3, 1, samples),
        (279, 4, 1, len(body)),
        *([(338, 3, 1, 2)] if samples == 4 else []),
    ]
    data = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, count)
    for tag, kind, number, value in tags:
        short = kind == 3 and number == 1
        packed = struct.pack(order + "HH", value, 0) if short else struct.pack(order + "I", value)
        data += struct.pack(order + "HHI", tag, kind, number) + packed
    return data + struct.pack(order + "I4H", 0, bits, bits, bits, bits) + body


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "tiff16"])
def test_exif_orientation_is_undone(
    tmp_path: Path, kind: str, order: str, orientation: int
) -> None:
    stored = quadrants(16, 48)
    stored[:2, :2] = 0  # so that no turn looks like another
    block = exif(orientation, order)
    data = {
        "jpeg": lambda: jpeg_with(stored, block),
        "png": lambda: png_with(stored, block),
        "webp": lambda: webp_with(stored, block),
        "tiff": lambda: tiff_with(stored, orientation, order),
        "tiff16": lambda: tiff_with(stored.astype(np.uint16) * 257, orientation, order),
    }[kind]()
    path = tmp_path / "picture"
    path.write_bytes(data)
    picture = read_picture(path)
    expected = upright(stored, orientation)
    assert (picture.height, picture.width) == expected.shape[:2]
    if kind == "jpeg":
        assert centres(picture.pixels) == pytest.approx(np.array(centres(expected)), abs=6)
        first = [int(p.sum()) < 200 for p in (picture.pixels[1, 1], picture.pixels[-2, -2])]
        assert first == [not expected[1, 1].any(), not expected[-2, -2].any()]
    else:
        np.testing.assert_array_equal(picture.pixels, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_turns_are_undone(orientation: int) -> None:
    picture = read_picture(DATA / f"turned{orientation}.avif")
    expected = upright(quadrants(), orientation)
    assert picture.pixels.shape == expected.shape
    assert np.abs(picture.pixels.astype(int) - expected)[::5, ::5].mean() < 8
    assert np.abs(np.array(centres(picture.pixels)) - centres(expected)).max() <= 4


@pytest.mark.parametrize("block", [b"", b"II*\0", b"nonsense" * 9, exif(0, "<"), exif(9, ">")])
def test_a_senseless_exif_block_turns_nothing(tmp_path: Path, block: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_with(quadrants(), block))
    np.testing.assert_array_equal(read_picture(path).pixels, quadrants())


@pytest.mark.parametrize(
    ("name", "colours"),
    [
        *[(f"palette.{end}", PLAIN) for end in ("png", "gif", "bmp", "tif")],
        *[(f"animated.{end}", PLAIN) for end in ("png", "gif", "webp")],
        *[(name, PLAIN) for name in ("pages.tif", "progressive.jpg", "plain.jp2")],
        *[(name, PLAIN) for name in ("cmyk.jpg", "ycck.jpg", "cmyk.tif")],
        *[(f"hole{end}", (WHITE, GREEN, BLUE, YELLOW)) for end in (".png", ".gif", "_rgb.png")],
        ("hole_grey.png", (WHITE,) * 4),
        *[(f"bilevel.{end}", (BLACK, WHITE) * 2) for end in ("png", "gif", "bmp", "tif")],
        *[
            (f"alpha.{end}", (WHITE, GREEN, FADED_BLUE, YELLOW))
            for end in ("png", "webp", "tif", "avif")
        ],
    ],
)
def test_colours_of_every_kind_of_file(name: str, colours: tuple[tuple[int, ...], ...]) -> None:
    picture = read_picture(DATA / name)
    assert picture.pixels.shape == (24, 40, 3)
    assert np.abs(np.array(centres(picture.pixels)) - colours).max() <= 3


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_rounded(tmp_path: Path, kind: str, channels: int) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(128, 512)
    deep = np.dstack([levels, levels[::-1], levels[:, ::-1]]) if channels > 1 else levels
    if channels == 4:
        deep = np.dstack([deep, np.full_like(levels, 65535)])
    order = [2, 1, 0, 3][:channels]
    path = tmp_path / "deep"
    written = deep[:, :, order] if channels > 1 else deep
    png = bytes(cv2.imencode(".png", np.ascontiguousarray(written))[1])
    path.write_bytes(png if kind == "png" else tiff_with(deep, 1, "<"))
    expected = np.floor(deep.astype(np.float64) / 257 + 0.5).astype(np.uint8)
    expected = expected[:, :, :3] if channels > 1 else np.dstack([expected] * 3)
    np.testing.assert_array_equal(read_picture(path).pixels, expected)


def test_straight_alpha_of_sixteen_bit_tiff_is_laid_on_white(tmp_path: Path) -> None:
    deep = np.zeros((4, 4, 4), np.uint16)
    deep[..., 0], deep[..., 3] = 65535, 32768
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_with(deep, 1, "<"))
    assert np.abs(read_picture(path).pixels.astype(int) - (255, 127, 127)).max() <= 1


def test_transparency_is_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rgba = rng.integers(0, 256, (64, 64, 4), dtype=np.uint8)
    rgba[0, :, 3], rgba[1, :, 3] = 0, 255
    path = tmp_path / "a.png"
    path.write_bytes(bytes(cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1]))
    alpha = rgba[..., 3:].astype(np.float64) / 255
    exact = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(read_picture(path).pixels - exact).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("name", ["a.jpg", "a.txt", "a"])
def test_content_decides_not_the_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encode(quadrants(), "png"))
    picture = read_picture(path, "shown")
    np.testing.assert_array_equal(picture.pixels, quadrants())
    assert (picture.source, picture.size) == ("shown", path.stat().st_size)
    assert picture.mtime_ns == path.stat().st_mtime_ns
    assert picture.warning == ""


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"hello, I am a text file\n", "not-a-picture"),
        (b"P", "not-a-picture"),
        (b"\0" * 5000, "not-a-picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "truncated"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not-a-picture"),
        (b"\xff\xd8\xff\xd9", "truncated"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"GIF89a", "truncated"),
        (b"BM", "truncated"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, data: bytes, kind: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert kind_of(path) == kind


def test_special_files_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("missing")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "s.jpg"))
        for name in ("pipe.jpg", "folder.jpg", "s.jpg", "circle.jpg"):
            assert kind_of(tmp_path / name) == "unreadable"
    assert kind_of(Path("/dev/zero")) == "unreadable"
    assert kind_of(tmp_path / "nowhere.jpg") == "vanished"
    assert kind_of(tmp_path / "missing.jpg") == "vanished"
    assert kind_of(tmp_path / "a\0b.jpg") == "unreadable"
    assert kind_of(tmp_path / ("n" * 300 + ".jpg")) == "unreadable"


def bombs() -> dict[str, bytes]:
    """Files of a few bytes that declare 20000 x 20000 pixels."""
    side = 20000
    png = encode(quadrants(), "png")
    ihdr = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    jpg = bytearray(encode(quadrants(), "jpg", 90))
    at = jpg.index(b"\xff\xc0") + 5
    jpg[at : at + 4] = struct.pack(">HH", side, side)
    gif = bytearray((DATA / "palette.gif").read_bytes())
    gif[6:10] = struct.pack("<HH", side, side)
    tif = bytearray(tiff_with(quadrants(), 1, "<"))
    tif[18:22] = tif[30:34] = struct.pack("<I", side)
    bmp = bytearray(cv2.imencode(".bmp", quadrants())[1].tobytes())
    bmp[18:26] = struct.pack("<ii", side, -side)
    bmp[30:34] = struct.pack("<I", 1)  # run-length coded, so nothing is missing
    jp2 = bytearray((DATA / "plain.jp2").read_bytes())
    at = jp2.index(b"\xff\x4f\xff\x51") + 8
    jp2[at : at + 8] = struct.pack(">II", side, side)
    avif = bytearray((DATA / "turned1.avif").read_bytes())
    at = avif.index(b"ispe") + 8
    avif[at : at + 8] = struct.pack(">II", side, side)
    return {
        "png": png[:8] + chunk(b"IHDR", ihdr) + png[33:],
        "jpg": bytes(jpg),
        "gif": bytes(gif),
        "tif": bytes(tif),
        "bmp": bytes(bmp),
        "jp2": bytes(jp2),
        "avif": bytes(avif),
    }


@pytest.mark.parametrize("kind", list(bombs()))
def test_bombs_are_refused_from_the_header(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(bombs()[kind])
    monkeypatch.delattr(cv2, "imdecode")  # reaching it is a failure of another kind
    with pytest.raises(ImageError, match="20000 x 20000") as caught:
        read_picture(path)
    assert caught.value.kind == "too-large"


def test_the_limit_is_on_the_number_of_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(quadrants(), "png"))
    monkeypatch.setattr(files, "MOST_PIXELS", 24 * 40)
    assert read_picture(path).width == 40
    monkeypatch.setattr(files, "MOST_PIXELS", 24 * 40 - 1)
    assert kind_of(path) == "too-large"


def textured() -> Array:
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (96, 64)), np.uint8)


def wholes() -> dict[str, bytes]:
    pixels = textured()
    bgr = pixels[:, :, ::-1].copy()
    made = {end: cv2.imencode(end, bgr)[1].tobytes() for end in (".ppm", ".bmp", ".jp2", ".avif")}
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    restarts = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    return {
        **made,
        ".jpg": encode(pixels, "jpg", 90),
        "progressive.jpg": cv2.imencode(".jpg", bgr, progressive)[1].tobytes(),
        "restarts.jpg": cv2.imencode(".jpg", bgr, restarts)[1].tobytes(),
        "turned.jpg": jpeg_with(pixels, exif(6, ">")),
        ".png": encode(pixels, "png"),
        ".webp": encode(pixels, "webp", 90),
        "lossless.webp": encode(pixels, "webp", 101),
        ".tif": tiff_with(pixels, 1, ">"),
        "lzw.tif": cv2.imencode(".tif", bgr)[1].tobytes(),
        ".gif": cv2.imencode(".gif", bgr)[1].tobytes(),
        **{name: (DATA / name).read_bytes() for name in ("palette.gif", "cmyk.jpg", "bilevel.tif")},
    }


@pytest.mark.parametrize("name", list(wholes()))
def test_a_cut_file_never_gives_a_picture(tmp_path: Path, name: str) -> None:
    whole = wholes()[name]
    path = tmp_path / "a"
    path.write_bytes(whole)
    complete, kinds = read_picture(path).pixels, set()
    for length in sorted({*range(1, 40), *range(40, len(whole) - 1, 1 + len(whole) // 150)}):
        path.write_bytes(whole[:length])
        try:
            pixels = read_picture(path).pixels
        except ImageError as error:
            kinds.add(error.kind)
        else:
            # What was cut off was no part of the picture: a trailer, or a last byte of padding.
            np.testing.assert_array_equal(pixels, complete)
            assert length > len(whole) - 24, length
    assert kinds <= {"truncated", "not-a-picture"}
    assert "truncated" in kinds


@pytest.mark.parametrize("name", [".jpg", "progressive.jpg", ".png", ".gif", ".jp2", ".avif"])
def test_a_file_cut_and_filled_with_zeros_never_gives_a_picture(tmp_path: Path, name: str) -> None:
    whole = wholes()[name]
    path = tmp_path / "a"
    for length in range(30, len(whole) - 30, 1 + len(whole) // 40):
        path.write_bytes(whole[:length] + b"\0" * (len(whole) - length))
        assert kind_of(path) in ("truncated", "not-a-picture"), length


@pytest.mark.parametrize("name", list(wholes()))
def test_damaged_files_give_a_picture_or_an_error(tmp_path: Path, name: str) -> None:
    whole = wholes()[name]
    chance = random.Random(name)
    path = tmp_path / "a"
    for _ in range(120):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            # Headers are where the damage is worst.
            place = chance.randrange(chance.choice((64, 256, len(data))))
            data[min(place, len(data) - 1)] = chance.randrange(256)
        if chance.random() < 0.3:
            at = chance.randrange(len(data))
            del data[at : at + chance.randrange(1, 40)]
        path.write_bytes(data)
        try:
            picture = read_picture(path)
        except ImageError:
            continue
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.ndim == 3
        assert picture.pixels.shape[2] == 3


def test_a_png_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    data = bytearray(encode(textured(), "png"))
    data[len(data) // 2] ^= 1
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert kind_of(path) == "truncated"


def test_an_end_painted_grey_by_the_decoder_is_no_picture(tmp_path: Path) -> None:
    pixels = cv2.resize(textured(), (960, 640))
    path = tmp_path / "a.jpg"
    data = encode(pixels, "jpg", 90)
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    assert kind_of(path) == "truncated"
    path.write_bytes(data)
    assert read_picture(path).warning == ""
