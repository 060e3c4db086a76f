from __future__ import annotations

import json
import math
import os
import posixpath
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcam_cli.cam.empty import CAUSES
from gradcam_cli.report.rows import Rows, address, safe_json
from gradcam_cli.store.records import Prediction, Record
from tests.report.made import HOSTILE, done, failed, guess, heatmap

ANY_TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(HOSTILE)


def data(*records: Record, base: str = "") -> dict[str, Any]:
    rows = Rows(base)
    for record in records:
        rows.add(record)
    read = json.loads(b"".join(rows.pieces()))
    assert isinstance(read, dict)
    return read


def test_a_record_in_few_characters() -> None:
    first, second = guess("cat", 0.7973123456), guess("dog", None, 2, 2)
    overlay = {"overlay": "a.jpg.top1.jpg", "heatmap": "a.jpg.top1.heatmap.jpg"}
    maps = [heatmap(files=overlay), heatmap(reason="all negative", probability=None)]
    assert data(done("a.jpg", first, second, maps=maps), base="../out/") == {
        "base": "../out/",
        "records": [
            [
                *("a.jpg", 40, 30, [[0, 0.797312], [1, None, 2.5]]),
                [[0, 0.5, 2.5, [3, 4], None, "a.jpg.top1.jpg"], [0, None, 2.5, None, 0]],
            ]
        ],
        "classes": [[1, "n1", "cat"], [2, "n2", "dog"]],
        "reasons": [["all negative", CAUSES["all negative"]]],
    }


def test_a_warning_and_a_failure() -> None:
    nameless = Record(source="c", status="failed")
    read = data(done("a", warning="odd"), failed("b"), nameless)
    assert read["records"] == [
        ["a", 40, 30, [], [], "odd"],
        ["b", 0, 0, [], [], "", ["empty", "the file is empty"]],
        ["c", 0, 0, [], [], "", ["", ""]],
    ]


def test_a_heatmap_stands_in_for_a_missing_overlay() -> None:
    ways = ({"heatmap": "h.jpg"}, {"overlay": "/etc/o.jpg", "heatmap": "h.jpg"})
    for files in ways:
        assert data(done("a", maps=[heatmap(files=files)]))["records"][0][4][0][5] == "h.jpg"
    read = data(done("a", maps=[heatmap(files={"array": "a.npy"})]))
    assert read["records"][0][4] == [[0, 0.5, 2.5, [3, 4]]]


def test_an_unknown_reason_has_no_words() -> None:
    read = data(done("a", maps=[heatmap(reason=""), heatmap(reason="odd"), heatmap(reason="odd")]))
    assert read["reasons"] == [["", ""], ["odd", ""]]
    assert [each[4] for each in read["records"][0][4]] == [0, 1, 1]


@pytest.mark.parametrize("number", [math.inf, math.nan, 10**400])
def test_numbers_that_json_lacks_are_absent(number: float) -> None:
    row = Prediction(1, 1, "n1", "cat", number, number)
    assert data(done("a", row))["records"][0][3] == [[0]]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_and_is_never_markup(text: str) -> None:
    record = done(text, guess(text), maps=[heatmap(text, reason=text)], warning=text)
    rows = Rows(text)
    rows.add(record)
    rows.add(failed("b", text, text))
    written = b"".join(rows.pieces())
    assert written.isascii()
    assert not set(written) & set(b"<>&\x00\x07\x1b\r\t")
    read = json.loads(written)
    assert read["base"] == read["records"][0][0] == read["records"][0][5] == text
    assert read["classes"] == [[1, "n1", text]]
    assert read["reasons"] == [[text, ""]]
    assert read["records"][1][6] == [text, text]


@given(ANY_TEXT)
def test_any_text_is_safe_json(text: str) -> None:
    written = safe_json([text, {text: 1}])
    assert written.isascii()
    assert not set(written) & set("<>&")
    assert json.loads(written) == [text, {text: 1}]


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "/", "/etc/passwd", "//host/a.jpg", "../a.jpg", "a/../../b.jpg", "a/.."),
        *("javascript:alert(1)", "data:text/html,x", "http://host/a.jpg", "C:/a.jpg", "a:b.jpg"),
        *("\\\\host\\a.jpg", "..\\a.jpg", "a\\..\\..\\b.jpg", "a\0.jpg", "\ud800.jpg"),
    ],
)
def test_what_leads_out_of_the_folder_is_not_linked(name: str) -> None:
    assert address(name) == ""
    record = done("a", maps=[heatmap(files={"overlay": name, "heatmap": name})])
    assert data(record)["records"][0][4] == [[0, 0.5, 2.5, [3, 4]]]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("in/a.jpg.top1.jpg", "in/a.jpg.top1.jpg"),
        ("@up/a b.jpg", "%40up/a%20b.jpg"),
        ("50%.jpg?#x", "50%25.jpg%3F%23x"),
        ("%2e%2e/a.jpg", "%252e%252e/a.jpg"),
        ("caf\udce9.jpg", "caf%E9.jpg"),
        ("é<\"'>.jpg", "%C3%A9%3C%22%27%3E.jpg"),
        ("..a/b..jpg", "..a/b..jpg"),
        ("./a//b.jpg", "a/b.jpg"),
    ],
)
def test_a_name_becomes_the_url_of_its_file(name: str, url: str) -> None:
    assert address(name) == url


@given(
    ANY_TEXT | st.lists(st.sampled_from(["..", ".", "a", "/", "%2e%2e", ":", "\\"])).map("".join)
)
def test_no_name_s_url_leaves_the_folder(name: str) -> None:
    url = address(name)
    if not url:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    path = os.fsdecode(unquote_to_bytes(url))
    assert path == posixpath.normpath(name)
    assert not path.startswith("/")
    assert ".." not in path.split("/")
