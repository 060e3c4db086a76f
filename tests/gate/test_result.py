"""What other programs read of a result: JUnit, Markdown, GitHub's commands, JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import markdown_it
import msgspec
import numpy as np
import pytest
import xmlschema
from defusedxml import ElementTree

from gradcam_cli.gate.audit import Place
from gradcam_cli.gate.baseline import Classes
from gradcam_cli.gate.judge import Case, Judge, Measured
from gradcam_cli.gate.junit import junit_xml
from gradcam_cli.gate.markdown import place_in_words, summary, workflow_commands
from gradcam_cli.gate.packed import PackedMap, unpack
from gradcam_cli.gate.result import Result, write_result
from gradcam_cli.spec.gate import GateSpec
from tests.gate.made import LABELS, class_map, entry, noise

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).with_name("junit.xsd")))

NASTY = "a\n::error::x|<b>&`%0A,:*_[x](http://y)\x00\x1b[31m\udcff\ufffe\u202e.jpg"


def cases(name: str = "a.jpg") -> list[Case]:
    judge = Judge(GateSpec(), Classes(4, "", 1, ()), LABELS, 4)
    same = judge("same.jpg", entry(), entry())
    little = judge("little.jpg", entry(), entry(class_map(probability=0.85)))
    much = judge(name, entry(), entry(class_map(raw=noise(5))))
    return [
        same,
        little,
        replace(much, files={"diff": f"d/{name}.png"}),
        Case("gone.jpg", "missing", ("it is in the baseline",), before=entry()),
        Case("new.jpg", "new", ("it is not in the baseline",), now=entry()),
        Case("broken.jpg", "failed", ("truncated: the file is not whole",)),
        Case("allowed.jpg", "allowed", notes=("it is in the baseline",), before=entry()),
    ]


PLACE = Place(
    index=0,
    name="cat",
    pictures=20,
    mean=np.full((16, 16), 1 / 256),
    share=0.6,
    sameness=0.9,
    chance=0.001,
    centre=(0.1, 0.9),
    ranked=(("a.jpg", 0.9),),
    measured=Measured("heat in one place", 0.6, 0.5, 1.2),
)


def test_counts_order_and_verdict() -> None:
    result = Result("check", cases())
    assert result.counts == {
        "changed": 2,
        "missing": 1,
        "new": 1,
        "failed": 1,
        "allowed": 1,
        "same": 1,
    }
    shown = [case.picture for case in result.worst_first()]
    assert shown == [
        *("a.jpg", "little.jpg", "gone.jpg", "new.jpg", "broken.jpg"),
        *("allowed.jpg", "same.jpg"),
    ]
    assert result.differs
    assert not result.passed
    assert not Result("check", cases()[5:]).differs
    assert not Result("check", cases()[5:]).passed
    assert Result("check", cases()[:1]).passed
    assert Result("audit", cases()[:1], [PLACE]).differs
    assert Result("audit", [], [PLACE]).sentence().endswith("too much heat in one place: cat")
    assert result.sentence().startswith("1 of 7 pictures as in the baseline, 2 changed, 1 missing")


@pytest.mark.parametrize("name", ["a.jpg", NASTY])
def test_junit_is_what_ci_systems_read(name: str) -> None:
    data = junit_xml(Result("check", cases(name), [PLACE]))
    SCHEMA.validate(data.decode())
    suite = ElementTree.fromstring(data).find("testsuite")
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "8", "failures": "5", "errors": "1", "skipped": "1"}
    first = suite.find("testcase")
    assert first.find("failure").get("message").startswith("correlation")
    assert "cat: correlation -0." in first.findtext("system-out")


def test_junit_of_nothing() -> None:
    SCHEMA.validate(junit_xml(Result("audit", [])).decode())


def test_the_summary_is_a_table_that_names_do_not_break() -> None:
    text = summary(Result("check", cases(NASTY), [PLACE], changes=["resize squash, now crop"]))
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(text)
    rows = sum(token.type == "tr_open" for token in tokens)
    assert rows == (1 + 5) + (1 + 1)
    inline = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inline} <= {"text", "text_special"}
    shown = "".join(child.content for child in inline)
    assert "::error::x|<b>&`%0A,:*_[x](http://y)" in shown
    assert "top right" in shown
    assert not any(ord(letter) < 32 and letter != "\n" for letter in text)


@pytest.mark.parametrize("most", [1_000_000, 20_000, 3_000])
def test_a_long_summary_is_cut_between_lines(most: int) -> None:
    one = cases()[2]
    many = [replace(one, picture=f"{'ä' * 40}{number}.jpg") for number in range(9000)]
    text = summary(Result("check", many), most)
    assert len(text.encode()) <= most
    *_, last = text.splitlines()
    kept = text.count("| changed |")
    assert last == f"{9000 - kept} more lines were cut off here."
    assert kept > 3


def test_no_summary_where_there_is_no_room() -> None:
    assert len(summary(Result("check", cases()), 400).encode()) <= 400
    assert summary(Result("check", cases()), -5) == ""
    long = Result("check", cases(), changes=["ä" * 3000] * 60)
    assert len(summary(long, 5000).encode()) <= 5000


def test_at_most_ten_commands() -> None:
    one = cases()[2]
    many = [replace(one, picture=f"{number}.jpg") for number in range(30)]
    lines = workflow_commands(Result("check", many))
    assert len(lines) == 10
    assert lines[-1] == "::error title=gradcam::21 more differ"
    assert len(workflow_commands(Result("check", many[:10]))) == 10
    assert workflow_commands(Result("check", cases()[:1])) == []


def test_a_class_in_one_place_has_a_command_of_its_own() -> None:
    lines = workflow_commands(Result("audit", [cases()[2]], [PLACE]))
    assert lines[0] == "::error title=gradcam one place::cat: heat in one place 0.6, limit 0.5"
    assert len(lines) == 2
    below = replace(PLACE, measured=Measured("heat in one place", 0.4, 0.5, 0.8))
    assert workflow_commands(Result("audit", [], [below])) == []


def undone(text: str) -> str:
    """How GitHub's runner takes a command's escapes back."""
    for code, letter in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, letter)
    return text


def test_commands_cannot_be_broken_out_of() -> None:
    (line,) = workflow_commands(Result("check", [cases(NASTY)[2]]))
    assert "\n" not in line
    _, properties, message = line.split("::", 2)
    kind, _, rest = properties.partition(" ")
    values = dict(each.split("=", 1) for each in rest.split(","))
    assert kind == "error"
    expected = NASTY.encode("utf-8", "backslashreplace").decode()
    assert undone(values["file"]) == expected
    assert undone(message).startswith(f"{expected}: correlation")


def test_the_file_holds_both_maps(tmp_path: Path) -> None:
    path = tmp_path / "check.json"
    write_result(path, Result("check", cases(NASTY), [PLACE], baseline="b.json"))
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert not whole["passed"]
    assert whole["counts"]["changed"] == 2
    assert whole["places"][0]["one_place"]
    worst = whole["pictures"][0]
    (shown,) = worst["maps"]
    for side, seed in (("before", 0), ("now", 5)):
        found = unpack(msgspec.convert(shown[side]["map"], PackedMap))
        assert found is not None
        np.testing.assert_allclose(found, noise(seed).astype(float), atol=1e-3)
    assert {number["name"] for number in shown["numbers"]} >= {"correlation", "rank correlation"}


def test_places_in_words() -> None:
    assert place_in_words((0.1, 0.1)) == "top left"
    assert place_in_words((0.9, 0.5)) == "bottom"
    assert place_in_words((0.5, 0.5)) == "middle"
