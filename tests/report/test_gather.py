from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.images.proportions import far_off
from gradcam_cli.report.gather import Gathered, Run, gather
from gradcam_cli.report.truth import Truth
from gradcam_cli.store.records import Record
from gradcam_cli.store.runfile import RunFile
from tests.report.made import HEATS, done, explained, failed, guess, heatmap


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def data(found: Gathered) -> dict[str, Any]:
    read = json.loads(b"".join(found.pieces()))
    assert isinstance(read, dict)
    return read


def gathered(out: Path, records: Iterable[Record], **more: Any) -> Gathered:
    return gather(Run(out, records), out / "report.html", **more)


def test_all_that_a_page_shows(out: Path) -> None:
    records = [explained(out, "cat/a.png"), explained(out, "cat/b.png", 1), failed("cat/c.png")]
    ticks: list[int] = []
    found = gathered(out, records, truth=Truth(), tick=lambda: ticks.append(1))
    read = data(found)
    assert len(ticks) == found.summary.pictures == 3
    assert [row[0] for row in read["records"]] == ["cat/a.png", "cat/b.png", "cat/c.png"]
    assert [row[7:10] for row in read["records"][:2]] == [
        ["../cat/a.png", records[0].sha256[:16], 0],
        ["../cat/b.png", records[1].sha256[:16], 0],
    ]
    borders = [row[4][0][8] for row in read["records"][:2]]
    assert borders == [0.36, 0.36], "a quarter lies in the border as far as the whole"
    assert read["means"] == [[0, 0, 2, "2x2:gIAaAA=="]], "255 and 0, 0 and 255, 0 and 51"
    assert read["truths"] == [["cat", [0]]]
    assert read["pairs"] == [[0, 0, 2]]
    assert (found.originals, found.missing, found.alone, found.left) == (2, 0, 0, 0)
    assert found.sources == ["cat/a.png", "cat/b.png", "cat/c.png"]
    assert "runs" not in read


def test_maps_by_another_method_have_a_mean_of_their_own(out: Path) -> None:
    one = replace(heatmap(), heat=HEATS[0])
    other = replace(heatmap(layer="conv1"), heat=HEATS[2])
    read = data(gathered(out, [done("a", maps=[one, other]), done("b", maps=[one])]))
    assert read["means"] == [[0, 0, 2, HEATS[0]], [0, 1, 1, HEATS[2]]]
    assert read["makers"] == [["gradcam", "block5_conv3"], ["gradcam", "conv1"]]


def test_two_runs_side_by_side(out: Path) -> None:
    theirs = out.parent / "theirs"
    ours = [explained(out, "a.png", 0), explained(out, "b.png", 1), done("alone")]
    others = [
        replace(ours[1], explanations=(replace(heatmap(), heat=HEATS[1]),)),
        replace(ours[0], source="moved", explanations=(replace(heatmap(), heat=HEATS[2]),)),
        done("left", guess("dog", 0.5, 2)),
    ]
    found = gathered(out, ours, other=Run(theirs, others))
    read = data(found)
    assert read["runs"] == ["out", "theirs"]
    assert read["otherBase"] == "../theirs/"
    assert [row[10][2] for row in read["records"][:2]] == [1.0, 0.0], "nothing, and all in common"
    assert len(read["records"][2]) < 11
    assert (found.alone, found.left) == (1, 1)


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "out", tmp_path / "b" / "out"
    found = gather(Run(one, []), one / "compare.html", other=Run(other, []))
    assert found.names == [str(one), str(other)]


def test_overlays_that_are_gone_are_drawn_again_or_counted(out: Path) -> None:
    records = [explained(out, "a.png"), explained(out, "b.png", 1)]
    for path in out.glob("*.png"):
        path.unlink()
    (out.parent / "b.png").unlink()
    found = gathered(out, records)
    assert (found.redrawn, found.missing, found.originals) == (1, 1, 1)
    shown = [row[4][0][7] for row in data(found)["records"]]
    assert re.fullmatch("[0-9a-f]{16}", shown[0])
    assert shown[1] == ""
    found = gathered(out, records[1:], other=Run(out, records))
    assert (found.redrawn, found.missing) == (0, 2), "of both runs"


def test_the_run_s_own_colours_and_shape(out: Path) -> None:
    settings = RunFile({"colormap": "gray", "resize": "crop"}, "")
    read = data(gather(Run(out, [], settings), out / "report.html"))
    assert (read["colours"][0], read["colours"][-1]) == ("#000000", "#ffffff")
    assert read["squashed"] is False
    assert data(gathered(out, []))["squashed"] is True


def test_a_note_on_one_image_is_its_warning(out: Path) -> None:
    """The terminal warns of it by name, and the model's notes have no place for that."""
    stretched = far_off((100, 300), (224, 224), "squash", False)
    assert stretched
    model = "the scaling is in the model"
    records = [
        done("a.png", notes=(model,)),
        done("b.png", notes=(model, stretched)),
        done("c.png", notes=(stretched,), warning="the JPEG is damaged"),
    ]
    found = gathered(out, records)
    warnings = [row[5] if len(row) > 5 else "" for row in data(found)["records"]]
    assert warnings == ["", stretched, f"the JPEG is damaged; {stretched}"]
    assert (found.summary.with_warning, found.summary.notes) == (2, (model,))
