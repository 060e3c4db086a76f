"""Damaged files of every format: what is read from them is what an independent reader reads."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gradcam_cli.errors import ImageError
from gradcam_cli.images import files
from gradcam_cli.images.files import read_picture
from tests.images.against_pillow import compare
from tests.mutations import mutate, seeds
from tests.streams import stderr_at


@pytest.mark.parametrize("ending", sorted({name.rpartition(".")[2] for name in seeds()}))
def test_damaged_files_against_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(files, "MOST_PIXELS", 4_000_000)
    names = [name for name in seeds() if name.endswith(ending)]
    ends: Counter[str] = Counter()
    for name in names:
        rng = random.Random(name)
        ends.update(compare(name, rng, tmp_path) for _ in range(25))
    assert ends["same"] > 0
    assert ends["refused by both"] > 0


def readings(folder: Path, data: list[bytes]) -> list[tuple[str, str]]:
    def one(number: int) -> tuple[str, str]:
        path = folder / f"{number}"
        path.write_bytes(data[number])
        try:
            picture = read_picture(path)
        except ImageError as error:
            return error.kind, error.message
        return picture.warning, str(np.asarray(picture.pixels).sum())

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, range(len(data))))


def test_no_reading_depends_on_where_decoders_complain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_PIXELS", 4_000_000)
    rng = random.Random(3)
    chosen = ["plain.jpg", "progressive.jpg", "jpeg.tif", "lzw.tif", "group4.tif", "plain.png"]
    data = [mutate(rng, seeds()[name]) for name in chosen for _ in range(15)]
    with stderr_at(tmp_path / "complaints"):
        heard = readings(tmp_path, data)
    with stderr_at(os.devnull):
        silent = readings(tmp_path, data)
    assert heard == silent
    assert len({warning for warning, _ in heard}) > 4


def test_jpeg_and_png_are_read_without_pillow(tmp_path: Path) -> None:
    for name in ("plain.jpg", "plain.png"):
        (tmp_path / name).write_bytes(seeds()[name])
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from gradcam_cli.images.files import read_picture\n"
        "for name in ('plain.jpg', 'plain.png'):\n    read_picture(Path(name))\n"
        "print([name for name in sys.modules if name.startswith('PIL')])\n"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
