"""The long campaign, for a moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def attack(*words: str, keep: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.attack", *words, "--keep", str(keep)],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_a_short_campaign_ends_well(tmp_path: Path) -> None:
    result = attack("--pictures", "60", "--models", "8", keep=tmp_path)
    counts = [line.split()[:2] for line in result.stdout.splitlines()[:-1]]
    total = {kind: sum(int(n) for k, n in counts if k == kind) for kind in ("picture", "model")}
    assert total == {"picture": 60, "model": 8}, result
    assert result.returncode == 0, result.stdout


def test_one_case_can_be_run_again(tmp_path: Path) -> None:
    result = attack("--only", "picture-17", keep=tmp_path)
    assert result.stdout.splitlines()[0].split()[:2] == ["picture", "1"], result
    assert result.stdout.splitlines()[-1].startswith("seed 1: 0 of 1 ended as they must not")
