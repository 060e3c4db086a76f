from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gradcam_cli.batch import steps
from gradcam_cli.batch.steps import Job, Plan, finish, prepare
from gradcam_cli.commands.options import DrawOptions
from gradcam_cli.commands.values import Format
from gradcam_cli.errors import GradcamError
from gradcam_cli.explain import Answer, Explanation
from gradcam_cli.images.encode import encode
from gradcam_cli.models.load import Model
from gradcam_cli.sources.find import Found
from gradcam_cli.store.records import Record
from tests.images.making import levels, meant, png
from tests.tiny import Pixels, load_tiny, make_plan, noise

ALL = DrawOptions(save="overlay,heatmap,array", format=Format.png)


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return load_tiny(tiny)


def write(folder: Path, pixels: Pixels, name: str = "a.png") -> Found:
    (folder / name).write_bytes(encode(pixels, "png"))
    return Found(folder / name, name)


def answer(score: float = 2.0, raw: float = 1.0) -> Answer:
    scores = np.asarray([0.0, score, 1.0], np.float32)
    grid = np.asarray([[0, 0], [0, raw]], np.float32)
    return Answer(
        probabilities=scores / np.float32(10),
        scores=scores,
        order=np.asarray([1, 2, 0]),
        explanations=(Explanation("top1", 1, score / 10, score, grid, ""),),
    )


def job(found: Found, plan: Plan) -> Job:
    prepared = prepare(found, plan)
    assert isinstance(prepared, Job)
    return prepared


def kind(record: Job | Record) -> str:
    assert isinstance(record, Record)
    assert record.error is not None
    return record.error.kind


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_picture_becomes_its_square_and_its_files(model: Model, tmp_path: Path) -> None:
    plan = make_plan(model, tmp_path / "out", ALL)
    pixels = noise(1, 40, 60)
    prepared = job(write(tmp_path, pixels), plan)
    assert prepared.square.shape == (16, 16, 3)
    np.testing.assert_array_equal(prepared.picture.pixels, pixels)
    record = finish(prepared, answer(), plan)
    (item,) = record.explanations
    assert written(tmp_path / "out") == sorted(item.files.values())
    assert {k: (tmp_path / "out" / f).stat().st_size for k, f in item.files.items()} == item.sizes
    assert item.peak == (45, 30)
    assert [(row.rank, row.index, row.score) for row in record.predictions] == [
        (1, 1, 2.0),
        (2, 2, 1.0),
        (3, 0, 0.0),
    ]
    raw = np.load(tmp_path / "out" / item.files["array"])
    np.testing.assert_array_equal(raw, [[0, 0], [0, 1]])


def test_numbers_that_are_not_finite_become_null(model: Model, tmp_path: Path) -> None:
    plan = make_plan(model, tmp_path / "out")
    record = finish(job(write(tmp_path, noise(1)), plan), answer(math.nan), plan)
    assert (record.predictions[0].score, record.predictions[0].probability) == (None, None)
    assert (record.explanations[0].score, record.explanations[0].probability) == (None, None)
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize(("format_", "side"), [(Format.jpg, 66_000), (Format.webp, 17_000)])
def test_a_format_that_cannot_hold_the_picture_fails_it_alone(
    model: Model, tmp_path: Path, format_: Format, side: int
) -> None:
    found = write(tmp_path, np.zeros((2, side, 3), np.uint8))
    plan = make_plan(model, tmp_path / "out", DrawOptions(save="overlay,array", format=format_))
    record = finish(job(found, plan), answer(), plan)
    assert kind(record) == "write"
    assert record.error is not None
    assert "png" in record.error.message
    assert not (tmp_path / "out").exists()
    as_png = make_plan(model, tmp_path / "out", ALL)
    assert not finish(job(found, as_png), answer(), as_png).failed


def test_large_pictures_are_read_again_for_drawing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(model, tmp_path / "out", ALL)
    found = write(tmp_path, noise(3, 40, 60))
    held = job(found, plan)
    finish(held, answer(), plan)
    before = {name: (tmp_path / "out" / name).read_bytes() for name in written(tmp_path / "out")}
    monkeypatch.setattr(steps, "HELD_BYTES", 40 * 60 * 3 - 1)
    light = job(found, plan)
    assert light.picture.pixels.size == 0
    np.testing.assert_array_equal(light.square, held.square)
    record = finish(light, answer(), plan)
    assert (record.width, record.height) == (60, 40)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in before} == before


