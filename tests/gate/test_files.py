"""What others take from the repository: workflow, job, action, image, hook."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from gradcam_cli.cli import app
from tests.tiny import save_tiny, write_pictures

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, flags=re.S)
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


def parsed(text: str) -> Any:
    return yaml.safe_load(text)


def commands(values: Any) -> Iterator[str]:
    """Every line of any text in a YAML document that calls gradcam."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from commands(value)
    elif isinstance(values, str):
        yield from (line.strip() for line in values.splitlines() if "gradcam check" in line)


def check_options(words: list[str]) -> None:
    """Raise where ``gradcam check`` does not know an option, or what is given to it."""
    group: Any = typer.main.get_command(app)
    group.commands["check"].make_context("check", words)


def test_the_workflow_is_one() -> None:
    workflow, job = map(parsed, BLOCKS)
    assert set(workflow) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads `on` as true
    steps = workflow["jobs"]["gradcam"]["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    assert all(PINNED.fullmatch(step["uses"]) for step in steps if "uses" in step)
    assert steps[-1]["if"] == "always()"
    assert job["gradcam"]["artifacts"]["reports"] == {"junit": "junit.xml"}


@pytest.mark.parametrize("block", BLOCKS)
def test_commands_of_the_readme_are_known(block: str) -> None:
    lines = list(commands(parsed(block)))
    assert len(lines) == 1
    check_options(shlex.split(lines[0])[2:])


def test_the_action_pins_what_it_uses_and_hands_inputs_over_as_variables() -> None:
    action = parsed((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"])
        else:
            assert step["shell"] == "bash"
            assert "${{" not in step["run"]  # a name with a quote would become a command
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    for name in re.findall(r"inputs\.([\w-]+)", text):
        assert name in action["inputs"]


def test_the_action_runs_as_it_is_written(tmp_path: Path) -> None:
    save_tiny(tmp_path / "tiny.keras")
    write_pictures(tmp_path / "in", 2)
    words = ["baseline", "in", "-m", "tiny.keras", "-o", "my baseline.json", "-q"]
    assert int(_in(tmp_path, words)) == 0
    action = parsed((ROOT / "action.yml").read_text(encoding="utf-8"))
    (step,) = [each for each in action["runs"]["steps"] if each.get("id") == "check"]
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    program = bin_folder / "gradcam"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gradcam_cli "$@"\n')
    program.chmod(0o755)
    given = {
        "BASELINE": "my baseline.json",
        "SOURCES": "in/000.jpg\nin/001.jpg",
        "MODEL": "tiny.keras",
        "OPTIONS": "--min-iou=0.5\n--max-border-heat=1\n",
        "RESULTS": str(tmp_path / "results"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
    }
    assert set(step["env"]) == {"BASELINE", "SOURCES", "MODEL", "OPTIONS", "RESULTS"}
    result = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "2 of 2 pictures as in the baseline" in result.stderr
    names = {each.name for each in (tmp_path / "results").iterdir()}
    assert names >= {"check.json", "check.html", "junit.xml", "summary.md"}


def _in(folder: Path, words: list[str]) -> Any:
    before = Path.cwd()
    os.chdir(folder)
    try:
        return app(words, standalone_mode=False)
    finally:
        os.chdir(before)


def test_the_image_is_slim_and_runs_as_nobody_in_particular() -> None:
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
    steps = [(line[0], line[1]) for line in lines]
    assert re.fullmatch(r"python:3\.\d+-slim", steps[0][1])
    users = [value for name, value in steps if name == "USER"]
    assert users == ["10001"]
    assert steps.index(("USER", "10001")) > max(
        place for place, (name, _) in enumerate(steps) if name == "RUN"
    )
    assert ("ENTRYPOINT", '["gradcam"]') in steps
    copied = [value.split()[:-1] for name, value in steps if name == "COPY"]
    for source in (each for sources in copied for each in sources):
        assert (ROOT / source).exists()
        ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        assert source not in ignored


def test_the_hook_calls_a_command_that_is_there() -> None:
    (hook,) = parsed((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert hook["language"] == "python"
    assert re.search(hook["files"], "models/my.keras")
    assert re.search(hook["files"], "tests/baseline.json")
    assert not re.search(hook["files"], "README.md")
    assert hook["entry"] == "gradcam check"
    check_options(hook["args"])
