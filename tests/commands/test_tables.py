from __future__ import annotations

import io
import textwrap

import pytest
from rich.console import Console

from gradcam_cli.cam.methods import COSTS, METHODS
from gradcam_cli.commands.tables import table
from gradcam_cli.models.catalog import find, names

WIDTHS = (48, 60, 80, 100, 120, 10_000)
PATH = "photos/a_rather_long_folder/officer-0000001.jpg"
CASES = [
    ("changed", PATH, "58.7", "tabby: correlation 0.9413, limit 0.999; shift 0.02609, limit 0.01"),
    ("failed", "b.jpg", "", "the file is not whole"),
]


def shown(columns: tuple[str, ...], rows: list[tuple[object, ...]], width: int) -> list[str]:
    """Return the lines that a table takes, without the blanks at their ends."""
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False, emoji=False)
    console.print(table(columns, rows, width))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def whole(columns: tuple[str, ...], rows: list[tuple[object, ...]], width: int) -> str:
    """Return a table that fits, and breaks no word of its rows, in one piece of text."""
    lines = shown(columns, rows, width)
    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    for row in rows:
        assert set(" ".join(map(str, row)).split()) <= set(words)
    return "\n".join(lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_or_code_of_a_method_or_model_is_broken(width: int) -> None:
    rows = [
        (name, row.title, row.answers, COSTS[row.needs], row.paper) for name, row in METHODS.items()
    ]
    whole(("name", "title", "shows", "cost", "paper"), list(rows), width)
    entries = [find(name) for name in names()]
    known = [
        (each.name, f"{each.parameters / 1e6:.1f} M", each.layer, "to download") for each in entries
    ]
    text = whole(("name", "parameters#", "default layer", "weights"), list(known), width)
    assert "138.4 M" in text
    assert text.count("to download") == len(entries)


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_paths_and_numbers_stay_whole_where_sentences_are_wrapped(width: int) -> None:
    columns = ("", "picture", "times its limit#", "what")
    text = whole(columns, list(CASES), width)
    assert PATH in text
    tabular = text.splitlines()[-1].startswith("failed")
    assert tabular == (width >= 100)  # 7 + 47 + 5 + 20, and two blanks between
    if not tabular:
        assert text.count("picture ") == 2


def test_a_list_has_each_value_behind_its_name() -> None:
    rows: list[tuple[object, ...]] = [("vgg16", "138.4 M", ""), ("a" * 30, "4.7 M", "b c")]
    assert shown(("name", "size#", "long name"), rows, 30) == [
        *("name  vgg16", "size  138.4 M", ""),
        *(f"name  {'a' * 24}", f"      {'a' * 6}", "size  4.7 M", "long  b c", "name"),
    ]


def test_names_are_broken_where_numbers_need_the_columns() -> None:
    name = "a_name_without_blanks_" * 4
    lines = shown(("rank#", "name~", "id", "probability#"), [(1, name, "n02124075", "0.79")], 50)
    assert lines[0] == f"rank  {'name'.ljust(20)}  id         probability"
    assert [line[6:26].strip() for line in lines[1:]] == textwrap.wrap(name, 20)


def test_a_pipe_has_no_edge() -> None:
    long = "words " * 300 + "end"
    assert shown(("a", "b#"), [(long, 1)], 10_000)[1] == f"{long}  1"


def test_a_table_may_have_no_rows() -> None:
    assert shown(("index#", "name~"), [], 80) == ["index  name"]
