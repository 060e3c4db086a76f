"""Runs are killed, interrupted and starved; what they leave behind must be sound."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from gradcam_cli.images.encode import encode
from gradcam_cli.store.folder import open_manifest
from tests.processes import gradcam, problem, records
from tests.tiny import noise

COUNT = 60
BROKEN = {7, 31}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with pictures in three folders, two of them no pictures, and one large."""
    folder = tmp_path_factory.mktemp("attack")
    for number in range(COUNT):
        path = folder / "in" / "abz"[number * 3 // COUNT] / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = noise(number, 900, 1200) if number == 45 else noise(number, 150, 200)
        path.write_bytes(b"no picture" if number in BROKEN else encode(pixels, "jpg"))
    return folder


@pytest.fixture(scope="module")
def words(tiny: Path) -> tuple[str, ...]:
    save = ("--save", "overlay,array", "--format", "png", "-c", "top2")
    return ("run", "in", "--model", str(tiny), *save, "--batch-size", "4")


@pytest.fixture(scope="module")
def whole(pictures: Path, words: tuple[str, ...]) -> dict[str, object]:
    """What a run that nothing disturbs leaves behind."""
    result = gradcam(*words, "-o", "whole", "-q", cwd=pictures)
    assert result.returncode == 3, result.stderr
    return left_behind(pictures / "whole")


def left_behind(output: Path) -> dict[str, object]:
    """Return every file's content by its name; of the manifest, all but the times."""
    typed = f'"{output.name}"'.encode()  # after -o, in run.json
    files: dict[str, object] = {
        str(path.relative_to(output)): path.read_bytes().replace(typed, b'"out"')
        for path in output.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    del files["manifest.jsonl"]
    files["records"] = [{**record, "seconds": 0, "written_ns": 0} for record in records(output)]
    return files


def start(
    *words: str, cwd: Path, before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", *words],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


@contextmanager
def running(*words: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(*words, cwd=cwd)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def lines(output: Path) -> int:
    manifest = output / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def wait_for_lines(count: int, output: Path, process: subprocess.Popen[str]) -> None:
    wait_for(lambda: lines(output) >= count, process)


def hidden(output: Path) -> set[str]:
    return {path.name for path in output.rglob(".*")}


def check_whole_files(output: Path) -> None:
    """Every file that bears its final name can be read to its end, and fits its record."""
    for path in output.rglob("*.png"):
        if not path.name.startswith("."):
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path
            assert cv2.imread(str(path)) is not None, path
    for path in output.rglob("*.npy"):
        assert np.load(path).shape == (14, 14)
    for line in (output / "manifest.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
        for item in json.loads(line)["explanations"]:
            for kind, name in item["files"].items():
                assert (output / name).stat().st_size == item["sizes"][kind]


def test_a_run_killed_again_and_again_ends_like_one_that_was_not(
    pictures: Path, words: tuple[str, ...], whole: dict[str, object]
) -> None:
    output, chance = pictures / "killed", random.Random(7)
    for goal in (1, 14, 30, 47):
        with running(*words, "-o", "killed", "-q", cwd=pictures) as process:
            wait_for_lines(max(goal, lines(output) + 1), output, process)
            time.sleep(chance.random() / 50)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        assert ".manifest.jsonl.running" in hidden(output)
        check_whole_files(output)
    assert lines(output) < COUNT + 4 * len(BROKEN), "every kill came too late"
    (output / "in" / "a" / ".gradcam-leftover.part").write_bytes(b"not gradcam's")
    last = gradcam(*words, "-o", "killed", cwd=pictures)
    assert last.returncode == 3, last.stderr
    assert "done before, 2 failed (2 not-a-picture)" in last.stderr
    assert left_behind(output) == whole
    assert hidden(output) == {".gradcam.lock", ".gradcam-leftover.part"}


@pytest.mark.parametrize(
    ("number", "again"), [(signal.SIGINT, "Ctrl-C again"), (signal.SIGTERM, "a second signal")]
)
def test_a_signal_finishes_what_is_in_flight(
    pictures: Path, words: tuple[str, ...], whole: dict[str, object], number: int, again: str
) -> None:
    output = pictures / f"interrupted-{number}"
    with running(*words, "-o", output.name, cwd=pictures) as process:
        wait_for_lines(6, output, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert f"stopping after the pictures in flight; {again} stops at once" in said
    done = sum(record["status"] == "ok" for record in records(output))
    assert said.splitlines()[-2].startswith(f"{done} pictures done"), said
    assert said.splitlines()[-1] == "warning: interrupted; the same command goes on from here"
    assert 6 <= lines(output) < COUNT
    check_whole_files(output)
    assert hidden(output) == {".gradcam.lock"}
    written = {str(path.relative_to(output)) for path in output.rglob("*.*") if path.is_file()}
    recorded = {n for r in records(output) for e in r["explanations"] for n in e["files"].values()}
    assert written - {".gradcam.lock", "manifest.jsonl", "run.json"} == recorded
    assert gradcam(*words, "-o", output.name, "-q", cwd=pictures).returncode == 3
    assert left_behind(output) == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_model_is_loaded(
    pictures: Path, words: tuple[str, ...], number: int
) -> None:
    output = pictures / "early"
    with running(*words, "-o", "early", cwd=pictures) as process:
        wait_for(lambda: (output / ".manifest.jsonl.running").exists(), process)
        time.sleep(0.2)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert "bug" not in said
    assert not output.exists(), "nothing was made, so nothing is left"


def test_a_full_disk_tears_nothing(
    pictures: Path, words: tuple[str, ...], whole: dict[str, object]
) -> None:
    output = pictures / "full"
    large = max(len(data) for data in whole.values() if isinstance(data, bytes))

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (large // 2, large // 2))

    process = start(*words, "-o", "full", cwd=pictures, before=little_room)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    count, error, hint = said.splitlines()[-3:]
    assert count.startswith(f"{lines(output) - 2} pictures done, 2 failed"), said
    assert error.startswith("error: cannot write full/in/z/45.jpg.top1.png"), said
    assert "ulimit -f" in hint
    assert 0 < lines(output) < COUNT
    check_whole_files(output)
    assert hidden(output) == {".gradcam.lock"}
    assert gradcam(*words, "-o", "full", "-q", cwd=pictures).returncode == 3
    assert left_behind(output) == whole


def test_a_folder_that_cannot_be_written_any_more(
    pictures: Path, words: tuple[str, ...], whole: dict[str, object]
) -> None:
    """Root may write where it is forbidden, so a file stands where a folder should be made."""
    output = pictures / "blocked"
    with running(*words, "-o", "blocked", cwd=pictures) as process:
        wait_for_lines(1, output, process)
        (output / "in" / "z").write_text("in the way", encoding="utf-8")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert said.splitlines()[-2].startswith("error: cannot write blocked/in/z/"), said
    assert 0 < lines(output) <= 40
    check_whole_files(output)
    (output / "in" / "z").unlink()
    assert gradcam(*words, "-o", "blocked", "-q", cwd=pictures).returncode == 3
    assert left_behind(output) == whole


def test_the_second_process_on_a_folder_stops(
    pictures: Path, words: tuple[str, ...], tmp_path: Path
) -> None:
    with open_manifest(tmp_path, {}, {}):
        said = problem(gradcam(*words, "-o", str(tmp_path), cwd=pictures))
        assert said.startswith(f"error: another gradcam is writing to {tmp_path}")
        shard = gradcam(*words, "-o", str(tmp_path), "--shard", "1/2", cwd=pictures)
        assert "another gradcam" in problem(shard)


@pytest.mark.parametrize("large", [32 << 20, 0])
def test_going_on_with_a_finished_run_needs_no_tensorflow(
    pictures: Path, words: tuple[str, ...], whole: dict[str, object], large: int
) -> None:
    """Broken pictures are tried again, which would need it; so they are left out.

    Nor is it imported beside the hashing of weights, from ``large`` bytes on.
    """
    good = [*words, "-o", "whole", "--exclude", "07.jpg", "--exclude", "31.jpg"]
    code = (
        "import sys\nfrom gradcam_cli.cli import main\nfrom gradcam_cli.models import digest\n"
        f"digest._LARGE = {large}\nsys.argv = ['gradcam', *{good!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    print(end.code, [m for m in ('tensorflow', 'keras') if m in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=pictures, capture_output=True, text=True, check=True
    )
    assert result.stdout == "0 []\n"
    assert result.stderr == (
        "0 pictures done, 58 done before; heatmaps in whole\n"
        "to look through them: gradcam report whole\n"
    )
    assert left_behind(pictures / "whole") == whole


def test_a_changed_setting_does_everything_again(
    pictures: Path, words: tuple[str, ...], tmp_path: Path
) -> None:
    few = (*words, "--limit", "3", "-o", str(tmp_path))
    assert gradcam(*few, "-q", cwd=pictures).returncode == 0
    (tmp_path / "in/a/01.jpg.top1.npy").unlink()
    os.utime(pictures / "in" / "a" / "02.jpg")
    again = gradcam(*few, "-q", "--batch-size", "2", "--json", cwd=pictures)
    assert again.stderr == ""
    assert [json.loads(line) for line in again.stdout.splitlines()] == records(tmp_path)
    assert [record["batch_size"] for record in records(tmp_path)] == [3, 2, 3]
    other = gradcam(*few, "-k", "2", "--json", "-q", cwd=pictures)
    assert len(other.stdout.splitlines()) == 3
    assert [json.loads(line) for line in other.stdout.splitlines()] == records(tmp_path)


def test_readers_that_hang_do_not_keep_the_process() -> None:
    code = (
        "import sys, threading\nfrom gradcam_cli.cli import main\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "sys.argv = ['gradcam', 'methods']\nmain()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0
    assert "gradcam" in result.stdout
