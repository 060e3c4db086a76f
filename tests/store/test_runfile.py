from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from gradcam_cli import __version__
from gradcam_cli.errors import GradcamError
from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.run import RunSpec, digest
from gradcam_cli.store.runfile import RunFile, differences, read_run, run_name, write_run

SETTINGS = RunSpec().deciding({"model": "vgg16", "mean": (1.5, 2.0), "labels": None})


@pytest.mark.parametrize(
    ("manifest", "name"),
    [("manifest.jsonl", "run.json"), ("manifest-2-of-3.jsonl", "run-2-of-3.json")],
)
def test_it_lies_beside_its_manifest(manifest: str, name: str) -> None:
    assert run_name(manifest) == name


def test_it_says_what_was_asked_and_decided_and_by_which_versions(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run = RunFile(
        SETTINGS, digest(SETTINGS), ("gradcam",), {"batch_size": 16, "precision": "float32"}
    )
    write_run(path, run)
    found = read_run(path)
    assert found is not None
    assert (found.settings, found.digest, found.decided) == (run.settings, run.digest, run.decided)
    assert found.methods == ("gradcam",)
    assert digest(found.settings) == run.digest
    assert found.versions["gradcam-cli"] == __version__
    assert (found.versions["keras"], found.versions["numpy"]) == (keras.__version__, np.__version__)
    plain = json.loads(path.read_text(encoding="ascii"))
    assert plain["settings"]["model"] == {"model": "vgg16", "mean": [1.5, 2.0], "labels": None}
    assert plain["settings"]["intensity"] == 0.4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"1",
        b"\xff\xfe",
        b'{"settings": {}}',
        b'{"settings": 1, "digest": "", "decided": {}, "versions": {}}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_whole_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.json"
    assert read_run(path) is None
    path.write_bytes(content)
    assert read_run(path) is None
    path.unlink()
    path.mkdir()
    assert read_run(path) is None


def test_only_commands_of_ours_and_counts_of_classes_are_believed(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    ours, theirs = ["gradcam", "run", "in"], ["sh", "-c", "echo"]
    for commands, classes, believed in (
        ([ours, theirs, "gradcam run in"], 30_000_000, ((tuple(ours),), None)),
        ("gradcam run in", -1, ((), None)),
        ([ours], 10, ((tuple(ours),), 10)),
    ):
        values = {"settings": {}, "digest": "", "decided": {}, "versions": {}}
        path.write_text(json.dumps({**values, "commands": commands, "classes": classes}))
        found = read_run(path)
        assert found is not None
        assert (found.commands, found.classes) == believed


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(GradcamError, match="cannot write"):
        write_run(tmp_path / "run.json", RunFile({}, ""))


def asked(model: dict[str, object], **draw: Any) -> dict[str, Any]:
    return RunSpec(draw=DrawSpec(**draw)).deciding(model)


def test_what_differs_is_named_with_both_values() -> None:
    one = asked({"model": "vgg16", "mean": (), "labels": None})
    two = asked({"model": "vgg16", "mean": (1.0, 2.0), "labels": "sha256:ab"}, intensity=0.5)
    assert differences(one, one) == []
    assert differences(one, two) == [
        "intensity 0.4, now 0.5",
        "labels none, now sha256:ab",
        "mean none, now 1.0,2.0",
    ]
    more = asked({"model": "vgg16"}, save=("array", "overlay"), format="png")
    plain = asked({"model": "vgg16"})
    assert differences(plain, more) == [
        "format jpg, now png",
        "save overlay, now array,overlay",
    ]
    predicted = RunSpec(explain=None).deciding({"model": "vgg16"})
    assert "score logit, now none" in differences(plain, predicted)


def test_runs_with_the_same_settings_add_what_was_typed() -> None:
    def run(*words: str, methods: tuple[str, ...] = ("gradcam",)) -> RunFile:
        return RunFile(SETTINGS, "", methods, commands=((*words, "-o", "out"),))

    first = RunFile(SETTINGS, "", ("cam",), commands=(("a", "-o", "old"),), classes=(("", "cat"),))
    assert run("a").after(None) == run("a")
    again = run("a").after(first)
    assert again.commands == (("a", "-o", "out"),), "the folder has moved"
    assert again.methods == ("cam", "gradcam")
    both = run("b", "--limit", "3").after(again)
    assert both.commands == (("a", "-o", "out"), ("b", "--limit", "3", "-o", "out"))
    assert run("a").after(both).commands == (both.commands[1], both.commands[0])
    assert both.classes == (("", "cat"),)
    for number in range(100):
        both = run(str(number)).after(both)
    assert len(both.commands) == 20
    assert both.commands[-1][0] == "99"


@pytest.mark.parametrize("classes", [None, 7, (("n1", "cat"), ("", "caf\u00e9"))])
def test_what_was_typed_and_the_classes_come_back(classes: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run = RunFile(SETTINGS, "", commands=(("gradcam", "run", "a b", "-o", "out"),), classes=classes)
    write_run(path, run)
    found = read_run(path)
    assert found is not None
    assert (found.commands, found.classes) == (run.commands, classes)
    values = json.loads(path.read_text(encoding="ascii"))
    del values["commands"]
    values.pop("classes", None)
    path.write_text(json.dumps(values), encoding="ascii")
    older = read_run(path)
    assert older is not None
    assert (older.commands, older.classes) == ((), None)
