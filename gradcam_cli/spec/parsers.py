"""What was typed becomes values: sizes, lists of numbers, parts of a whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from gradcam_cli.errors import GradcamError

_LARGEST = 8192


def numbers(option: str) -> Callable[[str], tuple[float, ...]]:
    """Return what reads ``1,2,3`` for an option; an empty text is not a number."""

    def parse(typed: str) -> tuple[float, ...]:
        try:
            return tuple(float(each) for each in re.split(r"[,\s]+", typed.strip()) if each)
        except ValueError:
            raise GradcamError(
                f"{option} {typed!r} is not a list of numbers", f"e.g. {option} 123.7,116.8,103.9"
            ) from None

    return parse


def named_file(typed: str) -> tuple[str, Path]:
    """Return the name and the file of ``NAME=FILE.npy``."""
    name, equals, file = typed.partition("=")
    if not (name and equals and file):
        raise GradcamError(f"--input {typed!r} is not NAME=FILE.npy", "e.g. --input age=age.npy")
    return name, Path(file)


def size(typed: str) -> tuple[int, int] | None:
    """Return ``(h, w)`` of ``224`` or ``224x320``; None for an empty text."""
    if not typed.strip():
        return None
    match = re.fullmatch(r"\s*(\d+)(?:\s*[x,]\s*(\d+))?\s*", typed)
    found = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if min(found) < 1 or max(found) > _LARGEST:
        raise GradcamError(
            f"--input-size {typed!r} is not a valid size",
            f"height x width in pixels, up to {_LARGEST}: e.g. 224x224",
        )
    return found


def several(typed: str) -> tuple[str, ...]:
    """Return the several of a list with commas or blanks between them: lower case, once, sorted."""
    return tuple(sorted({each for each in re.split(r"[,\s]+", typed.lower()) if each}))


def part(typed: str) -> tuple[int, int] | None:
    """Return ``(k, n)`` of ``k/n``; None for an empty text."""
    if not typed.strip():
        return None
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", typed)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise GradcamError(
            f"--shard {typed!r} is not a part of a whole", "e.g. --shard 1/4, 2/4, 3/4 and 4/4"
        )
    return int(match[1]), int(match[2])


def batch_size(typed: str) -> int | Literal["auto"]:
    """Return a number of images, or ``auto``."""
    if typed == "auto":
        return "auto"
    if not (typed.isdecimal() and int(typed) > 0):
        raise GradcamError(
            f"--batch-size {typed!r} is neither auto nor a number of at least 1", "e.g. 16"
        )
    return int(typed)
