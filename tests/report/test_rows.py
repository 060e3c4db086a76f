from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcam_cli.cam.empty import CAUSES
from gradcam_cli.report.rows import Compared, Rows, below_common, safe_json
from gradcam_cli.report.thumbnails import Shown
from gradcam_cli.store.records import Prediction, Record
from tests.report.made import HOSTILE, done, failed, guess, heatmap
from tests.report.test_addresses import LEADING_OUT

ANY_TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(HOSTILE)


def read(rows: Rows) -> dict[str, Any]:
    found = json.loads(b"".join(rows.pieces({})))
    assert isinstance(found, dict)
    return found


def data(*records: Record, base: str = "") -> dict[str, Any]:
    rows = Rows(base)
    for record in records:
        rows.add(record)
    return read(rows)


def test_a_record_in_few_characters() -> None:
    first, second = guess("cat", 0.7973123456), guess("dog", None, 2, 2)
    files = {"overlay": "a.jpg.top1.jpg", "heatmap": "a.jpg.top1.heatmap.jpg"}
    maps = [
        replace(heatmap(files=files), heat="1x1:/w=="),
        heatmap(reason="all negative", probability=None, layer="conv1"),
    ]
    rows = Rows("../out/")
    shown = Shown("../in/a.jpg", "0123456789abcdef", ("fedcba9876543210", ""))
    rows.add(done("a.jpg", first, second, maps=maps), shown, (0.123456, None), 4)
    assert read(rows) == {
        "base": "../out/",
        "records": [
            [
                *("a.jpg", 40, 30, [[0, 0.797312, 2.5], [1, None, 2.5]]),
                [
                    [
                        *(0, 0.5, 2.5, [3, 4], None, "a.jpg.top1.jpg", "a.jpg.top1.heatmap.jpg"),
                        *("fedcba9876543210", 0.1235, "1x1:/w=="),
                    ],
                    [0, None, 2.5, None, 0, "", "", "", None, "", 1],
                ],
                *("", None, "../in/a.jpg", "0123456789abcdef", 4),
            ]
        ],
        "classes": [[1, "n1", "cat"], [2, "n2", "dog"]],
        "reasons": [["all negative", CAUSES["all negative"]]],
        "makers": [["gradcam", "block5_conv3"], ["gradcam", "conv1"]],
    }


def test_the_same_picture_of_another_run() -> None:
    rows = Rows()
    theirs = done("a", guess("dog", 0.25, 2), maps=[heatmap("dog", {"overlay": "o.jpg"})])
    compared = Compared(theirs, Shown(maps=("0123456789abcdef",)), 0.12345)
    rows.add(done("a", guess("cat")), other=compared)
    (row,) = read(rows)["records"]
    overlay = [2, 0.5, 2.5, [3, 4], None, "o.jpg", "", "0123456789abcdef"]
    assert row[10] == [[[1, 0.25, 2.5]], [overlay], 0.1235]
    assert read(rows)["classes"] == [[1, "n1", "cat"], [2, "n2", "dog"], [1, "n1", "dog"]]


def test_a_warning_and_a_failure() -> None:
    nameless = Record(source="c", status="failed")
    found = data(done("a", warning="odd"), failed("b"), nameless)
    assert found["records"] == [
        ["a", 40, 30, [], [], "odd"],
        ["b", 0, 0, [], [], "", ["empty", "the file is empty"]],
        ["c", 0, 0, [], [], "", ["", ""]],
    ]


@pytest.mark.parametrize("name", LEADING_OUT)
def test_what_leads_out_of_the_folder_is_not_linked(name: str) -> None:
    record = done("a", maps=[heatmap(files={"overlay": name, "heatmap": name})])
    assert data(record)["records"][0][4] == [[0, 0.5, 2.5, [3, 4]]]


def test_an_unknown_reason_has_no_words() -> None:
    found = data(done("a", maps=[heatmap(reason=text) for text in ("", "odd", "odd")]))
    assert found["reasons"] == [["", ""], ["odd", ""]]
    assert [each[4] for each in found["records"][0][4]] == [0, 1, 1]


@pytest.mark.parametrize("number", [math.inf, math.nan, 10**400])
def test_numbers_that_json_lacks_are_absent(number: float) -> None:
    row = Prediction(1, 1, "n1", "cat", number, number)
    assert data(done("a", row))["records"][0][3] == [[0]]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_and_is_never_markup(text: str) -> None:
    record = done(text, guess(text), maps=[heatmap(text, reason=text)], warning=text)
    rows = Rows(text)
    rows.add(record, Shown(text, text, (text,)), other=Compared(record, Shown(text), None))
    rows.add(failed("b", text, text))
    written = b"".join(rows.pieces({text: [text]}))
    assert written.isascii()
    assert not set(written) & set(b"<>&\x00\x07\x1b\r\t")
    found = json.loads(written)
    assert found["base"] == found["records"][0][0] == found["records"][0][5] == text
    assert found["classes"] == [[1, "n1", text]]
    assert found["reasons"] == [[text, ""]]
    assert found["records"][1][6] == [text, text]
    assert found[text] == [text]


@given(ANY_TEXT)
def test_any_text_is_safe_json(text: str) -> None:
    written = safe_json([text, {text: 1}])
    assert written.isascii()
    assert not set(written) & set("<>&")
    assert json.loads(written) == [text, {text: 1}]


def test_images_are_named_without_the_folder_that_has_them_all() -> None:
    known = ["/home/anna/photos/a/1.jpg", "/home/anna/photos/b/2.jpg", "typed/3.jpg", "../4.jpg"]
    assert below_common(known) == ["a/1.jpg", "b/2.jpg", "typed/3.jpg", "../4.jpg"]
    assert below_common(known[:1]) == ["1.jpg"]
    assert below_common([]) == []
