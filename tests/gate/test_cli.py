"""The three commands as users run them: exit codes, tables, files, and every refusal."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Generator
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import keras
import pytest
import typer
from defusedxml import ElementTree

from gradcam_cli.cli import app
from gradcam_cli.commands.gating import ResultOptions, ended, gone_through, published
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.gate.baseline import read_baseline
from gradcam_cli.gate.judge import Case
from gradcam_cli.gate.result import Result
from gradcam_cli.images.encode import encode
from gradcam_cli.testing import assert_matches_baseline, check_baseline
from tests.gate.made import entry
from tests.processes import gradcam, refusal
from tests.tiny import noise, save_tiny, write_pictures

ROOT = Path(__file__).parent.parent.parent


def called(*words: str | Path) -> int:
    """Run ``gradcam WORDS`` in this process, where TensorFlow is already; return its exit code."""
    return int(app([str(word) for word in words], standalone_mode=False) or 0)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, five pictures below ``in``, and their baseline below ``gate``."""
    folder = tmp_path_factory.mktemp("frozen")
    save_tiny(folder / "tiny.keras")
    write_pictures(folder / "in", 5)
    (folder / "labels.txt").write_text("ant\nbee\ncow\n", encoding="utf-8")
    os.chdir(folder)
    words = ("baseline", "in", "-m", "tiny.keras", "--labels", "labels.txt", "-c", "top2")
    assert called(*words, "-o", "gate/baseline.json", "-q") == 0
    return folder


