"""The public API: what a notebook needs, and nothing of the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import gradcam_cli
from gradcam_cli.errors import GradcamError, ImageError
from tests.processes import LITE0, SAMPLES, gradcam, records

EXPORTS = {
    *("__version__", "load", "explain", "run"),
    *("Answer", "Explanation", "Failed", "GradcamError", "Model", "Prepared"),
    *("DrawSpec", "ExplainSpec", "ImageSpec", "ModelSpec", "RunSpec"),
}
SPEC = gradcam_cli.RunSpec(model=gradcam_cli.ModelSpec(model="efficientnet-lite0"))


@pytest.fixture(scope="module")
def model() -> gradcam_cli.Model:
    return gradcam_cli.load("efficientnet-lite0")


def read(path: Path) -> NDArray[np.uint8]:
    """Return an image's pixels as OpenCV reads them, RGB."""
    found = cv2.imread(str(path))
    assert found is not None
    return np.array(found[:, :, ::-1], np.uint8)


def pixels_of(name: str) -> NDArray[np.uint8]:
    return read(SAMPLES / name)


def test_exports() -> None:
    assert set(gradcam_cli.__all__) == set(dir(gradcam_cli)) == EXPORTS
    for name in EXPORTS:
        assert getattr(gradcam_cli, name) is not None
    with pytest.raises(AttributeError, match="explian"):
        getattr(gradcam_cli, "explian")  # noqa: B009  a name that mypy would find


def test_importing_loads_nothing_and_using_it_touches_no_process_settings() -> None:
    code = (
        "import os, signal, sys, gradcam_cli\n"
        "assert not {'tensorflow', 'cv2', 'numpy', 'typer'} & set(sys.modules)\n"
        "import cv2\n"  # sets variables of its own
        "before = dict(os.environ), [signal.getsignal(s) for s in (2, 15)]\n"
        "model = gradcam_cli.load('efficientnet-lite0')\n"
        f"gradcam_cli.explain(model, {str(SAMPLES / 'cat.jpg')!r})\n"
        "after = dict(os.environ), [signal.getsignal(s) for s in (2, 15)]\n"
        "assert before == after, set(after[0].items()) ^ set(before[0].items())\n"
        "assert not [m for m in sys.modules if m.startswith('gradcam_cli.commands')]\n"
        "assert 'gradcam_cli.cli' not in sys.modules and 'typer' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr


def test_numbers_and_pixels_are_those_of_the_command(
    model: gradcam_cli.Model, tmp_path: Path
) -> None:
    words = ("-c", "top2", "--save", "overlay,array", "--format", "png", "-q", "-o", "out")
    assert gradcam("run", SAMPLES / "cat.jpg", *LITE0, *words, cwd=tmp_path).returncode == 0
    (record,) = records(tmp_path / "out")
    found = gradcam_cli.explain(model, SAMPLES / "cat.jpg", classes="top2")
    assert len(found) == 2
    for item, told in zip(found, record["explanations"], strict=True):
        assert (item.index, item.name, item.id) == (told["index"], told["name"], told["id"])
        assert item.probability == pytest.approx(told["probability"], rel=1e-5)
        raw = np.load(tmp_path / "out" / told["files"]["array"])
        np.testing.assert_allclose(item.raw, raw, atol=1e-5 * np.abs(raw).max())
        drawn = read(tmp_path / "out" / told["files"]["overlay"])
        assert np.abs(item.overlay().astype(int) - drawn).max() <= 1
        png = np.frombuffer(item._repr_png_(), np.uint8)
        shown = np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR))
        np.testing.assert_array_equal(shown[:, :, ::-1], item.overlay())


