"""Before the network and behind it: a file becomes an input, and is there to draw on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradcam_cli.engine import steps
from gradcam_cli.engine.steps import (
    Failed,
    Held,
    Prepared,
    drawable,
    interpolation,
    prepare,
    write,
)
from gradcam_cli.errors import FailureKind, GradcamError, ImageError
from gradcam_cli.images.encode import encode
from gradcam_cli.models.load import Model
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.image import ImageSpec
from tests.images.making import levels, meant, png
from tests.tiny import Pixels, load_tiny, noise


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return load_tiny(tiny)


def picture(folder: Path, pixels: Pixels, name: str = "a.png") -> Found:
    (folder / name).write_bytes(encode(pixels, "png"))
    return Found(folder / name, name)


def prepared(
    found: Found, model: Model, held: Held | None = None, spec: ImageSpec | None = None
) -> Prepared:
    item = prepare(found, model, spec or ImageSpec(), held or Held())
    assert isinstance(item, Prepared)
    return item


def test_a_picture_becomes_the_network_s_input(model: Model, tmp_path: Path) -> None:
    pixels = noise(1, 40, 60)
    item = prepared(picture(tmp_path, pixels), model)
    assert item.input.shape == (16, 16, 3)
    assert item.input.dtype == np.uint8
    np.testing.assert_array_equal(item.image.pixels, pixels)
    assert (item.image.width, item.image.height) == (60, 40)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"text", "not-a-picture"),
        (encode(noise(1), "jpg")[:-2], "truncated"),
        (encode(noise(1), "png")[:-20], "truncated"),
    ],
)
def test_what_cannot_be_used_has_failed_and_says_why(
    model: Model, tmp_path: Path, content: bytes, expected: str
) -> None:
    found = Found(tmp_path / "a.jpg", "a.jpg")
    found.path.write_bytes(content)
    item = prepare(found, model, ImageSpec(), Held())
    assert isinstance(item, Failed)
    assert item.source is found
    assert item.error.kind == expected


def test_types_that_are_not_read_fail_without_being_opened(model: Model, tmp_path: Path) -> None:
    item = prepare(Found(tmp_path / "a.psd", "a.psd", unread=True), model, ImageSpec(), Held())
    assert isinstance(item, Failed)
    assert item.error.kind == "unread-type"
    assert ".psd" in item.error.message


def test_pixels_are_interpolated_as_asked_or_as_the_model_was_trained(model: Model) -> None:
    area = replace(model, interpolation="area")
    assert interpolation(area, ImageSpec()) == "area"
    assert interpolation(area, ImageSpec(interpolation="lanczos")) == "lanczos"


@pytest.mark.parametrize("how", ["large", "many"])
def test_pixels_that_are_not_held_are_read_again_for_drawing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pixels = noise(3, 40, 60)
    found = picture(tmp_path, pixels)
    item = prepared(found, model)
    least = 40 * 60 * 3 - 1
    if how == "large":
        monkeypatch.setattr(steps, "_LARGE", least)
    light = prepared(found, model, Held(least) if how == "many" else None)
    assert light.image.pixels.size == 0
    assert (light.image.width, light.image.height) == (60, 40)
    np.testing.assert_array_equal(light.input, item.input)
    with drawable(light, 0) as there:
        np.testing.assert_array_equal(there, pixels)


def test_what_is_given_back_makes_room(model: Model, tmp_path: Path) -> None:
    held, found = Held(2 * 40 * 60 * 3), picture(tmp_path, noise(3, 40, 60))
    items = [prepared(found, model, held) for _ in range(3)]
    assert [item.image.pixels.size > 0 for item in items] == [True, True, False]
    held.give_back(items[2].image)
    assert prepared(found, model, held).image.pixels.size == 0
    held.give_back(items[0].image)
    assert prepared(found, model, held).image.pixels.size > 0


def test_a_picture_that_changes_before_it_is_read_again_fails(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_LARGE", 0)
    found = picture(tmp_path, noise(3))
    item = prepared(found, model)

    def kind() -> str:
        with pytest.raises(ImageError) as caught, drawable(item, 0):
            pass
        return caught.value.kind

    picture(tmp_path, noise(4))
    assert kind() == "changed"
    found.path.unlink()
    assert kind() == "vanished"


@pytest.mark.parametrize("held", [True, False])
def test_white_holds_whenever_a_picture_is_read(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    if not held:
        monkeypatch.setattr(steps, "_LARGE", 0)
    few = levels(3, 4095)
    (tmp_path / "a.png").write_bytes(png(few, 16, 2))
    for white in (0, 4095):
        spec = ImageSpec(white=white)
        item = prepared(Found(tmp_path / "a.png", "a.png"), model, spec=spec)
        assert (item.image.pixels.size > 0) == held
        assert ("--white 4095" in item.image.warning) == (white == 0)
        with drawable(item, white) as pixels:
            assert np.abs(pixels - np.rint(meant(few, white or 65535))).max() <= 1


def test_a_sink_may_refuse_an_image_and_nothing_but_an_image(model: Model, tmp_path: Path) -> None:
    held = Held()
    item = prepared(picture(tmp_path, noise(1)), model, held)
    answer = object()

    def sink(one: Prepared, other: object) -> str:
        assert (one, other) == (item, answer)
        raise trouble

    trouble: Exception = ImageError(FailureKind.WRITE, "it does not fit")
    outcome = write(item, answer, sink, held)  # type: ignore[arg-type]
    assert outcome == Failed(item.source, trouble)  # type: ignore[arg-type]
    trouble = GradcamError("the disk is full")
    item = prepared(item.source, model, held)
    with pytest.raises(GradcamError, match="the disk is full"):
        write(item, answer, sink, held)  # type: ignore[arg-type]
    assert held._bytes == 0
