"""How the libraries beneath the program are set up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import gradcam

THREADS = """
import os
import re
from gradcam_cli.cli import set_up
set_up()
import numpy
print(len(os.listdir("/proc/self/task")))
"""


def threads(**environ: str) -> int:
    words = [sys.executable, "-c", THREADS]
    return int(subprocess.check_output(words, env=os.environ | environ, timeout=120))


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_numpy_has_no_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    two = min(2, len(os.sched_getaffinity(0)))
    assert threads() == 1
    assert threads(OPENBLAS_NUM_THREADS="2") == two  # the user's own choice
    assert threads(OMP_NUM_THREADS="2") == two


def test_one_dnn_is_on_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert '"oneDNN": "1"' in gradcam("doctor", "--json", cwd=tmp_path, cold=True).stdout
    own = gradcam("doctor", "--json", cwd=tmp_path, env={"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert '"oneDNN": "0"' in own.stdout


@pytest.mark.parametrize("verb", ["run", "check", "audit", "bench"])
def test_no_option_is_cut_in_the_help_of_a_usual_terminal(verb: str, tmp_path: Path) -> None:
    shown = gradcam(verb, "--help", cwd=tmp_path, env={"COLUMNS": "80"}).stdout
    assert len(re.findall(r"^│ (?:-\w|--[a-z-]+) ", shown, flags=re.M)) > 5
    assert "…" not in shown


def test_the_help_of_run_has_the_daily_options_first_and_examples_last(tmp_path: Path) -> None:
    shown = gradcam("run", "--help", cwd=tmp_path, env={"COLUMNS": "100"}).stdout
    panels = re.split(r"^╭─ (.+?) ─+╮$", shown, flags=re.M)
    assert panels[3:7:2] == ["Options", "Most used"]
    daily = re.findall(r"^│ (--[a-z-]+)", panels[6], flags=re.M)
    assert len(daily) == 10
    assert {"--model", "--class", "--layer", "--save", "--output-dir"} < set(daily)
    rest = re.findall(r"^│ (--[a-z-]+)", "".join(panels[8::2]), flags=re.M)
    assert not {*daily} & {*rest}
    examples = re.findall(r"^ gradcam (run .+?) *$", panels[-1], flags=re.M)
    assert len(examples) == 3
    for example in examples:
        assert {word for word in example.split() if word.startswith("--")} <= {*daily, *rest}
    assert "where the network found its evidence for the class" in " ".join(shown.split())
    assert "where the network\n" not in shown.replace(" \n", "\n")
