"""Streams that are closed, full or gone, and surroundings that lack something."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import gradcam

PROGRAM = f'"{sys.executable}" -m gradcam_cli'
CLOSED = "error: standard output is closed\nhint: lead it to a file or to /dev/null\n"
FULL = "error: cannot write standard output: No space left on device\nhint: "


def shell(command: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line in which ``gradcam`` stands for the program, in a POSIX shell."""
    return subprocess.run(
        ["sh", "-c", command.replace("gradcam", PROGRAM, 1)],
        cwd=cwd,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("gradcam methods >&-", 2, CLOSED),
        ("gradcam --version >&-", 2, CLOSED),
        ("gradcam nosuch >&-", 2, "error: No such command 'nosuch'."),
        ("gradcam --help >/dev/full", 2, FULL),
        ("gradcam models --json >/dev/full", 2, FULL),
        ("gradcam --debug classes cat >/dev/full", 2, FULL),
        ("gradcam predict - <&-", 2, "error: there is no list on standard input\nhint: "),
        ("gradcam --debug predict - <&-", 2, "Traceback (most recent call last):\n"),
        ("gradcam methods -x <&- >&- 2>&-", 2, ""),
        ("gradcam nosuch 2>/dev/full", 2, ""),
        ("gradcam methods 2>&-", 0, ""),
        ("gradcam methods 2>/dev/full", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(
    command: str, code: int, said: str, tmp_path: Path
) -> None:
    result = shell(command, tmp_path, PYTHONUNBUFFERED="")
    assert (result.returncode, result.stderr.startswith(said)) == (code, True), result
    assert bool(result.stderr) == bool(said)
    assert ("arXiv" in result.stdout) == (code == 0)
    assert "bug" not in result.stderr


def test_closed_streams_are_not_taken_by_files_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    result = shell("gradcam classes c --labels labels.txt --json <&- 2>&-", tmp_path)
    assert (result.returncode, result.stdout) == (0, '{"index": 0, "id": "", "name": "cat"}\n')


def test_an_unbuffered_output_that_is_full(tmp_path: Path) -> None:
    result = shell("gradcam models --json >/dev/full", tmp_path, PYTHONUNBUFFERED="1")
    assert (result.returncode, result.stderr.startswith(FULL)) == (2, True)


@pytest.mark.parametrize("command", ["gradcam report out", "gradcam --debug report out"])
def test_a_working_folder_that_is_gone(command: str, tmp_path: Path) -> None:
    result = shell(f"mkdir gone; cd gone; rmdir ../gone; {command}", tmp_path)
    assert result.returncode == 2
    *_, error, hint = result.stderr.splitlines()
    assert error == "error: the working folder does not exist any more"
    assert hint.startswith("hint: ")
    fine = shell("mkdir gone; cd gone; rmdir ../gone; gradcam classes cat --json", tmp_path)
    assert (fine.returncode, fine.stderr) == (0, "")


def test_alone_it_prints_help_and_nothing_else(tmp_path: Path) -> None:
    alone, asked = gradcam(cwd=tmp_path), gradcam("--help", cwd=tmp_path)
    assert (alone.returncode, alone.stderr) == (2, "")
    assert "Usage: " in asked.stdout
    assert alone.stdout.split() == asked.stdout.split()


def test_warnings_and_chatter_of_libraries_are_not_shown(tmp_path: Path) -> None:
    code = (
        "import os, sys, logging, warnings\nfrom gradcam_cli import cli\n"
        "def noisy():\n"
        "    warnings.warn('a warning'); logging.warning('a log'); os.write(2, b'native\\n')\n"
        "cli.app.command()(noisy)\nsys.argv = ['gradcam', *sys.argv[1:], 'noisy']\ncli.main()\n"
    )
    for debug in (False, True):
        words = [sys.executable, "-W", "error", "-c", code] if not debug else [
            sys.executable, "-c", code, "--debug"
        ]  # fmt: skip
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
        seen = [text in result.stderr for text in ("a warning", "a log", "native")]
        assert seen == [debug] * 3


def test_no_folder_for_temporary_files(tmp_path: Path) -> None:
    """Where no file may grow, none of the places that Python tries will do."""
    code = (
        "import sys, tempfile\nfrom gradcam_cli import cli\n"
        "cli.app.command('needy')(lambda: tempfile.mkdtemp())\n"
        "sys.argv = ['gradcam', 'needy']\ncli.main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: there is no folder for temporary files\nhint: ")


@pytest.mark.parametrize("refusal", ["OSError(errno.ENOLCK, 'no locks')", "NotImplementedError"])
def test_an_output_disk_without_locks(refusal: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import errno, fcntl\ndef flock(*_):\n    raise {refusal}\nfcntl.flock = flock\n",
        encoding="utf-8",
    )
    (tmp_path / "a.png").write_bytes(b"no picture")
    words = ("run", "a.png", "-m", "efficientnet-lite0", "-o", "out")
    result = gradcam(*words, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: the disk of out has no file locks")
