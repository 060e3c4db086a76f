from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradcam_cli import regular
from gradcam_cli.regular import MOST_BYTES, check_regular, open_regular, pieces, read_bounded
from tests.processes import refusal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names")

KINDS = ("pipe", "socket", "folder", "/dev/zero", "/dev/tty", "broken", "circle", "none")
OPTIONS = (
    ("--labels",),
    ("--architecture",),
    ("--custom-objects",),
    ("--weights",),
    ("--input", "x="),
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that is not a regular file, in the working folder; nothing may take 20 s."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(regular, "_PATIENCE", 0.2)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("folder", "a.jpg").write_bytes(b"")
    Path("broken").symlink_to("nowhere")
    Path("circle").symlink_to("circle")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_regular_file_is_not_opened(kind: str) -> None:
    for refused in (check_regular, open_regular, lambda path: read_bounded(path, "--config")):
        with pytest.raises(OSError, match=r"not a regular file|links|exist|No such file") as caught:
            refused(Path(kind))
        assert caught.value.strerror


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(OSError, match="such a name") as caught:
        check_regular(Path("a\0b"))
    assert caught.value.errno == errno.EINVAL


def test_a_pipe_that_takes_a_files_place(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Path(__file__).stat()
    monkeypatch.setattr(Path, "stat", lambda _: facts)  # as it was a moment ago
    with pytest.raises(OSError, match="named pipe"):
        open_regular(Path("pipe"))


def test_a_size_beyond_the_bound_is_not_read() -> None:
    for option, most in MOST_BYTES.items():
        with Path("large").open("wb") as file:
            file.truncate(most)
        check_regular(Path("large"), option)
        os.truncate("large", most + 1)
        for refused in (check_regular, open_regular, read_bounded):
            with pytest.raises(OSError, match=f"{option} takes at most"):
                refused(Path("large"), option)


def test_the_null_device_is_an_empty_file() -> None:
    assert read_bounded(Path(os.devnull), "--labels") == b""


def test_what_a_pipe_held_is_there_again() -> None:
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(b"cat\ndog\n",))
    writer.start()
    for _ in range(2):
        assert read_bounded(Path("pipe"), "--labels", piped=True) == b"cat\ndog\n"
    writer.join()


def test_a_pipe_without_an_end_is_given_up() -> None:
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as endless:
        assert endless.stdout
        path = Path(f"/dev/fd/{endless.stdout.fileno()}")
        with pytest.raises(OSError, match="more than 32 MB"):
            read_bounded(path, "--labels", piped=True)
        endless.kill()


def test_a_pipe_that_nobody_writes_into_is_given_up() -> None:
    for path in (Path("pipe"),):
        with pytest.raises(OSError, match="nobody writes into"):
            list(pieces(path))
    read, write = os.pipe()
    os.close(write)
    assert list(pieces(Path(f"/dev/fd/{read}"))) == []  # whoever wrote it had nothing to say
    os.close(read)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option[0])
def test_every_option_says_what_it_was_given(kind: str, option: tuple[str, ...]) -> None:
    name, *before = option
    Path("a.jpg").write_bytes(b"")
    value = "".join(before) + kind
    error = refusal("predict", "a.jpg", "--model", "efficientnet-lite0", name, value)
    assert error.message.startswith(f"{name}: ")
    assert kind in error.message
    assert error.hint


@pytest.mark.parametrize("kind", KINDS)
def test_lists_and_folders(kind: str) -> None:
    assert kind in refusal("predict", f"@{kind}").message
    if kind not in ("folder", "none"):
        assert kind in refusal("run", "folder", "--output-dir", kind).message
    assert kind in refusal("report", kind).message


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
def test_a_manifest_that_is_none(kind: str) -> None:
    (Path("folder") / "manifest.jsonl").symlink_to(Path(kind).absolute())
    assert "manifest.jsonl" in refusal("report", "folder").message or kind in ("broken", "circle")


def test_waiting_for_a_pipe_can_be_interrupted() -> None:
    end = os.open("pipe", os.O_RDWR)  # somebody is there, and silent
    command = [sys.executable, "-m", "gradcam_cli", "classes", "--labels", "pipe"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        time.sleep(2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    os.close(end)
