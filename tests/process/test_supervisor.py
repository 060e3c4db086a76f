"""Processes that end without a word of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.processes import gradcam

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a parent")

PROGRAM = """
import ctypes, os, signal, sys, time
from gradcam_cli import cli
def end():
    os.write(2, b"native words\\n")
    {end}
cli.app.command()(end)
sys.argv = ["gradcam", *sys.argv[1:], "end"]
cli.main()
"""


READY = "print('ready', flush=True); time.sleep(30)"


def ends(end: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb that ends so, having written to descriptor 2 as C libraries do."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("end", "code", "named"),
    [
        ("ctypes.CDLL(None)._exit(1)", 70, "a library ended the process"),
        ("ctypes.CDLL(None).exit(1)", 70, "a library ended the process"),
        ("os._exit(0)", 70, "a library ended the process"),
        ("ctypes.CDLL(None).abort()", 134, "the process was ended by SIGABRT"),
        ("ctypes.string_at(0)", 139, "the process was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "the process was ended by SIGKILL"),
    ],
)
def test_the_last_lines_are_shown(end: str, code: int, named: str) -> None:
    result = ends(end)
    assert (result.returncode, result.stdout) == (code, "")
    *_, native, error, hint = result.stderr.splitlines()
    assert (native, error) == ("native words", f"error: {named}; its last lines are above")
    assert hint.startswith("hint: ")
    debug = ends(end, "--debug")
    assert debug.returncode == code
    assert debug.stderr.startswith("native words\n")
    assert f"error: {named}\n" in debug.stderr


def test_an_orderly_end_is_what_the_worker_says() -> None:
    assert ends("raise SystemError('x')").returncode == 70
    for code in (0, 3):
        result = ends(f"import typer; raise typer.Exit({code})")
        assert (result.returncode, result.stderr) == (code, "")
    at_exit = ends("import atexit; atexit.register(ctypes.string_at, 0)")  # all was done by then
    assert (at_exit.returncode, at_exit.stderr) == (0, "")


def test_an_unknown_flag_of_tensorflow(tmp_path: Path, tiny: Path) -> None:
    result = gradcam("layers", tiny, cwd=tmp_path, env={"TF_XLA_FLAGS": "--nonsense"})
    assert (result.returncode, result.stdout) == (70, "")
    native, error, _ = result.stderr.splitlines()
    assert native.endswith("Unknown flag in TF_XLA_FLAGS: --nonsense")
    assert error == "error: a library ended the process; its last lines are above"


def start(end: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(end=end)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_process_reaches_the_worker(number: int) -> None:
    process = start("print(flush=True); time.sleep(60)")
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    process.communicate()


def test_a_caller_that_ignores_its_childrens_end() -> None:
    """The kernel then tells nobody of them; the program starts with the same disregard."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end="os._exit(5)")],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
        timeout=60,
        check=False,
    )
    assert result.returncode == 70


def test_a_worker_dies_with_its_parent() -> None:
    process = start(READY)
    process.kill()
    assert process.wait(20) == -signal.SIGKILL
    process.communicate(timeout=20)  # comes to an end when no process has the pipe any more


def test_a_terminal_that_closes_ends_the_session_leader() -> None:
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(end=READY)],
        stdin=there,
        stdout=there,
        stderr=there,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(there)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(here, 4096)
    os.close(here)
    assert process.wait(20) == 129
