"""A spot in a picture, and where `gradcam run` says that a network saw it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest

from gradcam_cli.cli import app
from gradcam_cli.images.encode import encode
from tests.processes import gradcam, records

L = keras.layers
Seen = tuple[int, int, int, int]


def conv(**kwargs: Any) -> Any:
    return L.Conv2D(1, 3, activation="relu", kernel_initializer="ones", **kwargs)


def save(path: Path, layers: list[Any], height: int, width: int) -> Path:
    """A network that finds brightness bright: all its weights are 1."""
    head = [L.GlobalAveragePooling2D(), L.Dense(1, kernel_initializer="ones")]
    keras.Sequential([keras.Input((height, width, 3)), *layers, *head]).save(path)
    return path


def draw(path: Path, height: int, width: int, x: int, y: int) -> Path:
    rows, columns = np.ogrid[:height, :width]
    spot = 255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18)
    path.write_bytes(encode(np.repeat(spot.astype(np.uint8)[..., None], 3, 2), "png"))
    return path


WIDE: dict[str, tuple[Callable[[], Any], Seen]] = {
    "Cropping2D": (lambda: L.Cropping2D(((0, 10), (80, 0))), (80, 0, 320, 150)),
    "CenterCrop": (lambda: L.CenterCrop(100, 100), (110, 30, 210, 130)),
    "ZeroPadding2D": (lambda: L.ZeroPadding2D(((0, 40), (116, 0))), (0, 0, 320, 160)),
    "Resizing, cropped": (
        lambda: L.Resizing(100, 100, crop_to_aspect_ratio=True),
        (80, 0, 240, 160),
    ),
    "Resizing, padded": (lambda: L.Resizing(100, 100, pad_to_aspect_ratio=True), (0, 0, 320, 160)),
}


@pytest.mark.parametrize("name", WIDE)
def test_a_spot_is_found_and_what_is_cut_away_is_not_painted(name: str, tmp_path: Path) -> None:
    layer, (left, top, right, bottom) = WIDE[name]
    model = save(tmp_path / "m.keras", [layer(), conv(padding="same")], 160, 320)
    picture = draw(tmp_path / "a.png", 160, 320, 150, 70)
    words = ["run", picture, "-m", model, "-c", "0", "--preprocess", "none", "--format", "png"]
    words += ["--quiet", "-o", tmp_path / "out", "--intensity", "1", "--blend", "mix"]
    with pytest.raises(SystemExit) as ended:
        app(list(map(str, words)))
    assert ended.value.code == 0
    (record,) = records(tmp_path / "out")
    (explanation,) = record["explanations"]
    assert record["notes"] == []
    assert np.abs(np.subtract(explanation["peak"], (150, 70))).max() <= 2  # pixels of 3.2 at most
    drawn = cv2.imread(str(tmp_path / "out" / explanation["files"]["overlay"]))
    plain = cv2.imread(str(picture))
    painted = np.any(drawn != plain, axis=-1)
    assert painted[top:bottom, left:right].all()
    painted[top:bottom, left:right] = False
    assert not painted.any()


def test_a_spot_seen_by_convolutions_without_padding(tmp_path: Path) -> None:
    """As a process, the grid of 170 x 170 lies 5 pixels inside the picture of 180 x 180."""
    model = save(tmp_path / "m.keras", [conv() for _ in range(5)], 180, 180)
    picture = draw(tmp_path / "a.png", 180, 180, 40, 40)
    words = ("run", picture, "-m", model, "-c", "0", "--preprocess", "none", "-o", tmp_path / "out")
    assert gradcam(*words, cwd=tmp_path).returncode == 0
    assert records(tmp_path / "out")[0]["explanations"][0]["peak"] == [40, 40]


def test_a_grid_that_cannot_be_followed_is_stretched_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = keras.Input((48, 64, 3))
    x = conv(padding="same")(keras.ops.roll(inputs, (5, 9), (1, 2)))
    x = L.Dense(1, kernel_initializer="ones")(L.GlobalAveragePooling2D()(x))
    keras.Model(inputs, x).save(tmp_path / "m.keras")
    picture = draw(tmp_path / "a.png", 48, 64, 20, 20)
    words = ["run", picture, "-m", tmp_path / "m.keras", "-c", "0", "--preprocess", "none"]
    with pytest.raises(SystemExit) as ended:
        app([*map(str, words), "-o", str(tmp_path / "out"), "--quiet"])
    assert ended.value.code == 0
    (record,) = records(tmp_path / "out")
    said = "the grid's place in the picture is not known: it is stretched over the whole input"
    assert record["notes"] == [said]
    assert capsys.readouterr().err.splitlines().count(f"warning: {said}") == 1
    assert record["explanations"][0]["peak"] == [29, 25]


@pytest.mark.parametrize(
    ("turn", "turns"),
    [
        (lambda x: x[:, :, ::-1], True),
        (lambda x: keras.ops.flip(x, axis=1), True),
        (lambda x: L.RandomFlip("horizontal")(x), False),
    ],
)
def test_a_flip_in_front_of_the_network_leaves_heat_where_the_spot_is(
    turn: Callable[[Any], Any],
    turns: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beside scaling inside the network, which is read all the same."""
    inputs = keras.Input((48, 64, 3))
    turned = turn(inputs)
    x = conv(padding="same")(L.Rescaling(1 / 255)(turned))
    x = L.Dense(1, kernel_initializer="ones")(L.GlobalAveragePooling2D()(x))
    network = keras.Model(inputs, x)
    columns = np.broadcast_to(np.arange(64, dtype=np.float32)[None, None, :, None], (1, 48, 64, 3))
    rows = np.broadcast_to(np.arange(48, dtype=np.float32)[None, :, None, None], (1, 48, 64, 3))
    seen = keras.Model(inputs, turned)
    moved = any((np.asarray(seen(one, training=False)) != one).any() for one in (columns, rows))
    assert moved is turns
    network.save(tmp_path / "m.keras")
    picture = draw(tmp_path / "a.png", 48, 64, 12, 31)
    words = ["run", picture, "-m", tmp_path / "m.keras", "-c", "0", "-o", tmp_path / "out"]
    with pytest.raises(SystemExit) as ended:
        app(list(map(str, words)))
    assert ended.value.code == 0
    (record,) = records(tmp_path / "out")
    assert record["notes"] == ["scaling inside the model: to 0..1"]
    assert record["explanations"][0]["peak"] == [12, 31]
    assert "warning" not in capsys.readouterr().err
