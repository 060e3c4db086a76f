from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from gradcam_cli.store.records import (
    SCHEMA_VERSION,
    ExplanationRecord,
    Failure,
    Prediction,
    Record,
)

RECORD = Record(
    source="in/a.jpg",
    status="ok",
    width=32,
    height=24,
    sha256="ab" * 32,
    size=1000,
    mtime_ns=1_700_000_000_123_456_789,
    warning="a complaint",
    notes=("scaling inside the model",),
    model="vgg16",
    weights="imagenet",
    score_kind="logit",
    precision="float32",
    settings="0123456789abcdef",
    predictions=(Prediction(1, 386, "n02504458", "African_elephant", 0.1 + 0.2, 1 / 3),),
    explanations=(
        ExplanationRecord(
            index=386,
            id="n02504458",
            name="African_elephant",
            probability=None,
            score=-13.2,
            empty=False,
            empty_reason="",
            peak=(3, 5),
            files={"overlay": "in/a.jpg.top1.jpg"},
            sizes={"overlay": 4711},
            slot="top1",
            method="gradcam",
            layer="block5_conv3",
        ),
        ExplanationRecord(0, "", "x", None, None, True, "not finite", None, {}, {}),
    ),
    seconds=0.25,
)
FAILED = Record(source="b.jpg", status="failed", error=Failure("empty", "the file is empty"))


@pytest.mark.parametrize("version", [1, SCHEMA_VERSION])
def test_records_of_version_1_are_read(version: int) -> None:
    record = replace(RECORD, version=version)
    line = json.loads(record.to_json())
    assert line["schema_version"] == version
    assert next(iter(line)) == "schema_version"
    assert Record.from_json(json.dumps(line)) == record
    for name in ("files", "sizes"):  # those of the whole picture came later
        line.pop(name)
    assert Record.from_json(json.dumps(line)) == record


@pytest.mark.parametrize("record", [RECORD, FAILED])
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize(
    "name", ["a b.jpg", "a\nb.jpg", "\udcff\udc00.jpg", "\u202egpj.a", "🐘.jpg"]
)
def test_any_name_is_one_plain_line(name: str) -> None:
    line = replace(RECORD, source=name).to_json()
    assert line.isascii()
    assert "\n" not in line
    assert Record.from_json(line).source == name


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(RECORD, seconds=math.nan).to_json()


def test_failed_and_empty() -> None:
    assert FAILED.failed
    assert not RECORD.failed
    assert RECORD.empty
    assert not replace(RECORD, explanations=RECORD.explanations[:1]).empty


def broken() -> dict[str, str]:
    whole = json.loads(RECORD.to_json())
    explanation = whole["explanations"][0]

    def with_explanation(**values: Any) -> dict[str, Any]:
        return {**whole, "explanations": [{**explanation, **values}]}

    lines = {
        "another version": {**whole, "schema_version": 0},
        "a later version": {**whole, "schema_version": SCHEMA_VERSION + 1},
        "no version": {k: v for k, v in whole.items() if k != "schema_version"},
        "no predictions": {k: v for k, v in whole.items() if k != "predictions"},
        "an unknown key": {**whole, "colour": "red"},
        "no digest": {**whole, "sha256": "none"},
        "no list": {**whole, "explanations": None},
        "a prediction of another kind": {**whole, "predictions": [{"rank": 1}]},
        "a file without a size": with_explanation(sizes={}),
        "files in a list": with_explanation(files=["a"]),
        "a file whose name is a number": with_explanation(files={"overlay": 7}),
        "a peak of one number": with_explanation(peak=[1]),
        "a peak beyond numbers": with_explanation(peak=[1, math.inf]),
        "a map empty by a word": with_explanation(empty="no"),
        "a source that is not text": {**whole, "source": ["a.jpg"]},
        "a width in words": {**whole, "width": "wide"},
        "a probability in words": {
            **whole,
            "predictions": [{**whole["predictions"][0], "probability": "high"}],
        },
        "a failure without words": {**whole, "error": {"kind": "empty", "message": None}},
    }
    texts = {name: json.dumps(line) for name, line in lines.items()}
    return {
        **texts,
        "a list": "[]",
        "a number": "1",
        "text": "hello",
        "half": RECORD.to_json()[:80],
    }


@pytest.mark.parametrize("name", list(broken()))
def test_what_is_no_whole_record_is_refused(name: str) -> None:
    assert broken()[name] != RECORD.to_json()
    with pytest.raises(ValueError, match=r"."):
        Record.from_json(broken()[name])


def test_readers_find_every_key_they_know() -> None:
    record = json.loads(RECORD.to_json())
    assert record.keys() >= {
        *("schema_version", "source", "status", "error", "width", "height", "sha256", "model"),
        *("weights", "score_kind", "settings", "predictions", "explanations"),
        *("seconds", "warning"),
    }
    assert list(record["predictions"][0]) == ["rank", "index", "id", "name", "probability", "score"]
    assert record["explanations"][0].keys() >= {"slot", "method", "layer", "index", "peak"}
    assert record["explanations"][0]["files"] == {"overlay": "in/a.jpg.top1.jpg"}
    assert json.loads(FAILED.to_json())["error"] == {
        "kind": "empty",
        "message": "the file is empty",
    }


def test_a_line_nested_too_deeply_is_no_record() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        Record.from_json('{"a":' + "[" * 200_000 + "]" * 200_000 + "}")
