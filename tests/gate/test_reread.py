"""A result is read again as it was written; one that somebody changed is refused in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.baseline import Classes
from gradcam_cli.gate.judge import Case, Judge
from gradcam_cli.gate.reread import read_result
from gradcam_cli.gate.result import Result, write_result
from gradcam_cli.spec.gate import GateSpec
from tests.gate.made import LABELS, class_map, entry, noise


def written(folder: Path) -> Path:
    judge = Judge(GateSpec(), Classes(4, "", 1, ()), LABELS, 4)
    cases = [
        judge("same.jpg", entry(), entry()),
        judge("much.jpg", entry(), entry(class_map(raw=noise(5)))),
        Case("gone.jpg", "missing", ("it is gone",), before=entry()),
        Case("bad.jpg", "failed", ("truncated: not whole",)),
    ]
    path = folder / "check.json"
    write_result(path, Result("check", cases, limits={"min_iou": ["0.6"]}))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    plain = json.loads(path.read_text())
    read = read_result(path)
    assert [each.picture for each in read.pictures] == [p["picture"] for p in plain["pictures"]]
    much = next(each for each in read.pictures if each.picture == "much.jpg")
    (pair,) = much.maps
    side = pair.now
    assert side is not None
    assert pair.entry(side) == class_map(raw=noise(5))
    assert {each.name: each.limit for each in pair.numbers}["correlation"] == 0.999


def edited(path: Path, edit: Callable[[Any], object]) -> Path:
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))
    return path


def _first(values: Any) -> Any:
    return next(each for each in values["pictures"] if each["maps"])


def _map(values: Any) -> Any:
    return _first(values)["maps"][0]["now"]["map"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda v: v.pop("kind"), "neither a run's folder nor the result of a check"),
        (lambda v: v.update(schema_version=9), "has format 9"),
        (lambda v: v.update(kind="run"), "damaged"),
        (lambda v: _first(v).update(status="<b>"), "damaged"),
        (lambda v: _first(v).update(beyond=-1), "damaged"),
        (lambda v: _first(v).update(width=1 << 40), "damaged"),
        (lambda v: _first(v)["now"].update(sha256="../../etc/passwd"), "damaged"),
        (lambda v: _map(v).update(cells="!"), "not base64"),
        (lambda v: _map(v).update(shape=[900, 900]), "damaged"),
        (lambda v: _map(v).update(shape=[3, 3]), "bytes for 9 cells"),
        (lambda v: _map(v).update(low=2, high=1), "lowest value"),
        (lambda v: _first(v)["maps"][0].update(before=None, now=None), "no map at all"),
        (lambda v: _first(v).update(reasons=["x" * 30_000]), "damaged"),
    ],
)
def test_what_no_check_wrote_is_refused(
    tmp_path: Path, edit: Callable[[Any], object], said: str
) -> None:
    path = edited(written(tmp_path), edit)
    with pytest.raises(GradcamError) as error:
        read_result(path)
    assert said in error.value.message
    assert "\n" not in error.value.message
    assert len(error.value.message) < 600 + len(str(path))


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"\xff\xfe", b"[]", b"null"])
def test_other_files_are_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(GradcamError, match="nor the result of a check"):
        read_result(path)
