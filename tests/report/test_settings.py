from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.report.settings import (
    command_line,
    differing,
    read_settings,
    setting_rows,
    white_level,
)
from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.store.runfile import RunFile, write_run
from tests.report.made import HOSTILE, done, manifest


def ran(**more: Any) -> RunFile:
    explain = ExplainSpec(**more.get("explain", {}))
    spec = RunSpec(
        ModelSpec(**more.get("model", {})),
        ImageSpec(**more.get("images", {})),
        explain,
        DrawSpec(**more.get("draw", {})),
    )
    fingerprint = {
        "model": spec.model.model,
        "weights": spec.model.weights,
        "channels": "rgb",
        "mean": spec.model.mean,
        "input_size": spec.model.input_size,
    }
    return RunFile(spec.deciding(fingerprint), "0" * 16, explain.methods)


def test_defaults_are_not_said() -> None:
    assert command_line(ran(), ["photos/a.jpg", "photos/b.jpg"]) == "gradcam run photos"
    assert command_line(ran(), ["photos/a.jpg"]) == "gradcam run photos/a.jpg"


def test_what_was_asked_can_be_copied_into_a_shell() -> None:
    run = ran(
        model={"model": "my model.keras", "mean": (1.0, 2.5, 3.0), "input_size": (96, 128)},
        images={"resize": "pad", "top_k": 3},
        explain={"classes": ("top3", "it's"), "methods": ("cam", "gradcam")},
        draw={"intensity": 0.7, "save": ("overlay", "array")},
    )
    words = shlex.split(command_line(run, ["my photos/a/1.jpg", "my photos/b/2.jpg"]))
    assert words[:3] == ["gradcam", "run", "my photos"]
    given = list(zip(words[3::2], words[4::2], strict=True))
    assert sorted(given) == sorted(
        [
            ("--model", "my model.keras"),
            ("--mean", "1.0,2.5,3.0"),
            ("--input-size", "96,128"),
            ("--method", "cam"),
            ("--method", "gradcam"),
            ("--class", "top3"),
            ("--class", "it's"),
            ("--intensity", "0.7"),
            ("--save", "overlay,array"),
            ("--top-k", "3"),
            ("--resize", "pad"),
        ]
    )


@pytest.mark.parametrize("text", [*HOSTILE, "$(touch x)", "`touch x`", "; touch x", "'; touch x #"])
def test_hostile_settings_stay_words(text: str) -> None:
    run = RunFile({"model": {"model": text}, "classes": [text], "unheard of": text}, text)
    line = command_line(run, [text + "/a.jpg"])
    assert len(line.splitlines()) == 1
    words = shlex.split(line)
    assert words[:2] == ["gradcam", "run"]
    assert words[3::2] == ["--model", "--class"]


@pytest.mark.parametrize("sources", [["--seed=1/a.jpg", "--seed=1/b.jpg"], ["--seed=1"]])
def test_no_picture_is_an_option(sources: list[str]) -> None:
    assert command_line(ran(), sources) == "gradcam run ./--seed=1"


@pytest.mark.parametrize("sources", [[], ["/a/b.jpg", "c.jpg"]])
def test_pictures_without_a_folder_of_their_own(sources: list[str]) -> None:
    line = command_line(ran(), sources)
    assert line == "# gradcam run SOURCES  (not known: the pictures)"
    assert shlex.split(line, comments=True) == [], "nothing that a shell would do"


def test_files_known_by_their_content_cannot_be_named() -> None:
    run = RunFile({"model": {"labels": "sha256:d5f1", "weights": "random, seed 3"}}, "")
    assert command_line(run, ["a.jpg"]).startswith("# gradcam run a.jpg --")


def test_what_was_typed_is_quoted_as_it_was() -> None:
    words = ("gradcam", "run", "it's.jpg", "/a b/c.jpg", "--limit", "60", "-o", "my maps")
    more = ("gradcam", "run", "d.jpg", "-o", "my maps")
    line = command_line(RunFile({"model": {"labels": "sha256:d5f1"}}, "", commands=(words,)), [])
    assert shlex.split(line) == list(words)
    both = command_line(RunFile({}, "", commands=(words, more)), [])
    assert shlex.split(both) == [*words, "&&", *more]


RUN = ("gradcam", "run")


def test_the_commands_of_all_shards_are_shown(tmp_path: Path) -> None:
    for shard in ("1-of-2", "2-of-2"):
        out = manifest(tmp_path / "out", done(shard), name=f"manifest-{shard}.jsonl")
        write_run(
            out / f"run-{shard}.json", RunFile({}, "same", commands=((*RUN, shard, "-o", "out"),))
        )
    found = read_settings(out)
    assert found is not None
    assert sorted(words[2] for words in found.commands) == ["1-of-2", "2-of-2"]


def test_the_latest_run_of_a_folder_is_read(tmp_path: Path) -> None:
    out = manifest(tmp_path / "out", done("a"))
    assert read_settings(out) is None
    assert read_settings(tmp_path / "nowhere") is None
    manifest(out, done("b"), name="manifest-1-of-2.jsonl")
    os.utime(out / "manifest.jsonl", (1, 1))
    write_run(out / "run.json", ran(images={"top_k": 1}))
    write_run(out / "run-1-of-2.json", ran(images={"top_k": 2}))
    found = read_settings(out)
    assert found is not None
    assert found.settings["top_k"] == 2


def test_all_that_is_known_is_listed() -> None:
    settings = {"a_b": 1, "none": None, "model": {"c": [1, 2]}}
    run = RunFile(settings, "", ("cam",), decided={"d": 0.5}, versions={"keras": "3"})
    assert setting_rows(run) == [
        *(("methods", "cam"), ("a b", "1"), ("c", "1,2"), ("d", "0.5"), ("keras", "3"))
    ]
    other = RunFile({"a_b": 2, "model": {"c": [1, 2]}, "e": True}, "", ("cam",))
    assert differing(run, other) == [("a b", "1", "2"), ("e", "", "True")]


@pytest.mark.parametrize("white", [None, "4095", -1, 70000, [1]])
def test_a_white_that_is_no_level_is_not_believed(white: object) -> None:
    assert white_level(RunFile(json.loads(json.dumps({"white": white})), "")) == 0
    assert white_level(RunFile({"white": 4095}, "")) == 4095
    assert white_level(None) == 0