def test_a_large_picture_that_changes_meanwhile_fails(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "HELD_BYTES", 0)
    plan = make_plan(model, tmp_path / "out")
    found = write(tmp_path, noise(3))
    prepared = job(found, plan)
    write(tmp_path, noise(4))
    assert kind(finish(prepared, answer(), plan)) == "changed"
    found.path.unlink()
    assert kind(finish(prepared, answer(), plan)) == "vanished"
    assert not (tmp_path / "out").exists()


def test_predicting_writes_nothing_and_decodes_no_more_than_it_needs(
    model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(noise(5, 400, 600), "jpg"))
    plan = make_plan(model, None)
    prepared = job(Found(path, "a.jpg"), plan)
    assert prepared.picture.pixels.shape == (50, 75, 3)
    record = finish(prepared, replace(answer(), explanations=()), plan)
    assert (record.width, record.height, record.explanations) == (600, 400, ())
    assert (record.method, record.score_kind) == ("", "")
    assert written(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"text", "not-a-picture"),
        (encode(noise(1), "jpg")[:-2], "truncated"),
        (encode(noise(1), "png")[:-20], "truncated"),
    ],
)
def test_a_failed_picture_says_why_and_names_the_run(
    model: Model, tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    plan = make_plan(model, tmp_path / "out")
    record = prepare(Found(path, "a.jpg"), plan)
    assert isinstance(record, Record)
    assert kind(record) == expected
    assert (record.source, record.settings) == ("a.jpg", plan.settings.digest())
    assert (record.model, record.weights) == (model.name, model.weights)


def test_a_file_that_cannot_be_written_ends_the_run(model: Model, tmp_path: Path) -> None:
    plan = make_plan(model, tmp_path / "out")
    prepared = job(write(tmp_path, noise(1)), plan)
    (tmp_path / "out").write_text("in the way", encoding="utf-8")
    with pytest.raises(GradcamError, match="cannot write") as caught:
        finish(prepared, answer(), plan)
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
    found = Found(Path(deep, "a.png"), f"{deep}/a.png")
    near = make_plan(model, Path("out"))
    assert not finish(job(found, near), answer(), near).failed
    far = make_plan(model, tmp_path / "out")
    assert kind(finish(job(found, far), answer(), far)) == "write"


def test_overlays_of_turned_pictures_are_upright(model: Model, tmp_path: Path) -> None:
    """Intensity 0 gives back the picture's pixels, the way viewers show them."""
    path = tmp_path / "a.jpg"
    data = encode(noise(6, 40, 60), "jpg", 100)
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    marker = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big")
    path.write_bytes(data[:2] + marker + block + data[2:])
    plan = make_plan(model, tmp_path / "out", DrawOptions(intensity=0.0, format=Format.png))
    record = finish(job(Found(path, "a.jpg"), plan), answer(), plan)
    drawn = cv2.imread(str(tmp_path / "out" / record.explanations[0].files["overlay"]))
    plain = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    np.testing.assert_array_equal(drawn, np.rot90(plain, -1))


@pytest.mark.parametrize("held", [steps.HELD_BYTES, 0])
def test_white_holds_whenever_a_picture_is_read(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(steps, "HELD_BYTES", held)  # with 0 it is read again for drawing
    few = levels(3, 4095)
    (tmp_path / "a.png").write_bytes(png(few, 16, 2))
    found = Found(tmp_path / "a.png", "a.png")
    plan = make_plan(model, tmp_path / "out", DrawOptions(intensity=0, format=Format.png))
    for white in (0, 4095):
        there = replace(plan, settings=replace(plan.settings, white=white))
        record = finish(job(found, there), answer(), there)
        assert ("--white 4095" in record.warning) == (white == 0)
        overlay = tmp_path / "out" / record.explanations[0].files["overlay"]
        drawn = np.asarray(cv2.imread(os.fspath(overlay)))[:, :, ::-1]
        assert np.abs(drawn - np.rint(meant(few, white or 65535))).max() <= 1