@pytest.fixture
def work(frozen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test stands."""
    folder = tmp_path / "work"
    shutil.copytree(frozen, folder)
    monkeypatch.chdir(folder)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_the_projects_own_pictures_are_as_in_the_baseline(tmp_path: Path) -> None:
    """Without oneDNN, whose arithmetic is another: a processor of another kind, as it were."""
    baseline = ROOT / "tests" / "gate" / "samples.json"
    words = ("check", baseline, "--junit", "junit.xml")
    result = gradcam(*words, cwd=tmp_path, env={"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == "12 of 12 pictures as in the baseline"
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().get("tests") == "12"


def test_a_check_that_fails_says_all_to_ci(work: Path) -> None:
    (work / "in" / "001.jpg").write_bytes(encode(noise(77), "jpg"))
    (work / "in" / "002.jpg").unlink()
    (work / "in" / "003.jpg").write_bytes((work / "in" / "003.jpg").read_bytes()[:200])
    (work / "step.md").write_text("before\n", encoding="utf-8")
    words = ("check", "gate/baseline.json", "--json", "--junit", "out/j.xml", "--summary", "s.md")
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "step.md"}
    files = ("--diff-dir", "out/diffs", "-o", "out/check.json")
    result = gradcam(*words, *files, cwd=work, env=env)
    assert result.returncode == 1, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    ends = {row["picture"]: row["status"] for row in rows}
    assert ends == {
        **{f"in/00{number}.jpg": "same" for number in (0, 4)},
        "in/001.jpg": "changed",
        "in/002.jpg": "missing",
        "in/003.jpg": "failed",
    }
    assert [row["status"] for row in rows[:3]] == ["changed", "missing", "failed"]
    assert rows[0]["files"] == {"diff": "out/diffs/in/001.jpg.diff.jpg"}
    drawn = cv2.imread(str(work / "out" / "diffs" / "in" / "001.jpg.diff.jpg"))
    assert drawn is not None
    assert drawn.shape[:2] == (2 * (24 + 24) + 6, 4 * 32 + 3 * 6)  # a row of four a class
    root = ElementTree.parse(work / "out" / "j.xml").getroot()
    assert (root.get("failures"), root.get("errors")) == ("2", "1")
    assert "in/001.jpg" in (work / "s.md").read_text(encoding="utf-8")
    step = (work / "step.md").read_text(encoding="utf-8")
    assert step == "before\n" + (work / "s.md").read_text(encoding="utf-8")
    commands = [line for line in result.stderr.splitlines() if line.startswith("::error ")]
    assert len(commands) == 3
    assert commands[0].startswith("::error file=in/001.jpg,title=gradcam changed::in/001.jpg: ")
    whole = json.loads((work / "out" / "check.json").read_text(encoding="utf-8"))
    assert whole["pictures"] == rows
    assert whole["baseline"] == "gate/baseline.json"


def test_a_full_step_summary_is_left_alone(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = work / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    for size in (0, 999_999):
        path.write_bytes(b"x" * size)
        published(Result("check", []), ResultOptions())
        said = capsys.readouterr().err
        assert (path.stat().st_size > size) == ("is full already" not in said)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(work))
    published(Result("check", []), ResultOptions())
    assert "cannot be written" in capsys.readouterr().err


def test_a_baseline_is_the_same_bytes_again(work: Path) -> None:
    first = (work / "gate" / "baseline.json").read_bytes()
    words = ("-m", "tiny.keras", "--labels", "labels.txt", "-c", "top2", "-q")
    assert called("baseline", "in", *words, "-o", "gate/baseline.json") == 0
    assert (work / "gate" / "baseline.json").read_bytes() == first


def test_update_keeps_what_is_not_given(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = work / "gate" / "baseline.json"
    before = read_baseline(path)
    (work / "in" / "001.jpg").write_bytes(encode(noise(77), "jpg"))
    write_pictures(work / "more", 1)
    words = ("-m", "tiny.keras", "--labels", "labels.txt", "-c", "top2", "-o", path, "--update")
    assert called("baseline", "in/001.jpg", "more", *words) == 0
    assert "2 pictures, 4 from before" in capsys.readouterr().err
    after = read_baseline(path)
    assert list(after.entries) == sorted([*before.entries, "../more/000.jpg"])
    differ = [name for name in before.entries if after.entries[name] != before.entries[name]]
    assert differ == ["../in/001.jpg"]
    other = refusal("baseline", "in", *words, "--resize", "crop")
    assert "resize squash, now crop" in other.message


def test_the_pictures_may_lie_elsewhere(work: Path) -> None:
    shutil.move(work / "in", work / "moved")
    assert called("check", "gate/baseline.json", "moved", "-q") == 0
    assert "nothing could be compared" in refusal("check", "gate/baseline.json").message


def test_copies_and_shards_of_pictures_that_lie_elsewhere(work: Path) -> None:
    shutil.copy(work / "in" / "001.jpg", work / "in" / "copy.jpg")
    words = ("-m", "tiny.keras", "--labels", "labels.txt", "-c", "top2", "-q", "-o", "b.json")
    assert called("baseline", "in", *words) == 0
    shutil.move(work / "in", work / "moved")
    for part in ("1/2", "2/2"):
        assert called("check", "b.json", "moved", "-q", "--shard", part) == 0
    (work / "moved" / "copy.jpg").unlink()
    assert called("check", "b.json", "moved", "-q") == 0
    (work / "moved" / "002.jpg").unlink()
    assert called("check", "b.json", "moved", "-q") == 1


def test_missing_and_new_pictures(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(work / "in", 6)
    (work / "in" / "000.jpg").unlink()
    assert called("check", "gate/baseline.json", "in") == 1
    shown = capsys.readouterr().out
    assert "in/000.jpg" in shown
    assert "in/005.jpg" in shown
    assert called("check", "gate/baseline.json", "in", "--allow-missing") == 1
    assert called("check", "gate/baseline.json", "in", "--allow-missing", "--allow-new") == 0
    assert "4 of 6 pictures as in the baseline, 2 missing or new" in capsys.readouterr().err
    assert called("check", "gate/baseline.json", "--allow-missing") == 0


@pytest.mark.usefixtures("work")
def test_new_pictures_are_audited_and_only_for_the_classes_asked() -> None:
    assert called("baseline", "in/000.jpg", "-m", "tiny.keras", "-o", "one.json", "-q") == 0
    words = ("check", "one.json", "in", "--allow-new", "-o", "c.json")
    assert called(*words, "--max-border-heat", "1") == 0
    whole = json.loads(Path("c.json").read_text(encoding="utf-8"))
    assert [len(row["maps"]) for row in whole["pictures"]] == [1] * 5
    maps = sum(place["pictures"] for place in whole["places"])
    assert maps == 5 - sum(bool(row["maps"][0]["now"]["empty"]) for row in whole["pictures"])
    assert called(*words, "--max-border-heat", "0.0001") == 1
    changed = json.loads(Path("c.json").read_text(encoding="utf-8"))["counts"]["changed"]
    assert changed == maps


@pytest.mark.usefixtures("work")
def test_shards_and_patterns_divide_a_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for sources in ((), ("in",)):
        words = ("check", "gate/baseline.json", *sources, "--json")
        assert called(*words, "--shard", "1/2" if sources else "2/2") == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        seen += [row["picture"] for row in rows]
    assert sorted(seen) == [f"in/00{number}.jpg" for number in range(5)]
    assert called("check", "gate/baseline.json", "--include", "00[01]*", "--limit", "1", "-q") == 0
    assert called("check", "gate/baseline.json", "--include", "x", "-q") == 4


def retrained(path: Path, classes: int = 3) -> None:
    """Another head on the same features."""
    model = keras.models.load_model(path.with_name("tiny.keras"))
    head = keras.layers.Dense(classes, activation="softmax", kernel_initializer="glorot_normal")
    keras.utils.set_random_seed(9)
    keras.Model(model.input, head(model.layers[-2].output)).save(path)


def test_another_model_is_the_point(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    retrained(work / "new.keras")
    assert called("check", "gate/baseline.json", "-m", "new.keras") == 1
    assert "the model has other weights than the baseline's" in capsys.readouterr().err
    (work / "gradcam.toml").write_text('model = "new.keras"\n', encoding="utf-8")
    from gradcam_cli.commands.config import read_config

    group: Any = typer.main.get_command(app)
    defaults = read_config(work / "gradcam.toml", group.commands)
    code = app(["check", "gate/baseline.json", "-q"], standalone_mode=False, default_map=defaults)
    assert code == 1
    shutil.copy(work / "tiny.keras", work / "copy.keras")
    assert called("check", "gate/baseline.json", "-m", "copy.keras", "-q") == 0


def test_classes_in_another_order_are_compared_by_name(work: Path) -> None:
    model = keras.models.load_model(work / "tiny.keras")
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel[:, ::-1], bias[::-1]])
    model.save(work / "turned.keras")
    (work / "turned.txt").write_text("cow\nbee\nant\n", encoding="utf-8")
    again = ("check", "gate/baseline.json", "-m", "turned.keras", "-q")
    assert called(*again, "--labels", "turned.txt") == 0
    assert called(*again) == 1
    (work / "other.txt").write_text("cow\nwasp\nant\n", encoding="utf-8")
    error = refusal(*again, "--labels", "other.txt")
    assert "explains the class 'bee', and none of the model's 3 classes" in error.message


def test_limits_by_class_from_the_configuration(work: Path) -> None:
    retrained(work / "new.keras")
    limits = {"min_pearson": -1, "min_spearman": -1, "min_iou": 0, "max_shift": 1}
    loose = [f"--{name.replace('_', '-')}={value}" for name, value in limits.items()]
    words = ("check", "gate/baseline.json", "-m", "new.keras", *loose, "-q")
    assert called(*words, "--max-probability-change", "1") in (0, 1)  # empty maps may come or go
    strict = [("--max-border-heat", "0.0001"), ("--max-border-heat", "ant=1")]
    assert called("check", "gate/baseline.json", "-q", *strict[0]) == 1
    assert "dragon" in refusal("check", "gate/baseline.json", "--min-iou", "dragon=0.5").message


def _changed(path: Path, **values: Any) -> None:
    whole = json.loads(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        at, key = whole, name
        while "__" in key:
            first, _, key = key.partition("__")
            at = at[first]
        at[key] = value
    path.write_text(json.dumps(whole), encoding="utf-8")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"gradcam_baseline": 9}, "has format 9"),
    "no pictures": ({"pictures": []}, "holds no picture"),
    "an unknown setting": ({"asked__images__sharpen": 1}, "'sharpen'"),
    "a setting of another type": ({"asked__images__white": "much"}, "--white"),
    "a setting out of range": ({"asked__images__top_k": 0}, "--top-k"),
    "code of its own": ({"asked__model__custom_objects": "./evil.py"}, "'custom_objects'"),
    "trust": ({"asked__model__unsafe_load": True}, "'unsafe_load'"),
    "an address": ({"asked__model__model": "https://example.org/m"}, "no address"),
    "a huge input": ({"asked__model__input_size": [99999, 99999]}, "--input-size"),
    "inputs of text": ({"asked__model__inputs": "ab"}, "--input|not valid"),
    "inputs of numbers": ({"asked__model__inputs": [1]}, "not valid"),
    "a model that has gone": ({"asked__model__model": "./gone.keras"}, "gate/gone.keras"),
    "no names": ({"classes__count": 4, "classes__labels": ""}, "no names to compare them by"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compared_is_one_sentence(name: str, work: Path) -> None:
    change, said = REFUSED[name]
    _changed(work / "gate" / "baseline.json", **change)
    error = refusal("check", "gate/baseline.json")
    assert any(part in f"{error.message} {error.hint}" for part in said.split("|"))
    assert "\n" not in error.message


def test_places_that_cannot_be_written(work: Path) -> None:
    (work / "file.txt").write_text("mine", encoding="utf-8")
    model = ("-m", "tiny.keras")
    assert "not a baseline" in refusal("baseline", "in", *model, "-o", "file.txt").message
    assert "file.txt" in refusal("baseline", "in", *model, "-o", "file.txt/b.json").message
    assert "a folder" in refusal("check", "gate/baseline.json", "--junit", "in").message
    inside = refusal("check", "gate/baseline.json", "in", "--diff-dir", "in/diffs")
    assert "lies inside the source folder" in inside.message
    assert (work / "file.txt").read_text(encoding="utf-8") == "mine"


def test_names_that_are_not_utf8_are_escaped(work: Path) -> None:
    odd, known = os.fsdecode(b"mo\xff.keras"), os.fsdecode(b"b\xff.json")
    shutil.copy("tiny.keras", odd)
    (work / "l.json").write_text('["a\\ud800", "b", "c"]', encoding="utf-8")
    words = ("-m", odd, "--labels", "l.json", "-q")
    for _ in range(2):
        assert called("baseline", "in", *words, "-c", "top2", "-o", known, "--update") == 0
    files = ("-o", "o/c.json", "--junit", "o/j.xml", "--summary", "o/s.md")
    assert called("check", known, *words, *files) == 0
    assert json.loads((work / "o" / "c.json").read_text("utf-8"))["baseline"] == "b\\udcff.json"
    assert called("audit", "in", *words, "-o", "o/a.json") == 0
    ElementTree.parse(work / "o" / "j.xml")


def test_no_file_of_another_kind_is_replaced(work: Path) -> None:
    (work / "notes.md").write_text("mine", encoding="utf-8")
    (work / "null").symlink_to(os.devnull)
    before = {each: each.read_bytes() for each in work.rglob("*") if each.is_file()}
    for option in ("-o", "--junit", "--summary"):
        for name in ("gate/baseline.json", "in/001.jpg", "notes.md"):
            said = refusal("check", "gate/baseline.json", option, name).message
            assert said == f"{name} is there already, and is not of this kind"
        assert "regular" in refusal("check", "gate/baseline.json", option, "null").message
    twice = refusal("check", "gate/baseline.json", "-o", "a", "--junit", "in/../a")
    assert "named twice" in twice.message
    assert "regular" in refusal("baseline", "in", "-m", "x", "-o", "null").message
    assert {each: each.read_bytes() for each in work.rglob("*") if each.is_file()} == before
    files = ("-o", "out/c.json", "--junit", "out/j.xml", "--summary", "out/s.md", "-q")
    for _ in range(2):
        assert called("check", "gate/baseline.json", *files) == 0


def test_pictures_that_fail_are_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "in" / "001.jpg").write_bytes(b"no picture")
    words = ("-m", "tiny.keras", "-o", "b.json", "-q")
    assert called("baseline", "in", *words) == 3
    assert list(read_baseline(work / "b.json").entries) == [f"in/00{i}.jpg" for i in (0, 2, 3, 4)]
    assert called("baseline", "in/001.jpg", "-m", "tiny.keras", "-o", "c.json") == 4
    assert not (work / "c.json").exists()
    assert "in/001.jpg" in capsys.readouterr().err
    assert called("check", "gate/baseline.json", "-q") == 3
    assert "in/001.jpg" in capsys.readouterr().err
    assert called("check", "gate/baseline.json", "in/001.jpg", "--allow-missing") == 4
    assert called("baseline", "in", *words[:2], "-o", "b.json", "-q", "--update") == 3
    assert called("check", "b.json", "in", "--allow-new", "-q") == 3


def test_audit_measures_and_gates(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("audit", "in", "-m", "tiny.keras", "--labels", "labels.txt", "--json")
    assert called(*words) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    border = {row["picture"]: row["maps"][0]["numbers"][0]["value"] for row in rows}
    assert all(0 < value < 1 for value in border.values())
    limit = sorted(border.values())[2] + 1e-6
    assert called(*words, "--max-border-heat", f"{limit:.6f}", "--diff-dir", "d") == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    beyond = {row["picture"] for row in rows if row["status"] == "changed"}
    assert beyond == {name for name, value in border.items() if value > limit}
    assert len(list((work / "d").rglob("*.jpg"))) == 2
    assert called("audit", "in", "-m", "tiny.keras") == 0
    assert "heat in the border" in capsys.readouterr().out


def test_audit_with_regions(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "regions").mkdir()
    for number in range(5):
        half = 255 * (noise(0) * 0 + 1)
        half[:, 16:] = 0
        (work / "regions" / f"00{number}.png").write_bytes(encode(half, "png"))
    words = ("audit", "in", "-m", "tiny.keras", "--regions", "regions", "--json")
    assert called(*words) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    inside = [row["maps"][0]["numbers"][1] for row in rows]
    assert {number["name"] for number in inside} == {"heat inside the regions"}
    assert called(*words, "--max-outside-heat", "0.001") == 1
    assert called(*words, "--max-inside-heat", "1", "--min-inside-heat", "0") == 0
    assert "goes with any" in refusal(*words[:4], "--regions", "gate").message
    gated = ("check", "gate/baseline.json", "--regions", "regions", "-q")
    assert called(*gated, "--min-inside-heat", "0.999") == 1


def test_pytest_has_one_assertion(work: Path) -> None:
    result = assert_matches_baseline("gate/baseline.json")
    assert result.counts == {"same": 5}
    assert_matches_baseline(work / "gate" / "baseline.json", "tiny.keras", "in", min_iou=0.7)
    retrained(work / "new.keras")
    with pytest.raises(AssertionError, match=r"changed in/00\d.jpg: ") as caught:
        assert_matches_baseline("gate/baseline.json", "new.keras")
    assert len(str(caught.value).splitlines()) == 1 + 5
    assert not check_baseline("gate/baseline.json", "new.keras").passed
    with pytest.raises(AssertionError, match="missing"):
        assert_matches_baseline("gate/baseline.json", sources=["in/001.jpg"])
    with pytest.raises(GradcamError, match="'min_luck' is not a valid limit"):
        assert_matches_baseline("gate/baseline.json", min_luck=1)


ENDS = [
    ([], ExitCode.DONE),
    (["same"], ExitCode.DONE),
    (["same", "changed", "failed"], ExitCode.GATE_FAILED),
    (["missing"], ExitCode.GATE_FAILED),
    (["same", "new"], ExitCode.GATE_FAILED),
    (["same", "failed"], ExitCode.SOME_FAILED),
    (["allowed", "failed"], ExitCode.NO_PICTURE),
    (["allowed", "same"], ExitCode.DONE),
    (["failed", "failed"], ExitCode.NO_PICTURE),
]


@pytest.mark.parametrize(("statuses", "code"), ENDS)
def test_how_a_check_ends(statuses: list[Any], code: ExitCode) -> None:
    shown = {"same": entry(), "changed": entry(), "new": entry()}
    cases = [Case("a.jpg", status, ("why",), now=shown.get(status)) for status in statuses]
    assert ended(Result("check", cases), json=False, quiet=True) == code


def test_an_interrupted_check_decides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: object, stop: Event) -> Generator[Case, None, None]:
        yield Case("a.jpg", "same", now=entry())
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)

    with pytest.raises(typer.Exit) as caught:
        gone_through(run, None, 3, quiet=False)
    assert caught.value.exit_code == ExitCode.INTERRUPTED
    assert "interrupted after 1 of 3 pictures: nothing is decided" in capsys.readouterr().err
