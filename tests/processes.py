"""The program as users start it: a process of its own, with its exit code and streams."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli import cli
from gradcam_cli.errors import GradcamError
from tests import warm

SAMPLES = Path(__file__).parent.parent / "sample_images"
LITE0 = ("--model", "efficientnet-lite0")

LOADING = frozenset(
    {
        *("run", "predict", "baseline", "check", "audit", "scalings", "layers"),
        *("doctor", "bench"),
    }
)
"""The commands that have use for TensorFlow, where nothing is refused before."""

Result = subprocess.CompletedProcess[str]


def gradcam(
    *arguments: str | Path,
    cwd: Path,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cold: bool = False,
) -> Result:
    """Run ``gradcam ARGUMENTS`` in ``cwd``.

    A command that needs TensorFlow runs in a fork of a process that has loaded it, unless
    variables may change how libraries load, or ``cold`` asks for a start like any user's.
    """
    words = [str(argument) for argument in arguments]
    whole = {**os.environ, **(env or {})}
    if not cold and words[:1] and words[0] in LOADING and warm.is_possible(whole):
        return warm.run(words, cwd, whole, stdin)
    return subprocess.run(
        [sys.executable, "-m", "gradcam_cli", *words],
        cwd=cwd,
        input=stdin,
        env=whole,
        capture_output=True,
        text=True,
        timeout=warm.SECONDS,
        check=False,
    )


def refusal(*arguments: str | Path) -> GradcamError:
    """Return the error of a refused command, run in this process: TensorFlow is here already."""
    with pytest.raises(GradcamError) as caught:
        cli.app([str(argument) for argument in arguments], standalone_mode=False)
    assert caught.value.exit_code == 2
    return caught.value


def inside(*arguments: str | Path) -> Result:
    """Run ``gradcam ARGUMENTS`` in this process, which has TensorFlow, for what it says and writes.

    Paths are absolute. What belongs to a process (its streams, its start and its end) is not shown.
    """
    said = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with redirect_stdout(said[0]), redirect_stderr(said[1]):
        code = cli._run([str(argument) for argument in arguments], "", debug=False)
    for stream in said:
        stream.seek(0)
    return subprocess.CompletedProcess(arguments, code, said[0].read(), said[1].read())


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the manifest of an output folder."""
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def problem(result: Result) -> str:
    """Return the standard error of a refused command: one ``error:`` line, one ``hint:`` line."""
    assert result.returncode == 2, result
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["error:", "hint:"], result.stderr
    return result.stderr
