"""Damaged pictures, read by the program and by Pillow, in workers that may crash or hang."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import select
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from gradcam_cli.errors import ImageError
from gradcam_cli.images.files import read_picture
from tests.mutations import mutate, seeds

__all__ = ["damaged", "outcomes"]

_SECONDS, _MEGABYTES, _A_WORKER = 10, 500, 100
_DIFFERENCE = 4.0
"""The mean difference of levels from which pictures are not the same."""


def damaged(seed: int, number: int) -> tuple[str, bytes]:
    """Return the picture of a number, named after the whole one that it was."""
    rng = random.Random(f"{seed} {number}")
    name = rng.choice(list(seeds()))
    return name, mutate(rng, seeds()[name])


def outcomes(seed: int, numbers: range) -> Iterator[tuple[int, str]]:
    """Yield how each picture ended; capitals must not happen. A worker reads many."""
    waiting = list(numbers)
    seeds()  # made once, before the forks
    while waiting:
        part = waiting[:_A_WORKER]
        done = 0
        for number, ended in _worker(seed, part):
            done += 1
            yield number, ended
        del waiting[:done]


def _worker(seed: int, numbers: list[int]) -> Iterator[tuple[int, str]]:
    here, there = os.pipe()
    worker = os.fork()
    if worker == 0:
        try:
            _read_all(seed, numbers, there)
        finally:
            os._exit(0)
    os.close(there)
    rest, hung, answered = b"", False, 0
    while True:
        ready, _, _ = select.select([here], [], [], _SECONDS)
        if not ready:
            hung = True
            os.kill(worker, signal.SIGKILL)
            break
        piece = os.read(here, 1 << 16)
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            answered += 1
            number, ended = json.loads(line)
            yield number, ended
    os.close(here)
    _, status = os.waitpid(worker, 0)
    if answered < len(numbers):
        code = os.waitstatus_to_exitcode(status)
        yield numbers[answered], "HANG: read for too long" if hung else f"CRASH: ended by {code}"


def _read_all(seed: int, numbers: list[int], there: int) -> None:
    opened: list[str] = []
    watching = False

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if watching and name == "open" and isinstance(arguments[0], str | bytes):
            opened.append(os.fsdecode(arguments[0]))
        elif watching and name.startswith(("socket.", "subprocess.", "os.exec", "os.system")):
            opened.append(name)

    sys.addaudithook(hook)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * resource.getpagesize() + 3 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            name, data = damaged(seed, number)
            path = Path(folder) / name
            path.write_bytes(data)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            opened.clear()
            watching = True
            pixels, ended = _ours(path)
            watching = False
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if {one for one in opened if not one.startswith(("/proc/", "/sys/", sys.prefix))} - {
                str(path)
            }:
                ended = "ELSEWHERE: touched what is not its own"
            elif after - before > _MEGABYTES * 1024:
                ended = "MEMORY: took too much"
            elif ended in ("done", "failed"):
                ended = _compared(ended, pixels, data)
            os.write(there, (json.dumps([number, ended]) + "\n").encode())


def _ours(path: Path) -> tuple[Any, str]:
    try:
        picture = read_picture(path)
    except ImageError:
        return None, "failed"
    except MemoryError:
        return None, "MEMORY: none left"
    except Exception as error:  # noqa: BLE001
        return None, f"BUG: {type(error).__name__}"
    return picture.pixels, "warned" if picture.warning else "done"


def _compared(ended: str, pixels: Any, data: bytes) -> str:
    """Hold what the program read against Pillow's first frame."""
    theirs = _theirs(data)
    if theirs is None:
        return "failed, as with Pillow" if ended == "failed" else "done, Pillow refuses it"
    if ended == "failed":
        return "failed, Pillow reads it"
    if theirs.shape != pixels.shape:
        return "done, of another size than Pillow's"
    difference = np.abs(theirs.astype(int) - pixels).mean()
    return "done, other than Pillow's" if difference > _DIFFERENCE else "done, as by Pillow"


def _theirs(data: bytes) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data))
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                layer = image.convert("RGBA")
                white = Image.new("RGBA", layer.size, "white")
                image = Image.alpha_composite(white, layer)
            if image.mode.startswith(("I", "F")):
                levels = np.asarray(image, np.float64) / (65535 if image.mode != "F" else 1)
                grey = np.clip(np.rint(levels * 255), 0, 255).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, 2)
            return np.asarray(image.convert("RGB"))
    except Exception:  # noqa: BLE001  it raises whatever comes to its mind
        return None
