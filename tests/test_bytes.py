"""The same list and settings give the same bytes, whatever happens on the way there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from gradcam_cli.store.reading import manifest_name
from tests import processes
from tests.processes import LITE0, SAMPLES, records

BAD = (1, 4, 6, 8)
"""Which places of the list of eleven are no pictures: blocks of four have one or two each."""

ALONE = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
ELSEWHERE = {"LC_ALL": "C", "COLUMNS": "200", "TF_CPP_MIN_LOG_LEVEL": "0", "PYTHONHASHSEED": "7"}

Saved = dict[str, bytes | dict[str, Any]]


def bad(place: int, whole: bytes) -> bytes:
    """An empty file, text, half a JPEG that seems to end, and one that does not."""
    half = whole[: len(whole) // 2]
    return {1: b"", 4: b"no picture", 6: half + b"\xff\xd9", 8: half}[place]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eleven files of which seven are pictures, and ``whole``, where all are."""
    folder = tmp_path_factory.mktemp("bytes")
    samples = sorted(SAMPLES.glob("*.jpg"))
    for place in range(11):
        data = samples[place % len(samples)].read_bytes()
        for name, content in (
            ("whole", data),
            ("list", bad(place, data) if place in BAD else data),
        ):
            path = folder / name / "in" / f"{place:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, ns=(0, place))
    return folder


def gradcam(
    folder: Path,
    output: Path,
    *words: str,
    env: Mapping[str, str] | None = None,
    stderr: int | IO[str] = subprocess.PIPE,
    code: int = 3,
) -> str:
    """Run over a folder's list in blocks of four; returns what was said on a pipe."""
    asked = (*LITE0, "-c", "top2", "-c", "lemon", "--save", "overlay,array", "--batch-size", "4")
    whole = ("run", "in", *asked, "-o", str(output), *words)
    if env is None and stderr == subprocess.PIPE:
        result = processes.gradcam(*whole, cwd=folder)
        assert result.returncode == code, result.stderr
        return result.stderr
    result = subprocess.run(
        [sys.executable, "-m", "gradcam_cli", *whole],
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == code, result.stderr
    return result.stderr or ""


def saved(output: Path) -> Saved:
    """All files by name and all records by source, apart from times and the folder's name."""
    typed = json.dumps(str(output)).encode()
    files: Saved = {
        str(path.relative_to(output)): path.read_bytes().replace(typed, b'"out"')
        for path in output.rglob("*.*")
        if path.is_file() and not path.name.startswith(".")
    }
    del files["manifest.jsonl"]
    return files | {
        record["source"]: {**record, "seconds": 0, "written_ns": 0} for record in records(output)
    }


@pytest.fixture(scope="module")
def once(here: Path) -> Saved:
    """What a run in one go leaves behind, its words on a pipe."""
    gradcam(here / "list", here / "once")
    found = saved(here / "once")
    assert [record["status"] for record in records(here / "once")] == [
        "failed" if place in BAD else "ok" for place in range(11)
    ]
    return found


def test_failures_change_nothing_for_the_others_nor_do_threads_or_where_words_go(
    here: Path, once: Saved, tmp_path: Path
) -> None:
    with (tmp_path / "words").open("w", encoding="utf-8") as words:
        gradcam(here / "whole", tmp_path / "out", env=ALONE, stderr=words, code=0)
    whole = saved(tmp_path / "out")
    for place in range(11):
        name = f"in/{place:02d}.jpg"
        mine = {key: value for key, value in once.items() if key.startswith(name)}
        if place not in BAD:
            assert len(mine) == 7
            assert {key: whole[key] for key in mine} == mine


def test_a_run_that_gave_up_goes_on_to_the_same_bytes(
    here: Path, once: Saved, tmp_path: Path
) -> None:
    gradcam(here / "list", tmp_path, "--max-failures", "1", stderr=subprocess.DEVNULL)
    assert len(records(tmp_path)) < 11
    gradcam(here / "list", tmp_path, env=ELSEWHERE, stderr=subprocess.DEVNULL)
    assert saved(tmp_path) == once


def test_what_was_lost_comes_back_to_the_last_bit(here: Path, once: Saved, tmp_path: Path) -> None:
    """Two records of the first block, one file of the second and one of the third."""
    output = tmp_path / "out"
    shutil.copytree(here / "once", output)
    manifest = output / manifest_name()
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[2:3] + lines[4:]))
    for name in ("in/05.jpg.top2.npy", "in/10.jpg.top1.jpg"):
        (output / name).unlink()
    with (tmp_path / "words").open("w", encoding="utf-8") as words:
        gradcam(here / "list", output, env=ALONE, stderr=words)
    assert saved(output) == once


def test_shards_agree_in_classes_and_nearly_in_numbers(
    here: Path, once: Saved, tmp_path: Path
) -> None:
    for shard in ("1/2", "2/2"):
        gradcam(here / "list", tmp_path, "--shard", shard)
    parts = [
        json.loads(line)
        for k in (1, 2)
        for line in (tmp_path / manifest_name((k, 2))).read_text(encoding="utf-8").splitlines()
    ]
    assert len(parts) == 11
    for record in parts:
        wanted: Any = once[record["source"]]
        assert record["status"] == wanted["status"]
        assert [row["index"] for row in record["predictions"]] == [
            row["index"] for row in wanted["predictions"]
        ]
        for mine, other in zip(record["explanations"], wanted["explanations"], strict=True):
            assert (mine["index"], mine["files"]) == (other["index"], other["files"])
            name = mine["files"]["array"]
            one, two = np.load(tmp_path / name), np.load(here / "once" / name)
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-5 * float(np.ptp(two)))
