from __future__ import annotations

import csv
import importlib
import io
import json
from typing import Any

import pyarrow.parquet
import pytest

from gradcam_cli.errors import GradcamError
from gradcam_cli.export import tables
from gradcam_cli.export.rows import COLUMNS, FILE_KINDS, Cell, rows
from gradcam_cli.render.artifacts import ARTIFACTS
from gradcam_cli.store.records import Record
from tests.export.made import CAT, DOG, explained, failed, predicted, record


def table(*records: dict[str, Any]) -> list[list[Cell]]:
    return list(rows(Record.from_json(json.dumps(each)) for each in records))


def read_csv(found: list[list[Cell]]) -> list[dict[str, str]]:
    text = b"".join(tables.as_csv(found)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read_parquet(found: list[list[Cell]]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = pyarrow.parquet.read_table(
        io.BytesIO(tables.as_parquet(found))
    ).to_pylist()
    return listed


FULL = record(
    "photos/a.jpg",
    predictions=[predicted(1, CAT, 0.75), predicted(2, (3, "n1", "lynx"), 0.125)],
    explanations=[
        explained(peak=[12, 34], files={"overlay": "a.jpg.top1.jpg"}, sizes={"overlay": 9}),
        explained(method="layercam", empty=True, empty_reason="all negative"),
        explained(DOG, slot="class7", probability=None, score=-1.5),
    ],
    files={"panel": "a.jpg.panel.jpg"},
    sizes={"panel": 3},
)


def test_every_prediction_meets_every_map_of_its_class() -> None:
    found = read_parquet(table(FULL))
    shown = [(row["rank"], row["class_index"], row["method"], row["slot"]) for row in found]
    assert shown == [
        (1, 281, "gradcam", "top1"),
        (1, 281, "layercam", "top1"),
        (2, 3, None, None),
        (None, 7, "gradcam", "class7"),
    ]
    first, second, third, fourth = found
    assert (first["peak_x"], first["peak_y"], first["empty"]) == (12, 34, False)
    assert (first["overlay_file"], first["panel_file"]) == ("a.jpg.top1.jpg", "a.jpg.panel.jpg")
    assert (second["empty"], second["empty_reason"], second["peak_x"]) == (
        True,
        "all negative",
        None,
    )
    assert (third["probability"], third["class_name"], third["empty"]) == (0.125, "lynx", None)
    assert (fourth["probability"], fourth["score"]) == (None, -1.5)
    assert {row["source"] for row in found} == {"photos/a.jpg"}


def test_failed_images_have_a_row_that_says_why() -> None:
    (row,) = read_csv(table(failed("b.jpg")))
    assert {name: text for name, text in row.items() if text} == {
        "source": "b.jpg",
        "status": "failed",
        "failure": "truncated",
        "failure_message": "the file is not whole",
        "settings": "abc",
    }


def test_csv_and_parquet_say_the_same() -> None:
    found = table(FULL, failed("b.jpg"), record('c "1",\n2.jpg'))
    for text, typed in zip(read_csv(found), read_parquet(found), strict=True):
        assert list(text) == list(typed) == list(COLUMNS)
        for name, value in typed.items():
            expected = "" if value is None else str(value)
            expected = expected.lower() if isinstance(value, bool) else expected
            assert text[name].removeprefix("'") == expected


def test_no_text_of_a_csv_file_is_a_formula() -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1"]
    found = table(*(record(name) for name in names))
    assert [row["source"] for row in read_csv(found)] == [f"'{name}" for name in names]
    assert [row["source"] for row in read_parquet(found)] == names
    fourth = read_csv(table(FULL))[3]
    assert fourth["class_name"] == "'" + DOG[2]
    assert fourth["score"] == "-1.5"


def test_names_that_no_text_can_hold_are_escaped() -> None:
    found = table(record("caf\udce9.jpg", warning="a\0b"))
    for row in (*read_csv(found), *read_parquet(found)):
        assert (row["source"], row["warning"]) == ("caf\\udce9.jpg", "a\\x00b")


def test_a_run_without_images_is_a_table_without_rows() -> None:
    assert read_csv([]) == read_parquet([]) == []


def test_every_kind_of_file_has_a_column() -> None:
    assert set(FILE_KINDS) == set(ARTIFACTS)


def test_numbers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(GradcamError, match="Parquet"):
        tables.as_parquet(table(record("a.jpg", width=10**30)))


def test_without_pyarrow_its_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(GradcamError) as caught:
        tables.as_parquet([])
    assert caught.value.hint.startswith("pip install 'gradcam-cli[parquet]'")
