"""How a run ends: its last lines and its exit code, through real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from gradcam_cli.commands.tally import Tally
from gradcam_cli.errors import ExitCode
from gradcam_cli.images.encode import encode
from gradcam_cli.store.records import Record
from tests.processes import gradcam, inside, problem, records
from tests.report import made
from tests.tiny import noise


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures, a black one of which every map is empty, and two that are none."""
    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.png").write_bytes(encode(noise(number), "png"))
    (tmp_path / "in" / "black.png").write_bytes(encode(np.zeros((9, 9, 3), np.uint8), "png"))
    (tmp_path / "in" / "none.png").write_bytes(b"no picture")
    (tmp_path / "in" / "void.png").write_bytes(b"")
    return tmp_path


def run(folder: Path, tiny: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return gradcam("run", "in", "--model", tiny, "-o", "out", *words, cwd=folder)


def test_counts_and_codes(folder: Path, tiny: Path) -> None:
    some = run(folder, tiny, "--json")
    assert some.returncode == ExitCode.SOME_FAILED
    *_, last, then = some.stderr.splitlines()
    counts, slowest, where = last.split("; ")
    assert counts == ("6 pictures done, 2 failed (1 not-a-picture, 1 empty), 1 with an empty map")
    assert slowest.removeprefix("most time went into ") in ("reading", "network", "writing")
    assert (where, then) == ("heatmaps in out", "to look through them: gradcam report out")
    assert some.stdout == (folder / "out" / "manifest.jsonl").read_text(encoding="utf-8")
    (black,) = [r for r in records(folder / "out") if r["source"] == "in/black.png"]
    assert black["explanations"][0]["empty_reason"] == "zero everywhere"
    for name in ("none", "void"):
        (folder / "in" / f"{name}.png").unlink()
    gate = run(folder, tiny, "--fail-on-empty")
    assert gate.returncode == ExitCode.GATE_FAILED
    assert gate.stderr == (
        "0 pictures done, 6 done before, 1 with an empty map; "
        "heatmaps in out\nto look through them: gradcam report out\n"
    )
    quiet = run(folder, tiny, "-q", "--json")
    assert (quiet.returncode, quiet.stderr) == (ExitCode.DONE, "")
    done = [record for record in records(folder / "out") if record["status"] == "ok"]
    assert [json.loads(line) for line in quiet.stdout.splitlines()] == done
    assert "is not empty" in problem(run(folder, tiny, "--no-resume"))
    anew = run(folder, tiny, "-q", "--overwrite", "--json", "--fail-on-empty")
    assert anew.returncode == ExitCode.GATE_FAILED
    assert [json.loads(line) for line in anew.stdout.splitlines()] == records(folder / "out")
    assert len(records(folder / "out")) == 6


def test_nothing_usable(folder: Path, tiny: Path) -> None:
    none = run(folder, tiny, "--include", "none.png", "--include", "void.png")
    assert none.returncode == ExitCode.NO_PICTURE
    assert none.stderr.splitlines()[-1] == (
        "0 pictures done, 2 failed (1 not-a-picture, 1 empty); heatmaps in out"
    )
    assert none.stdout == ""
    nothing = run(folder, tiny, "--include", "*.tif", "-o", "other")
    assert nothing.returncode == ExitCode.NO_PICTURE
    assert nothing.stderr.startswith("error: no picture in in\nhint: ")
    assert not (folder / "other").exists()


def test_types_that_are_not_read_are_counted_and_named(folder: Path, tiny: Path) -> None:
    for name in ("a.cr2", "B.CR2", "c.psd", ".d.psd", "e.txt"):
        (folder / "in" / name).write_bytes(b"other")
    good = ("--exclude", "none.png", "--exclude", "void.png", "--json")
    left_out = run(folder, tiny, *good, "-q")
    assert left_out.returncode == ExitCode.DONE
    assert left_out.stderr.startswith("warning: not read: 2 .cr2, 1 .psd (.cr2: develop them")
    assert len(left_out.stdout.splitlines()) == 6
    strict = run(folder, tiny, *good, "--strict-types", "--exclude", "*.psd")
    assert strict.returncode == ExitCode.SOME_FAILED
    assert "0 pictures done, 6 done before, 2 failed (2 unread-type)" in strict.stderr
    assert "warning: not read" not in strict.stderr
    failed = [record for record in records(folder / "out") if record["status"] == "failed"]
    assert [record["source"] for record in failed] == ["in/B.CR2", "in/a.cr2"]
    assert failed[0]["error"] == {
        "kind": "unread-type",
        "message": ".cr2 files are not read (develop them to JPEG, PNG or TIFF)",
    }
    only = run(folder, tiny, "--include", "*.psd", "-o", "other")
    assert only.returncode == ExitCode.NO_PICTURE
    assert only.stderr == (
        "error: no picture in in can be read: 1 .psd\n"
        "hint: .psd: convert them to JPEG, PNG or TIFF\n"
    )
    assert not (folder / "other").exists()


def test_enough_failures_end_the_run(folder: Path, tiny: Path) -> None:
    for number in range(200):
        (folder / "in" / f"x{number:03d}.png").write_bytes(b"no picture")
    result = run(folder, tiny, "--max-failures", "3", "--batch-size", "4", "-q")
    assert result.returncode == ExitCode.SOME_FAILED
    assert result.stderr.splitlines()[-1].startswith("warning: stopped after ")
    failed = [record for record in records(folder / "out") if record["status"] == "failed"]
    assert 3 <= len(failed) < 30


def test_no_resume_wants_an_empty_folder(folder: Path, tiny: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    said = problem(run(folder, tiny, "--no-resume"))
    assert said.startswith("error: out is not empty\nhint: ")
    assert (folder / "out" / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_shards_together_are_the_whole(folder: Path, tiny: Path) -> None:
    good = ("--exclude", "none.png", "--exclude", "void.png", "-q")
    shards = [run(folder, tiny, *good, "--shard", f"{k}/2") for k in (1, 2)]
    assert [shard.returncode for shard in shards] == [0, 0]
    names = ["manifest-1-of-2.jsonl", "manifest-2-of-2.jsonl"]
    assert sorted(path.name for path in (folder / "out").glob("*.jsonl")) == names
    lines = [
        json.loads(line)
        for name in names
        for line in (folder / "out" / name).read_text(encoding="utf-8").splitlines()
    ]
    assert sorted(line["source"] for line in lines) == sorted(
        f"in/{name}.png" for name in ("0", "1", "2", "3", "4", "black")
    )
    together = run(folder, tiny, *good[:-1])
    assert together.stderr.startswith("0 pictures done, 6 done before"), together.stderr
    other = problem(run(folder, tiny, *good, "-i", "0.5", "--shard", "1/2"))
    assert "other settings" in other


def test_a_reader_that_leaves_is_no_failed_gate(folder: Path, tiny: Path) -> None:
    words = ("run", "in", "--model", str(tiny), "-o", "out", "--json", "--batch-size", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == ExitCode.INTERRUPTED
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert len(records(folder / "out")) >= 1


def test_numbers_that_are_not_finite(tiny: Path, folder: Path) -> None:
    model = keras.models.load_model(tiny)
    dense = model.layers[-1]
    dense.set_weights([np.full_like(weight, np.nan) for weight in dense.get_weights()])
    model.save(folder / "nan.keras")
    words = ("run", folder / "in" / "1.png", "--model", folder / "nan.keras")
    result = inside(*words, "-o", folder / "out")
    assert result.returncode == 0, result.stderr
    (record,) = records(folder / "out")
    assert {row["score"] for row in record["predictions"]} == {None}
    assert record["explanations"][0]["empty_reason"] == "not finite"
    assert "not finite" in result.stdout


def test_no_place_for_temporary_files(tmp_path: Path) -> None:
    code = (
        "import sys, tempfile\nfrom gradcam_cli.cli import main\n"
        "tempfile.tempdir = '/nowhere'\nsys.argv = ['gradcam', 'methods']\nmain()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("tally", "gate", "code"),
    [
        (Tally(None, done=3), True, ExitCode.DONE),
        (Tally(None, resumed=3), False, ExitCode.DONE),
        (Tally(None, done=3, empty=1), False, ExitCode.DONE),
        (Tally(None, done=3, empty=1), True, ExitCode.GATE_FAILED),
        (Tally(None, resumed=3, empty=1), True, ExitCode.GATE_FAILED),
    ],
)
def test_codes_of_runs_without_failures(tally: Tally, gate: bool, code: ExitCode) -> None:
    assert tally.end(quiet=True, fail_on_empty=gate) == code


def test_codes_of_runs_with_failures() -> None:
    for done, resumed, code in (
        (1, 0, ExitCode.SOME_FAILED),
        (0, 1, ExitCode.SOME_FAILED),
        (0, 0, ExitCode.NO_PICTURE),
    ):
        tally = Tally(None, done=done, resumed=resumed)
        tally.failed["empty"] = 1
        assert tally.end(quiet=True) == code
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            tally.interrupted = number
            assert tally.end(quiet=True) == 128 + number


def test_the_last_line_leads_on(capsys: pytest.CaptureFixture[str]) -> None:
    def said(tally: Tally, **how: bool) -> str:
        tally.end(**{"quiet": False, **how})
        return capsys.readouterr().err

    out = Path("my maps")
    assert said(Tally(out, done=2)).endswith("\nto look through them: gradcam report 'my maps'\n")
    for silent in (Tally(out, done=2, interrupted=2), Tally(None, done=2), Tally(out)):
        assert "gradcam report" not in said(silent)
    assert said(Tally(out, done=2), shown=True) == "2 pictures done; heatmaps in my maps\n"
    assert said(Tally(out, done=2), quiet=True) == ""


@pytest.mark.parametrize("kind", ["overlay", "heatmap", "array", "panel", "figure"])
def test_a_single_file_is_named_by_its_kind(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = explained(kind)
    tally = Tally(Path("out"))
    tally.add(record)
    tally.end(quiet=False)
    assert capsys.readouterr().err == f"1 picture done; {kind}: out/a.{kind}\n"


def explained(*kinds: str) -> Record:
    """Return a picture's record, with a file of each kind where records have it."""
    files = {kind: f"a.{kind}" for kind in kinds}
    own = {kind: name for kind, name in files.items() if kind == "panel"}
    rest = {kind: name for kind, name in files.items() if kind != "panel"}
    item = replace(made.heatmap(files=rest), sizes=dict.fromkeys(rest, 1))
    return made.done("a.jpg", maps=[item], files=own, sizes=dict.fromkeys(own, 1))


def test_several_files_of_one_picture_are_in_their_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tally = Tally(Path("out"))
    tally.add(explained("panel", "overlay"))
    tally.end(quiet=False)
    assert capsys.readouterr().err.splitlines() == [
        "1 picture done; heatmaps in out",
        "to look through them: gradcam report out",
    ]


def test_exit_codes_are_what_scripts_know() -> None:
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 70, 129, 130, 143]
    assert os.EX_OK == ExitCode.DONE
