"""A command in a fork of a warm process is the command that users start."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.images.encode import encode
from tests import warm
from tests.processes import gradcam, records
from tests.tiny import noise

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux alone")

TIMES = {"seconds": 0, "written_ns": 0, "mtime_ns": 0}


def test_a_warm_run_is_a_cold_one(tiny: Path, tmp_path: Path) -> None:
    """Code, both streams, standard input, working folder, files; a picture fails, one is named."""
    assert warm.is_possible(os.environ)
    found: list[Any] = []
    for name in ("cold", "warm"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.png").write_bytes(encode(noise(1), "png"))
        (folder / "none.png").write_bytes(b"no picture")
        words = ("run", "-", "--model", tiny, "--save", "overlay,array", "-o", "out")
        listed = "a.png\nnone.png\n"
        ended = gradcam(*words, cwd=folder, stdin=listed, cold=name == "cold")
        assert ended.returncode == 3, ended.stderr
        files = {path.name: path.read_bytes() for path in (folder / "out").rglob("a.png.*")}
        done = [each | TIMES for each in records(folder / "out")]
        found.append((ended.returncode, ended.stdout, ended.stderr, files, done))
    cold, again = found
    assert cold == again
    assert len(cold[3]) == 2


def test_a_fork_has_what_it_was_given_and_no_more(tiny: Path, tmp_path: Path) -> None:
    """Which modules of the program are loaded shows that it was not there before the fork."""
    (tmp_path / "own.py").write_text(
        "import os, sys\n"
        "open('seen', 'w').write('\\n'.join([os.environ['PYTEST_CURRENT_TEST'], *sys.argv[1:]]))\n"
        "assert 'gradcam_cli.report.page' not in sys.modules\n"
        "assert sys.modules['__main__'].__package__ == 'gradcam_cli'\n"
        "assert {int(fd) for fd in os.listdir('/proc/self/fd')} & {0, 1, 2} == {0, 1, 2}\n",
        encoding="utf-8",
    )
    words = ("layers", str(tiny), "--custom-objects", "own.py")
    ended = gradcam(*words, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    here, *seen = (tmp_path / "seen").read_text(encoding="utf-8").splitlines()
    assert here == os.environ["PYTEST_CURRENT_TEST"]
    assert seen == list(words)


def test_variables_that_libraries_may_heed_ask_for_a_start_of_its_own() -> None:
    assert not warm.is_possible({**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"})
    assert warm.is_possible({**os.environ, "PYTEST_CURRENT_TEST": "another"})
