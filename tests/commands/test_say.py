from __future__ import annotations

import os
import pty
import re
import sys

import pytest

from gradcam_cli.commands import say
from gradcam_cli.errors import GradcamError


def test_names_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a :x: [b] :warning:.jpg"
    say.warn(name)
    say.note(name)
    say.error(GradcamError(name, name))
    say.table(("file",), [(name,)], title=name)
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"warning: {name}", name, f"error: {name}", f"hint: {name}"]
    assert shown.out.count(name) == 2


def on_terminal(columns: int, code: str) -> list[str]:
    """Return the lines that code of ``say`` writes to a terminal so wide, without its colours."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"TERM": "xterm", "COLUMNS": str(columns)})
        os.execv(sys.executable, [sys.executable, "-c", code])
    written = b""
    try:
        while piece := os.read(terminal, 65536):
            written += piece
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, written
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written.decode())
    return [line.rstrip() for line in plain.splitlines()]


def test_sentences_end_their_lines_between_words_and_paths_stay_whole() -> None:
    path = "a/" * 30 + "out"
    sentence = f"12 pictures done; most time went into network; heatmaps in {path} as they were"
    code = f"from gradcam_cli.commands import say\nsay.note({sentence!r})\nsay.warn({sentence!r})"
    lines = on_terminal(40, code)
    assert " ".join(lines).split() == [*sentence.split(), "warning:", *sentence.split()]
    assert [line for line in lines if len(line) > 40] == [path, path]
    assert len(lines) > 6


PREDICTED = """
from gradcam_cli.commands import say
from gradcam_cli.store.records import Prediction, Record
names = ("German_shepherd", "kelpie")
rows = [Prediction(n, n, "n0210666%d" % n, name, .5, 1.) for n, name in enumerate(names, 1)]
say.predictions(Record("a.jpg", "ok", predictions=tuple(rows)))
"""


def test_the_id_gives_way_before_the_name() -> None:
    full = on_terminal(80, PREDICTED)
    assert full[1].split() == ["rank", "name", "id", "probability"]
    assert full[2].split() == ["1", "German_shepherd", "n02106661", "0.5000"]
    for columns in (40, 34):  # 45 are needed with the id
        lines = on_terminal(columns, PREDICTED)
        assert lines[1].split() == ["rank", "name", "probability"]
        assert lines[2].split() == ["1", "German_shepherd", "0.5000"]
    narrow = on_terminal(30, PREDICTED)
    assert narrow[1].split() == ["rank", "name", "probability"]
    assert narrow[2].split() == ["1", "German_shep", "0.5000"]
    assert narrow[3].split() == ["herd"]
