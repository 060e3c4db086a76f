"""Files become upright RGB pixels."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import FailureKind, ImageError
from gradcam_cli.images.decode import decode
from gradcam_cli.images.foreign import HEIC_HINT, foreign
from gradcam_cli.images.formats import read_header
from gradcam_cli.images.header import HEAD, Header, sniff
from gradcam_cli.images.memory import MemoryBudget
from gradcam_cli.regular import open_regular
from gradcam_cli.sources.endings import heic_installed
from gradcam_cli.spelling import nearby

Pixels = NDArray[np.uint8]

MOST_PIXELS = 300_000_000
"""Images with more pixels are refused before they are decoded."""

_MOST_BYTES = 2**31 - 1  # what OpenCV can be handed as one buffer
_BYTES_A_PIXEL = 11  # four levels of 16 bits, as decoded, and three of 8 bits
_BYTES_A_PIXEL_BY_PILLOW = 22  # libwebp holds two screens of four levels besides
_COPIES = 5  # of a TIFF's numbers: as bytes, turned, put together, as levels, as colours
_FILES, _PIXELS = MemoryBudget(), MemoryBudget()
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Faults of the process or the machine, not of any one image."""
_AGAIN = "copy or download it again"
_CONVERT = "convert it to JPEG or PNG first"


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image: ``pixels`` uint8 RGB ``[H, W, 3]``, upright.

    ``source`` is the path as the user knows it; ``sha256`` the hex digest of the file's bytes,
    ``size`` and ``mtime_ns`` the file's length and time of change. ``width`` and ``height`` are
    the upright image's own, also where ``pixels`` are dropped. ``warning`` says what may be
    wrong with an image that could be read all the same.
    """

    source: str
    pixels: Pixels
    sha256: str
    width: int
    height: int
    size: int
    mtime_ns: int
    warning: str = ""


def read_picture(path: Path, source: str = "", *, white: int = 0) -> Picture:
    """Read an image file; what is in it decides, not its name. Animations give their first frame.

    Transparent pixels are laid on white, which is what viewers and web pages show. Deep levels are
    scaled so that white, as the header states it, becomes 255; 16-bit ones that state none by
    ``white`` or, where it is 0, by 65535.

    Raises ImageError: ``vanished``, ``unreadable`` (also for anything that is not a regular file,
    without opening it), ``empty``, ``not-a-picture``, ``truncated`` (the file is not whole; the
    decoder would fill the rest with grey), ``too-large``.
    """
    with _FILES.take(_size(path)):
        data, facts = _read(path)
        header = read_header(data)
        _check(header)
        each = _BYTES_A_PIXEL_BY_PILLOW if header.by_pillow else _BYTES_A_PIXEL
        each += _COPIES * header.sample_bytes
        with _PIXELS.take(header.width * header.height * each):
            stored, warning = decode(data, header, white)
            pixels = _upright(stored, header.orientation)
        sha256 = hashlib.sha256(data).hexdigest()
    height, width = pixels.shape[:2]
    return Picture(
        source=source or os.fspath(path),
        pixels=pixels,
        sha256=sha256,
        width=width,
        height=height,
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        warning=warning,
    )


def _size(path: Path) -> int:
    """Return a file's length, without waiting on pipes."""
    with _reported():
        facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        folder = stat.S_ISDIR(facts.st_mode)
        what = "a folder that cannot be listed" if folder else "not a regular file"
        raise ImageError(FailureKind.UNREADABLE, f"it is {what}", "name a picture file")
    return facts.st_size


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    """Return a file's bytes and facts, without reading what is not an image."""
    with _reported(), open_regular(path) as file:
        facts = os.fstat(file.fileno())
        head = file.read(HEAD)
        _check_head(head, facts.st_size)
        return head + file.read(), facts


@contextmanager
def _reported() -> Iterator[None]:
    """Turn what the system says of a file into an ImageError."""
    try:
        yield
    except FileNotFoundError as error:
        hint = nearby(Path(error.filename))
        if not os.fsdecode(error.filename).isprintable():
            hint += ", which is not UTF-8: a list in another encoding must be saved as UTF-8"
        raise ImageError(FailureKind.VANISHED, "the file does not exist", hint) from error
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in _OURS:
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(FailureKind.UNREADABLE, f"the file cannot be read: {reason}") from error


def _check_head(head: bytes, size: int) -> None:
    if not head:
        raise ImageError(FailureKind.EMPTY, "the file is empty", _AGAIN)
    name = sniff(head)
    if name == "HEIF" and not heic_installed():
        raise ImageError(FailureKind.NOT_A_PICTURE, "the file is a HEIF (HEIC) picture", HEIC_HINT)
    if not name:
        what, hint = foreign(head)
        raise ImageError(FailureKind.NOT_A_PICTURE, f"the file is {what or 'not a picture'}", hint)
    if size > _MOST_BYTES:
        raise ImageError(FailureKind.TOO_LARGE, f"the file has {size} bytes", "use a smaller copy")


def _check(header: Header) -> None:
    if header.fault:
        message = f"the {header.format} file is not whole: {header.fault}"
        raise ImageError(FailureKind.TRUNCATED, message, _AGAIN)
    if header.refusal:
        raise ImageError(FailureKind.NOT_A_PICTURE, f"the file is {header.refusal}", _CONVERT)
    if header.width <= 0 or header.height <= 0:
        raise ImageError(FailureKind.NOT_A_PICTURE, f"the {header.format} file declares no size")
    if header.width * header.height > MOST_PIXELS:
        raise ImageError(
            FailureKind.TOO_LARGE,
            f"the picture has {header.width} x {header.height} pixels, "
            f"more than {MOST_PIXELS // 1_000_000} million",
            "use a smaller copy",
        )


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = _array(cv2.transpose(pixels))
    # cv2.flip: 0 exchanges top and bottom, 1 left and right, -1 both.
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else _array(cv2.flip(pixels, flip))


def _array(value: object) -> Pixels:
    return np.asarray(value, np.uint8)
