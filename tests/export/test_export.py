from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from gradcam_cli.store.reading import MANIFEST
from tests.commands.test_bars import screen
from tests.commands.test_show import in_terminal
from tests.export.made import CAT, DOG, explained, failed, folder, heat, old, predicted, record
from tests.processes import Result, inside, refusal

SPOT = np.zeros((4, 4), np.uint8)
SPOT[1, 2] = 255


def spotted(**other: Any) -> dict[str, Any]:
    return explained(heat=heat(SPOT), **other)


def coco(run: Path, *words: str | Path) -> tuple[dict[str, Any], Result]:
    result = inside("export", run, "--to", "coco", "-o", run / "out.json", *words)
    assert result.returncode == 0, result.stderr
    return json.loads((run / "out.json").read_text()), result


def test_boxes_are_detections_that_pycocotools_reads(tmp_path: Path) -> None:
    maps = [spotted(), spotted(known=DOG, probability=None, score=1.5, slot="class7")]
    run = folder(tmp_path / "run", [failed("b.jpg"), record("a.jpg", explanations=maps)])
    found, result = coco(run, "--threshold", "0.5")
    assert "2 images, 2 boxes, 1 failed" in result.stderr
    assert found["info"] == {"generator": "gradcam", "threshold": 0.5}
    read = COCO(str(run / "out.json"))
    (image,) = read.loadImgs(read.getImgIds())
    assert (image["file_name"], image["width"], image["height"]) == ("a.jpg", 40, 30)
    (cat,) = read.loadAnns(read.getAnnIds(imgIds=[image["id"]], catIds=[CAT[0]]))
    (dog,) = read.loadAnns(read.getAnnIds(catIds=read.getCatIds(catNms=[DOG[2]])))
    assert cat["score"] == 0.75
    assert (dog["score"], dog["slot"]) == (1.5, "class7")
    assert read.loadRes(found["annotations"]).getAnnIds() == [1, 2]


