from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gradcam_cli.cam.answer import Answer, ClassMap, Facts
from gradcam_cli.engine.files import UNPLACED
from gradcam_cli.engine.steps import Failed, Held, Prepared, prepare
from gradcam_cli.errors import FailureKind, GradcamError, ImageError
from gradcam_cli.images.encode import encode
from gradcam_cli.images.fit import Cells, Span
from gradcam_cli.models.load import Model
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.store.records import Record
from tests.tiny import Pixels, load_tiny, noise, recorder

ALL = DrawSpec(save=("overlay", "heatmap", "array"), format="png")
WHOLE = Cells(*2 * (Span(4.0, 8.0, 0.0, 16.0),))


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return load_tiny(tiny)


def picture(folder: Path, pixels: Pixels, name: str = "a.png") -> Found:
    (folder / name).write_bytes(encode(pixels, "png"))
    return Found(folder / name, name)


def prepared(found: Found, model: Model) -> Prepared:
    item = prepare(found, model, ImageSpec(), Held())
    assert isinstance(item, Prepared)
    return item


def answer(score: float = 2.0, raw: float = 1.0) -> Answer:
    scores = np.asarray([0.0, score, 1.0], np.float32)
    grid = np.asarray([[0, 0], [0, raw]], np.float32)
    return Answer(
        facts=Facts(7, "dense", True, "float32"),
        probabilities=scores / np.float32(10),
        scores=scores,
        order=np.asarray([1, 2, 0]),
        maps=(ClassMap("top1", 1, score / 10, score, grid, "", layer="conv"),),
    )


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_answer_becomes_a_record_and_its_files(model: Model, tmp_path: Path) -> None:
    record = recorder(model, tmp_path / "out", ALL)
    done = record(prepared(picture(tmp_path, noise(1, 40, 60)), model), answer())
    (item,) = done.explanations
    assert item.files == {
        "overlay": "a.png.top1.png",
        "heatmap": "a.png.top1.heatmap.png",
        "array": "a.png.top1.npy",
    }
    assert written(tmp_path / "out") == sorted(item.files.values())
    assert {k: (tmp_path / "out" / f).stat().st_size for k, f in item.files.items()} == item.sizes
    assert item.peak == (45, 30)
    assert item.heat == "2x2:AAAA/w==", "the bytes 0, 0, 0, 255"
    assert [(row.rank, row.index, row.score) for row in done.predictions] == [
        (1, 1, 2.0),
        (2, 2, 1.0),
        (3, 0, 0.0),
    ]
    raw = np.load(tmp_path / "out" / item.files["array"])
    np.testing.assert_array_equal(raw, [[0, 0], [0, 1]])


def test_a_record_says_how_the_answer_came_about(model: Model, tmp_path: Path) -> None:
    record = recorder(model, None)
    probable = replace(record.spec, explain=ExplainSpec(score="probability"))
    ready = prepared(picture(tmp_path, noise(1)), model)
    (shown,) = answer().maps
    by_cam = replace(answer(), maps=(replace(shown, method="cam"),))
    done = replace(record, spec=probable)(ready, by_cam)
    assert (done.score_kind, done.precision, done.batch_size) == ("probability", "float32", 7)
    (item,) = done.explanations
    assert (item.slot, item.method, item.layer) == ("top1", "cam", "conv")
    assert (done.model, done.weights) == (model.name, model.weights)
    assert done.settings == record.settings
    assert UNPLACED in done.notes
    placed = replace(answer(), maps=(replace(shown, cells=WHOLE),))
    assert UNPLACED not in record(ready, placed).notes


def test_files_lie_where_the_list_puts_them(model: Model, tmp_path: Path) -> None:
    item = prepared(picture(tmp_path, noise(1)), model)
    record = recorder(model, tmp_path / "out")
    moved = replace(record, stem={"a.png": "deep/below/b~1"}.__getitem__)
    assert moved(item, answer()).explanations[0].files == {"overlay": "deep/below/b~1.top1.jpg"}
    assert written(tmp_path / "out") == ["deep/below/b~1.top1.jpg"]


