from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.commands.sheet import _made
from gradcam_cli.sheet.choose import Choice, Shown, chosen
from gradcam_cli.sheet.thumbs import Thumbs
from gradcam_cli.store.reading import read_folder
from tests.processes import inside
from tests.render.figures import Pixels
from tests.tiny import noise


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network whose outermost cells lie far inside its input."""
    path = tmp_path_factory.mktemp("model") / "valid.keras"
    keras.utils.set_random_seed(3)
    layers = keras.layers
    pixels = keras.Input((40, 56, 3))
    coarse = layers.Conv2D(5, 9, strides=(5, 7), activation="relu", name="coarse")(pixels)
    grid = layers.Conv2D(4, 2, activation="relu", name="grid")(coarse)
    scores = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(grid))
    keras.Model(pixels, scores).save(path)
    return path


def run(folder: Path, model: Path, *words: str) -> list[Shown]:
    (folder / "in").mkdir()
    for number, size in enumerate([(61, 47), (40, 120), (150, 40), (33, 91)]):
        Image.fromarray(noise(number, *size)).save(folder / "in" / f"{number}.png")
    given = ("--model", model, "--preprocess", "unit", "--format", "png", "--intensity", "0.7")
    result = inside("run", folder / "in", *given, "-o", folder / "out", *words)
    assert result.returncode == 0, result.stderr
    return list(chosen(read_folder(folder / "out"), Choice()))


def written(folder: Path, shown: Shown) -> Pixels:
    with Image.open(folder / "out" / shown.overlay) as image:
        return np.asarray(image.convert("RGB"))


def again(thumbs: Thumbs, shown: Shown, like: Pixels) -> Pixels:
    (drawn,) = thumbs(replace(shown, overlay=""), like.shape[1], like.shape[0])
    return drawn


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize(
    "words", [(), ("--max-size", "50", "--blend", "mix"), ("--transpose",), ("--layer", "coarse")]
)
def test_an_overlay_is_drawn_again_as_the_run_drew_it(
    tmp_path: Path, model: Path, resize: str, words: tuple[str, ...]
) -> None:
    maps = run(tmp_path, model, "--resize", resize, "--save", "overlay,array", *words)
    assert len(maps) == 4
    folder = tmp_path / "out"
    thumbs = Thumbs(folder, _made(folder)[0])
    for shown in maps:
        if shown.empty:
            continue
        expected = written(tmp_path, shown)
        np.testing.assert_array_equal(again(thumbs, shown, expected), expected)
        # A byte for a cell is half a level off: jet changes by up to 5, of which 0.7 is drawn.
        close = again(thumbs, replace(shown, array=""), expected).astype(int) - expected
        assert np.abs(close).max() <= 4
    assert len(thumbs.redrawn) >= 6
    assert [*thumbs.stretched, *thumbs.left_out] == []


def test_a_fine_map_is_drawn_coarser_in_the_same_place(tmp_path: Path) -> None:
    layers, path = keras.layers, tmp_path / "fine.keras"
    keras.utils.set_random_seed(3)
    pixels = keras.Input((64, 64, 3))
    grid = layers.Conv2D(4, 15, activation="relu", name="grid")(pixels)  # 50 x 50 cells
    scores = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(grid))
    keras.Model(pixels, scores).save(path)
    maps = [each for each in run(tmp_path, path) if not each.empty]
    folder = tmp_path / "out"
    thumbs = Thumbs(folder, _made(folder)[0])
    for shown in maps:
        expected = written(tmp_path, shown)
        apart = [
            np.abs(again(thumbs, each, expected).astype(int) - expected).mean()
            for each in (shown, replace(shown, cells=()))
        ]
        assert apart[0] < 0.5 * apart[1]
    assert len(thumbs.redrawn) == len(thumbs.stretched) == len(maps) > 0
