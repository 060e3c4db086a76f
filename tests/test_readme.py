from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gradcam_cli.errors import ExitCode, FailureKind
from tests.processes import gradcam, records

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def script(name: str) -> ModuleType:
    """Import one of the scripts in docs."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def examples() -> list[str]:
    """Every pasteable run of the README that needs nothing but the repository."""
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("gradcam run") and "sample_images" in line]


def test_generated_parts_are_up_to_date() -> None:
    made = script("generate")
    assert made.filled(README) == README, "run `python docs/generate.py`"
    assert set(made.EXIT_CODES) == set(ExitCode)
    assert set(made.FAILURES) == set(FailureKind)
    for name in made.PARTS:
        assert f"<!-- generated: {name} -->\n|" in README


def test_there_are_examples_to_run() -> None:
    assert len(examples()) >= 3


@pytest.mark.parametrize("command", examples())
def test_an_example_works_as_pasted(command: str, tmp_path: Path) -> None:
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")
    if set(command) & set("|&;<>()$`*?[]~#\\"):
        program = f'"{sys.executable}" -m gradcam_cli'
        result = subprocess.run(
            command.replace("gradcam ", f"{program} ", 1),
            shell=True,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    else:  # words and quotes, and nothing for a shell to do
        result = gradcam(*shlex.split(command)[1:], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    output = re.search(r"-o (\S+)", command)
    done = records(tmp_path / (output[1] if output else "gradcam_output"))
    assert done
    assert all(record["status"] == "ok" for record in done)


def test_the_first_example_prints_what_the_readme_shows(tmp_path: Path) -> None:
    shown = re.search(r"```text\n\$ gradcam (.*?)\n(.*?)```", README, flags=re.S)
    assert shown is not None
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")
    result = subprocess.run(
        [sys.executable, "-m", "gradcam_cli", *shown[1].split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = result.stdout + result.stderr
    printed = [line.split() for line in said.splitlines()]
    for line in shown[2].splitlines():
        assert line.split()[:3] in [row[:3] for row in printed]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_each_picture_stands_beside_the_command_that_makes_it() -> None:
    for command in script("figures").COMMANDS:
        assert f"`gradcam {command}`" in README
    for name in re.findall(r"\]\((docs/[^)]+\.(?:webp|jpg))\)", README):
        assert (ROOT / name).stat().st_size < 150_000, name
