from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from gradcam_cli.images.files import read_picture
from gradcam_cli.images.words import overheard
from tests.streams import stderr_at


def jpegs() -> tuple[bytes, bytes]:
    """A sound JPEG, and one of which libjpeg says that there are bytes too many."""
    cells = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    pixels = cv2.resize(cells, (320, 240))
    restarts = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    good = cv2.imencode(".jpg", pixels, restarts)[1].tobytes()
    at = good.index(b"\xff\xd1", 600)
    return good, good[:at] + b"\x11\x22\x33" + good[at:]


def test_a_complaint_is_laid_at_the_right_door(tmp_path: Path) -> None:
    good, bad = jpegs()
    for number in range(120):
        (tmp_path / f"{number}.jpg").write_bytes(bad if number % 2 else good)

    def warning(number: int) -> str:
        return read_picture(tmp_path / f"{number}.jpg").warning

    with stderr_at(tmp_path / "words"), ThreadPoolExecutor(16) as pool:
        said = list(pool.map(warning, range(120)))
    assert set(said[::2]) == {""}
    assert all(text.startswith("Corrupt JPEG data: 3 extraneous") for text in said[1::2])


def test_whoever_is_silent_is_not_blamed_for_a_neighbour(tmp_path: Path) -> None:
    end = threading.Event()

    def complain() -> None:
        os.write(2, b"bad\n")
        time.sleep(0.001)

    def talk() -> set[str]:
        return {overheard(complain)[1] for _ in iter(end.is_set, True)}

    with stderr_at(tmp_path / "words"), ThreadPoolExecutor(2) as pool:
        talkers = [pool.submit(talk) for _ in range(2)]
        said = {overheard(lambda: time.sleep(0.005))[1] for _ in range(40)}
        end.set()
        assert said == {""}
        assert {word for talker in talkers for word in talker.result()} == {"bad"}


def test_what_is_said_once_only_was_somebody_else(tmp_path: Path) -> None:
    times = 0

    def decode() -> int:
        nonlocal times
        times += 1
        if times == 1:
            os.write(2, b"another picture's trouble\n")
        return times

    with stderr_at(tmp_path / "words"):
        assert overheard(decode) == (1, "")
        assert overheard(lambda: os.write(2, b"mine\nmore\n")) == (10, "mine")


def test_nothing_is_heard_where_there_is_no_file() -> None:
    reader, writer = os.pipe()
    with stderr_at(writer):
        assert overheard(lambda: os.write(2, b"gone\n")) == (5, "")
    os.close(reader)
    os.close(writer)