def test_a_box_is_where_the_heat_is_half_of_its_maximum(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", [record("a.jpg", explanations=[spotted()])])
    across = [x for x in range(40) if abs((x + 0.5) / 10 - 2.5) < 0.5]
    down = [y for y in range(30) if abs((y + 0.5) / 7.5 - 1.5) < 0.5]
    (box,) = coco(run, "--threshold", "0.5")[0]["annotations"]
    left, top, width, height = box["bbox"]
    assert (left, width) == pytest.approx((min(across), len(across)), abs=2)
    assert (top, height) == pytest.approx((min(down), len(down)), abs=2)
    assert 0 < box["area"] < width * height


def test_an_array_is_finer_than_the_record_and_none_outside_is_read(tmp_path: Path) -> None:
    raw = np.full((4, 4), -3, np.float32)
    raw[3, 0] = 8
    run = folder(tmp_path / "run", [])
    for place in (run / "in.npy", tmp_path / "out.npy"):
        np.save(place, raw)
    maps = [
        spotted(files={"array": name}, sizes={"array": 1})
        for name in ("in.npy", "../out.npy", "gone.npy", str(tmp_path / "out.npy"))
    ]
    folder(run, [record("a.jpg", explanations=maps)])
    first, *others = (each["bbox"] for each in coco(run)[0]["annotations"])
    assert first[0] == 0
    assert first[1] + first[3] == 30
    assert (
        others
        == [
            coco(folder(run, [record("a.jpg", explanations=[spotted()])]))[0]["annotations"][0][
                "bbox"
            ]
        ]
        * 3
    )


def test_how_images_were_fitted_is_known_from_the_run(tmp_path: Path) -> None:
    full = explained(heat=heat(np.full((4, 4), 255, np.uint8)))
    run = folder(tmp_path / "run", [record("a.jpg", explanations=[full])], resize="crop")
    assert coco(run)[0]["annotations"][0]["bbox"] == [5, 0, 30, 30]


def test_a_box_lies_where_the_record_has_the_cells(tmp_path: Path) -> None:
    cells = [32, 32, 4, 4, 7.5, 3.0, 0, 32, 10.0, 6.0, 0, 32]  # rows, then columns
    run = folder(tmp_path / "run", [record("a.jpg", explanations=[spotted(cells=cells)])])
    (box,) = coco(run, "--threshold", "0.5")[0]["annotations"]
    left, top, width, height = box["bbox"]
    # The hot cell is that of row 1 and column 2, at (10 + 2 x 6, 7.5 + 3) of an input of 32 x 32.
    assert left + width / 2 == pytest.approx((10 + 2 * 6) * 40 / 32, abs=1)
    assert top + height / 2 == pytest.approx((7.5 + 3) * 30 / 32, abs=1)
    assert (width, height) == pytest.approx((6 * 40 / 32, 3 * 30 / 32), abs=1.5)
    for wrong in ([32, 32, 4, 4, 7.5, 0, 0, 32, 10.0, 6.0, 0, 32], [1], [1e400] * 12):
        told = spotted(cells=[-1 if each == 1e400 else each for each in wrong])
        folder(run, [record("a.jpg", explanations=[told])])
        assert coco(run)[0]["annotations"]
    folder(run, [record("a.jpg", explanations=[spotted(cells=["a"])])])
    assert "line 1 of" in coco(run)[1].stderr


def test_maps_that_lie_elsewhere_are_named(tmp_path: Path) -> None:
    run = folder(
        tmp_path / "run",
        [
            record("a.jpg", explanations=[spotted(peak=[25, 11])]),
            record("b.jpg", explanations=[spotted(peak=[5, 25])]),
            record("c.jpg", explanations=[spotted(peak=[5000, 25])]),
        ],
    )
    assert "2 images whose boxes may lie elsewhere" in coco(run)[1].stderr


def test_shards_and_older_runs_and_damaged_lines(tmp_path: Path) -> None:
    new = record("a.jpg", explanations=[spotted()], predictions=[predicted(1, CAT, 0.75)])
    run = folder(tmp_path / "run", [new], "manifest-1-of-2.jsonl")
    before = old("b.jpg", explanations=[explained()], settings="other")
    folder(run, [before, failed("c.jpg")], "manifest-2-of-2.jsonl")
    with (run / "manifest-2-of-2.jsonl").open("a") as file:
        file.write("{no record}\n")
    found, result = coco(run)
    assert {each["file_name"] for each in found["images"]} == {"a.jpg", "b.jpg"}
    assert len(found["annotations"]) == 1
    assert "1 image with maps that are neither" in result.stderr
    assert "2 different settings" in result.stderr
    assert "line 3 of" in result.stderr
    result = inside("export", run, "--to", "csv")
    assert "line 3 of" in result.stderr
    with (run / "export.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["source"], row["method"]) for row in rows} == {
        ("a.jpg", "gradcam"),
        ("b.jpg", "gradcam"),
        ("c.jpg", ""),
    }


def test_what_cannot_have_a_box_has_none(tmp_path: Path) -> None:
    strange = [
        record("huge.jpg", explanations=[spotted()], width=10**9, height=10**9),
        record("less.jpg", explanations=[spotted()], width=-4, height=-5),
        record("none.jpg", explanations=[explained(empty=True, heat="")]),
        record("odd.jpg", explanations=[explained(heat="4x4:!")]),
    ]
    found, _ = coco(folder(tmp_path / "run", strange))
    assert [each["file_name"] for each in found["images"]] == ["none.jpg", "odd.jpg"]
    assert found["annotations"] == found["categories"] == []


def test_numbers_that_json_cannot_hold_are_none(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", [])
    line = json.dumps(record("a.jpg", explanations=[spotted(probability=0.123, score=None)]))
    (run / MANIFEST).write_text(line.replace("0.123", "1e999") + "\n")
    assert coco(run)[0]["annotations"][0]["score"] == 0


def test_a_bar_is_shown_in_a_terminal(tmp_path: Path) -> None:
    side = {"width": 10_000, "height": 10_000}  # a second's work, before which there is no bar
    large = [record(f"{n}.jpg", explanations=[spotted()], **side) for n in range(16)]
    run = folder(tmp_path / "run", large)
    words = ("-m", "gradcam_cli", "export", str(run), "--to", "coco")
    written = in_terminal(*words, cwd=tmp_path).decode()
    assert re.search(r"\d+/16 .*picture/s", written)
    assert screen(written.encode())[0].startswith("16 images, 16 boxes")


@pytest.mark.parametrize("kind", ["csv", "parquet", "coco"])
def test_only_an_export_of_the_same_kind_is_replaced(tmp_path: Path, kind: str) -> None:
    run = folder(tmp_path / "run", [record("a.jpg", explanations=[spotted()])])
    path = tmp_path / "out"
    for _ in range(2):
        assert inside("export", run, "--to", kind, "-o", path).returncode == 0
    before = path.read_bytes()
    for other in {"csv", "parquet", "coco"} - {kind}:
        assert "is there" in refusal("export", run, "--to", other, "-o", path).message
    assert path.read_bytes() == before
    for foreign in (b"", b"source,label\r\n", b'{"info": {}}', b"PAR1 others PAR1"):
        path.write_bytes(foreign)
        refusal("export", run, "--to", kind, "-o", path)
        assert path.read_bytes() == foreign
    refusal("export", run, "--to", kind, "-o", run)


def test_bad_input_is_refused(tmp_path: Path) -> None:
    assert "manifest" in refusal("export", tmp_path, "--to", "csv").message
    assert not list(tmp_path.iterdir())
    for wrong in ("nan", "1.5", "-0.1"):
        words = ("--to", "coco", f"--threshold={wrong}")
        assert "share" in refusal("export", tmp_path, *words).message


def test_no_model_is_loaded(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", [record("a.jpg", explanations=[spotted()])])
    code = (
        "import sys; from gradcam_cli.cli import app\n"
        f"app(['export', {str(run)!r}, '--to', 'coco'], standalone_mode=False)\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