def test_arrays_are_explained_like_files(model: gradcam_cli.Model) -> None:
    names = ["cat.jpg", "coffee.jpg"]
    files = gradcam_cli.explain(
        model, [SAMPLES / name for name in names], classes=[285, "espresso"]
    )
    arrays = gradcam_cli.explain(model, [pixels_of(name) for name in names], [285, "espresso"])
    assert [each.index for each in arrays] == [285, 967, 285, 967]
    assert [each.source for each in arrays] == ["0", "0", "1", "1"]
    for one, other in zip(files, arrays, strict=True):
        np.testing.assert_array_equal(one.raw, other.raw)
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_intensity_0_gives_the_image_back(model: gradcam_cli.Model) -> None:
    (item,) = gradcam_cli.explain(model, pixels_of("cat.jpg"))
    np.testing.assert_array_equal(item.overlay(intensity=0), item.pixels)
    assert item.heat.max() == 1
    assert item.heat.min() >= 0


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8)],
)
def test_arrays_that_are_not_rgb_pixels_are_refused(
    model: gradcam_cli.Model, array: NDArray[Any]
) -> None:
    with pytest.raises(GradcamError, match="image 0 is an array of"):
        gradcam_cli.explain(model, array)


def test_values_are_checked(model: gradcam_cli.Model, tmp_path: Path) -> None:
    with pytest.raises(GradcamError, match="--score 'logits' is not a valid choice"):
        gradcam_cli.explain(model, SAMPLES / "cat.jpg", score="logits")
    with pytest.raises(GradcamError, match="out of range"):
        gradcam_cli.explain(model, SAMPLES / "cat.jpg")[0].overlay(intensity=1.5)
    with pytest.raises(GradcamError, match="--seed 'one' is not a valid value"):
        gradcam_cli.ModelSpec(seed="one")  # type: ignore[arg-type]
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError) as caught:
        gradcam_cli.explain(model, tmp_path / "a.jpg")
    assert caught.value.kind == "not-a-picture"
    assert gradcam_cli.explain(model, []) == []
    by_number = gradcam_cli.explain(
        model, SAMPLES.glob("cat.jpg"), classes=np.int64(285), batch_size=np.int64(2)
    )
    assert [each.name for each in by_number] == ["Egyptian_cat"]


def test_run_gives_outcomes_in_order(tmp_path: Path) -> None:
    for name in ("a.jpg", "c.jpg"):
        (tmp_path / name).write_bytes((SAMPLES / "cat.jpg").read_bytes())
    (tmp_path / "b.jpg").write_bytes(b"")
    first, failed, last = gradcam_cli.run(tmp_path, SPEC)
    assert isinstance(failed, gradcam_cli.Failed)
    assert failed.error.kind == "empty"
    assert not isinstance(first, gradcam_cli.Failed)
    assert not isinstance(last, gradcam_cli.Failed)
    assert [first[0].name, last[0].name] == ["Egyptian_cat"] * 2

    def name_of(image: gradcam_cli.Prepared, answer: gradcam_cli.Answer) -> tuple[str, int]:
        return image.source.path.name, answer.ranked(1)[0]

    one = list(gradcam_cli.run([tmp_path / "a.jpg", tmp_path / "c.jpg"], SPEC, name_of))
    assert one == [("a.jpg", 285), ("c.jpg", 285)]


def test_the_script_of_the_docs_runs() -> None:
    script = Path(__file__).parent.parent / "docs" / "notebook.py"
    result = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Egyptian_cat: 0.7")
    assert "('cat.jpg', 285)" in result.stdout


def test_settings_are_those_of_the_command_line(tmp_path: Path) -> None:
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="conv"), keras.layers.Flatten()]
    )
    network.add(keras.layers.Dense(2, activation="softmax"))
    network.save(tmp_path / "m.keras")
    (tmp_path / "labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    loaded = gradcam_cli.load(
        tmp_path / "m.keras", labels=str(tmp_path / "labels.txt"), preprocess="unit", std=[2]
    )
    (found,) = gradcam_cli.explain(loaded, pixels, classes="dog")
    x = cv2.resize(pixels, (8, 8), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    expected = network(x[np.newaxis] / 255 / 2)[0, 1]
    assert found.name == "dog"
    assert found.probability == pytest.approx(float(expected), abs=1e-2)
