"""What a terminal shows after bars and tables were printed to it, by a small one of our own."""

from __future__ import annotations

import re
from pathlib import Path

from tests.commands.test_show import in_terminal

MIXED = """
import sys, time
from gradcam_cli.commands import say
from gradcam_cli.commands.costs import costs
with say.progress(6, 0, False) as tick, costs(6, False) as passes:
    time.sleep(1.1)
    for number in range(6):
        passes(1, 2)
        say.table(("rank#", "name"), [(number, "cat")], title=f"{number}.jpg")
        passes(2, 2)
        time.sleep(0.15)
        tick()
        say.warn(f"warned of {number}")
        say.line(f"line {number}")
        say.note("noted")
    say.at_once("at once")
print("the end")
"""


def screen(written: bytes) -> list[str]:
    """Return the lines that a terminal of endless height shows."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", written.decode()):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[A":
            row -= 1
        elif part == "\x1b[K":
            lines[row] = lines[row][:column]
        elif not part.startswith("\x1b"):
            before, after = lines[row][:column].ljust(column), lines[row][column + len(part) :]
            lines[row], column = before + part + after, column + len(part)
    return [line.rstrip() for line in lines]


def test_tables_and_warnings_stand_above_the_bars(tmp_path: Path) -> None:
    written = in_terminal("-c", MIXED, cwd=tmp_path)
    assert b"picture" in written  # both bars were there
    assert b"pass" in written
    shown = [line for line in screen(written) if line and "a picture, " not in line]
    pieces = [
        *("{0}.jpg", "rank  name", "   {0}  cat"),
        *("warning: warned of {0}", "line {0}", "noted"),
    ]
    expected = [piece.format(number) for number in range(6) for piece in pieces]
    assert shown == [*expected, "at once", "the end"]
    assert len(screen(written)) <= len(shown) + 3  # bars leave no holes


def test_names_are_wrapped_where_the_terminal_is_narrow(tmp_path: Path) -> None:
    table = (
        "from gradcam_cli.commands import say\n"
        "rows = [(1, 'a_very_long_name_of_a_class ' * 3, 'n02124075', '0.7973')]\n"
        "say.table(('rank#', 'name~', 'id', 'probability#'), rows)\n"
    )
    for width in (80, 50, 42, 36):
        lines = screen(in_terminal("-c", table, cwd=tmp_path, COLUMNS=str(width)))
        assert all(len(line) <= width for line in lines)
        assert re.fullmatch(r"rank  name +id +probability", lines[0])
        assert re.fullmatch(r"   1  \S.* n02124075 +0\.7973", lines[1])
        names = [line[6 : lines[0].index("id")] for line in lines[1:]]
        assert "".join("".join(names).split()) == "a_very_long_name_of_a_class" * 3
    narrow = list(filter(None, screen(in_terminal("-c", table, cwd=tmp_path, COLUMNS="30"))))
    assert (narrow[0], narrow[-2], narrow[-1]) == (
        *("rank         1", "id           n02124075"),
        "probability  0.7973",
    )
    assert "".join(line[13:] for line in narrow[1:-2]) == "a_very_long_name_of_a_class" * 3
