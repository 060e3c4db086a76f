from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gradcam_cli.errors import FailureKind, ImageError
from gradcam_cli.images.memory import MemoryBudget


def test_no_more_is_taken_than_there_is() -> None:
    room, inside, most = MemoryBudget(100), [0], [0]
    lock = threading.Lock()

    def work(size: int) -> None:
        with room.take(size):
            with lock:
                inside[0] += size
                most[0] = max(most[0], inside[0])
            time.sleep(0.0005)
            with lock:
                inside[0] -= size

    sizes = random.Random(1).choices(range(1, 90), k=200)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, sizes))
    assert 60 < most[0] <= 100


def test_what_is_larger_than_all_is_done_alone() -> None:
    room, order = MemoryBudget(100), []

    def large() -> None:
        with room.take(1000):
            order.append("large")

    with room.take(1):
        thread = threading.Thread(target=large)
        thread.start()
        thread.join(0.05)
        assert order == []
        order.append("small")
    thread.join()
    assert order == ["small", "large"]


def test_room_is_given_back_after_an_error() -> None:
    room = MemoryBudget(100)
    for _ in range(3):
        with pytest.raises(KeyError), room.take(100):
            raise KeyError


@pytest.mark.parametrize(
    ("kind", "size", "outcome"),
    [
        ("numpy", 1 << 40, "too-large"),
        ("opencv", 1 << 40, "too-large"),
        ("numpy", 1, "MemoryError"),
        ("opencv", 1, "MemoryError"),
    ],
)
def test_no_memory_left_is_a_large_picture_s_error_or_the_machine_s(
    kind: str, size: int, outcome: str
) -> None:
    """In a process of its own, which is refused more than half a gigabyte."""
    code = f"""
import resource, cv2, numpy as np
from gradcam_cli.errors import ImageError
from gradcam_cli.images.memory import MemoryBudget
pixels = np.zeros((1000, 1000), np.uint8)
most = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + (1 << 29)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    with MemoryBudget().take({size}):
        if {kind!r} == "numpy":
            np.ones(1 << 31, np.uint8)
        else:
            cv2.resize(pixels, (40_000, 40_000))
except ImageError as error:
    print(error.kind.value)
except MemoryError as error:
    print("MemoryError")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{outcome}\n"


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="mine"), MemoryBudget().take(1):
        raise ValueError("mine")
    with pytest.raises(ImageError, match="own"), MemoryBudget().take(1):
        raise ImageError(FailureKind.EMPTY, "its own")
