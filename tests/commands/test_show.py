from __future__ import annotations

import os
import pty
import re
import select
import sys
import termios
import tty
from fcntl import ioctl
from pathlib import Path
from struct import pack

import pytest
from PIL import Image

from gradcam_cli.commands.show import check_shown
from gradcam_cli.errors import GradcamError
from tests.processes import LITE0, SAMPLES, gradcam

SHOW = """
from pathlib import Path
from gradcam_cli.commands.show import show
from gradcam_cli.store.records import ExplanationRecord, Prediction, Record
files = {"overlay": "a.png"}
map = ExplanationRecord(3, "", "cat", .5, 1., False, "", (0, 0), files, {"overlay": 1}, "top1")
guess = Prediction(1, 3, "", "a_cat", .5, 1.)
record = Record("a.jpg", "ok", predictions=(guess,), explanations=(map,))
print("shown", show(record, Path()))
"""
PLAIN, SIXEL = b"\x1b[?62;c\x1b_Gi=1;ENOTSUP\x1b\\", b"\x1b[?62;4c"
KITTY = b"\x1b[?62;c\x1b_Gi=1;OK\x1b\\"


def in_terminal(*words: str, cwd: Path, answers: bytes = PLAIN, **environment: str) -> bytes:
    """Return what a command writes to a terminal of 80 x 24 cells.

    What the terminal will be asked it has answered before, so that no time runs out.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", **environment})
        os.execv(sys.executable, [sys.executable, *words])
    ioctl(terminal, termios.TIOCSWINSZ, pack("HHHH", 24, 80, 800, 480))
    tty.setcbreak(terminal)
    os.write(terminal, answers)
    written = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            written += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, written
    return written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = Image.new("RGB", (400, 200), (200, 10, 20))
    image.paste((5, 60, 250), (200, 0, 400, 200))
    image.save(tmp_path / "a.png")
    return tmp_path


def test_half_blocks_have_the_overlays_colours_beside_the_predictions(folder: Path) -> None:
    written = in_terminal("-c", SHOW, cwd=folder).decode()
    lines = [line for line in written.splitlines() if "▀" in line]
    assert len(lines) == 12  # 48 columns beside the table, 400 x 200 in cells of 10 x 20
    colours = re.findall(r"38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)", lines[4])
    found = [[int(level) for level in each] for each in colours]
    assert found[:17] == [[200, 10, 20] * 2] * 17  # between, they are mixed
    assert found[-17:] == [[5, 60, 250] * 2] * 17
    assert len(found) == 48
    assert re.search(r"1.*a_cat.*0\.5000", lines[1])
    assert "shown True" in written


def test_the_best_that_a_terminal_can_is_used(folder: Path) -> None:
    sixels = in_terminal("-c", SHOW, cwd=folder, answers=SIXEL)
    assert re.search(rb"\x1bP[0-9;]*q", sixels)
    graphics = in_terminal("-c", SHOW, cwd=folder, answers=KITTY)
    assert graphics.count(b"\x1b_G") > 1
    for written in (sixels, graphics):
        assert "▀" not in written.decode()
        assert b"a_cat" in written


def test_a_narrow_terminal_has_the_table_whole_below(folder: Path) -> None:
    written = in_terminal("-c", SHOW, cwd=folder, COLUMNS="36").decode()
    lines = [line for line in written.splitlines() if "a_cat" in line]
    assert len(lines) == 1
    assert "0.5000" in lines[0]
    assert "▀" not in lines[0]


def test_nothing_is_shown_without_colours_or_an_overlay(folder: Path) -> None:
    assert b"shown False" in in_terminal("-c", SHOW, cwd=folder, NO_COLOR="1")
    assert b"shown False" in in_terminal("-c", SHOW, cwd=folder, TERM="dumb")
    (folder / "a.png").write_bytes(b"no picture")
    assert b"shown False" in in_terminal("-c", SHOW, cwd=folder)


def test_show_needs_the_overlay() -> None:
    with pytest.raises(GradcamError, match="leaves out") as caught:
        check_shown(("array", "panel"))
    assert caught.value.hint == "--save array,overlay,panel"


def test_run_shows_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    words = ("run", str(SAMPLES / "cat.jpg"), *LITE0, "--show", "-k", "2")
    written = in_terminal("-m", "gradcam_cli", *words, cwd=tmp_path)
    assert written.decode().count("▀") > 200
    assert written.count(b"Egyptian_cat") == 1
    again = gradcam(*words, cwd=tmp_path)
    assert again.returncode == 0
    assert again.stdout == ""