def test_numbers_that_are_not_finite_become_null(model: Model, tmp_path: Path) -> None:
    item = prepared(picture(tmp_path, noise(1)), model)
    done = recorder(model, tmp_path / "out")(item, answer(math.nan))
    assert (done.predictions[0].score, done.predictions[0].probability) == (None, None)
    assert (done.explanations[0].score, done.explanations[0].probability) == (None, None)
    assert Record.from_json(done.to_json()) == done


@pytest.mark.parametrize(("format_", "side"), [("jpg", 66_000), ("webp", 17_000)])
def test_a_format_that_cannot_hold_the_picture_fails_it_alone(
    model: Model, tmp_path: Path, format_: str, side: int
) -> None:
    item = prepared(picture(tmp_path, np.zeros((2, side, 3), np.uint8)), model)
    draw = DrawSpec(save=("overlay", "array"), format=format_)  # type: ignore[arg-type]
    with pytest.raises(ImageError) as caught:
        recorder(model, tmp_path / "out", draw)(item, answer())
    assert caught.value.kind == "write"
    assert "png" in caught.value.hint
    assert not (tmp_path / "out").exists()
    assert not recorder(model, tmp_path / "out", ALL)(item, answer()).failed


def test_predicting_writes_nothing(model: Model, tmp_path: Path) -> None:
    item = prepared(picture(tmp_path, noise(5, 400, 600)), model)
    done = recorder(model, None)(item, replace(answer(), maps=()))
    assert (done.width, done.height, done.explanations) == (600, 400, ())
    assert done.score_kind == ""
    assert written(tmp_path) == ["a.png"]


def test_a_failed_picture_says_why_and_names_the_run(model: Model, tmp_path: Path) -> None:
    record = recorder(model, tmp_path / "out")
    found = Found(tmp_path / "a.jpg", "a.jpg")
    failed = record.failed(
        Failed(found, ImageError(FailureKind.EMPTY, "the file is empty", "copy it"))
    )
    assert failed.failed
    assert failed.error is not None
    assert (failed.error.kind, failed.error.message) == ("empty", "the file is empty (copy it)")
    assert (failed.source, failed.settings) == ("a.jpg", record.settings)
    assert (failed.model, failed.weights) == (model.name, model.weights)
    plain = record.failed(Failed(found, ImageError(FailureKind.EMPTY, "the file is empty")))
    assert plain.error is not None
    assert plain.error.message == "the file is empty"


def test_a_file_that_cannot_be_written_ends_the_run(model: Model, tmp_path: Path) -> None:
    item = prepared(picture(tmp_path, noise(1)), model)
    (tmp_path / "out").write_text("in the way", encoding="utf-8")
    with pytest.raises(GradcamError, match="cannot write") as caught:
        recorder(model, tmp_path / "out")(item, answer())
    assert not isinstance(caught.value, ImageError)
    assert os.fspath(tmp_path / "out" / "a.png.top1.jpg") in caught.value.message


def test_a_path_too_long_to_write_fails_its_picture_alone(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    deep, here = "in", os.open(tmp_path, os.O_RDONLY)
    for name in ("in", *["d" * 100] * 40):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here, deep = below, f"{deep}/{name}" if name != "in" else deep
    os.close(here)
    Path(deep, "a.png").write_bytes(encode(noise(1), "png"))
    item = prepared(Found(Path(deep, "a.png"), f"{deep}/a.png"), model)
    assert not recorder(model, Path("out"))(item, answer()).failed
    with pytest.raises(ImageError) as caught:
        recorder(model, tmp_path / "out")(item, answer())
    assert caught.value.kind == "write"


def test_overlays_of_turned_pictures_are_upright(model: Model, tmp_path: Path) -> None:
    """Intensity 0 gives back the picture's pixels, the way viewers show them."""
    path = tmp_path / "a.jpg"
    data = encode(noise(6, 40, 60), "jpg", 100)
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    marker = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big")
    path.write_bytes(data[:2] + marker + block + data[2:])
    record = recorder(model, tmp_path / "out", DrawSpec(intensity=0.0, format="png"))
    done = record(prepared(Found(path, "a.jpg"), model), answer())
    drawn = cv2.imread(str(tmp_path / "out" / done.explanations[0].files["overlay"]))
    plain = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    np.testing.assert_array_equal(drawn, np.rot90(plain, -1))
