"""What the command line says of models: named ones, users' files, and those it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from gradcam_cli.cli import app
from gradcam_cli.engine.decide import decided as really_decided
from gradcam_cli.explainer import Explainer
from gradcam_cli.images.encode import encode
from gradcam_cli.models.load import Model
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.store.atomic import write_bytes
from tests.processes import SAMPLES, gradcam, inside, problem, records, refusal
from tests.tiny import noise


def small_net(scaled: bool = True) -> Any:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs) if scaled else inputs
    x = keras.layers.Conv2D(6, 3, activation="relu", name="conv")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    small_net().save(folder / "scaled.keras")
    small_net().save(folder / "scaled.h5")
    small_net(scaled=False).save(folder / "raw.keras")
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Lambda(lambda v: v / 255)(inputs)
    x = keras.layers.Conv2D(2, 3)(x)
    x = keras.layers.Flatten()(x)
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(folder / "code.keras")
    (folder / "names.txt").write_text("cat\ndog\nbird\n", encoding="utf-8")
    (folder / "two.txt").write_text("cat\ndog\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["scaled.keras", "scaled.h5"])
def test_a_users_file_is_explained_and_not_changed(name: str, files: Path, tmp_path: Path) -> None:
    model = files / name
    before = model.read_bytes()
    words = ("-m", model, "--labels", files / "names.txt", "-c", "dog", "--save", "overlay,array")
    result = gradcam("run", SAMPLES / "cat.jpg", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "scaling inside the model: to 0..1" in result.stderr
    assert model.read_bytes() == before
    (record,) = records(tmp_path / "gradcam_output")
    assert {row["name"] for row in record["predictions"]} == {"cat", "dog", "bird"}
    (item,) = record["explanations"]
    assert item["name"] == "dog"
    assert np.load(tmp_path / "gradcam_output" / item["files"]["array"]).shape == (30, 30)
    assert any("0..1" in note for note in record["notes"])


def test_scaling_is_asked_for_where_nothing_tells(files: Path, tmp_path: Path) -> None:
    words = ("run", SAMPLES / "cat.jpg", "-m", files / "raw.keras", "-o", tmp_path / "out")
    said = problem(inside(*words))
    assert "scaled" in said
    assert "--preprocess" in said
    assert "rescale=1/255" in said
    assert inside(*words, "--preprocess", "unit").returncode == 0
    tried = inside(*words, "--preprocess", "try")
    assert tried.returncode == 0
    for name in ("none", "unit", "tf", "torch", "caffe"):
        assert f"\n{name} " in tried.stdout


def test_scaling_twice_is_warned_of(files: Path, tmp_path: Path) -> None:
    words = ("-m", files / "scaled.keras", "--preprocess", "unit", "-o", tmp_path / "out")
    result = inside("run", SAMPLES / "cat.jpg", *words)
    assert result.returncode == 0
    assert "warning:" in result.stderr
    assert "twice" in result.stderr


def test_code_is_refused_unless_allowed(files: Path, tmp_path: Path) -> None:
    model = ("-m", files / "code.keras", "--preprocess", "none")
    words = ("run", SAMPLES / "cat.jpg", *model, "-o", tmp_path / "out")
    said = problem(inside(*words))
    assert "Lambda" in said
    assert "--unsafe-load" in said
    assert inside(*words, "--unsafe-load").returncode == 0


def test_labels_that_do_not_fit_name_both_numbers(files: Path, tmp_path: Path) -> None:
    words = ("-m", files / "scaled.keras", "--labels", files / "two.txt")
    said = refusal("run", SAMPLES / "cat.jpg", *words, "-o", tmp_path / "out").message
    assert "2" in said
    assert "3" in said


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.keras", b"", "empty"),
        ("a.h5", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("a.tflite", b"\x1c\0\0\0TFL3" + bytes(50), "TensorFlow Lite"),
        ("a.h5", b"\x80\x02}q\x00.", "pickle"),
        ("a.h5", b"<html>404</html>", "web page"),
    ],
)
def test_what_is_no_model_is_named(name: str, content: bytes, word: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    error = refusal("run", SAMPLES / "cat.jpg", "-m", tmp_path / name, "-o", tmp_path / "out")
    assert word in error.message + error.hint


def test_weights_that_cannot_be_had_name_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = {"KERAS_HOME": str(tmp_path / "keras"), "https_proxy": "http://127.0.0.1:9"}
    said = problem(gradcam("run", SAMPLES / "cat.jpg", cwd=tmp_path, env=home))
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    refused = refusal("models", "--download", "vgg16")
    for text in (said, refused.message + refused.hint):
        assert "vgg16_weights_tf_dim_ordering_tf_kernels.h5" in text
        assert str(tmp_path / "keras" / "models") in text
        assert "--weights FILE" in text
        assert "efficientnet-lite0" in text
    assert not list((tmp_path / "keras").rglob("*.h5"))


def test_random_weights_warn() -> None:
    words = ("-m", "mobilenet", "--weights", "random", "--seed", "3")
    result = inside("predict", SAMPLES / "cat.jpg", *words, "--json")
    assert result.returncode == 0
    assert "mean nothing" in result.stderr
    assert len(json.loads(result.stdout)["predictions"]) == 5


def test_an_empty_map_names_its_cause_and_a_way_out(tmp_path: Path) -> None:
    network = small_net()
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([-np.abs(kernel), bias])  # features are positive, evidence not
    network.save(tmp_path / "negative.keras")
    words = ("-m", tmp_path / "negative.keras", "--fail-on-empty", "-o", tmp_path / "out")
    result = inside("run", SAMPLES / "cat.jpg", *words)
    assert result.returncode == 1
    (record,) = records(tmp_path / "out")
    (item,) = record["explanations"]
    assert (item["empty"], item["empty_reason"], item["peak"]) == (True, "all negative", None)
    assert "is empty: all negative" in result.stderr
    assert "--score probability" in result.stderr


def test_layers_and_doctor_show_what_was_found(files: Path, tmp_path: Path) -> None:
    shown = inside("layers", files / "scaled.keras", "--json").stdout
    rows = [json.loads(line) for line in shown.splitlines()]
    assert [(row["path"], row["grid"], row["default"]) for row in rows] == [
        ("conv", [30, 30], True)
    ]
    words = ("doctor", files / "scaled.h5", "--json", "--save-repaired", tmp_path / "new.keras")
    result = gradcam(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["input"] == "32x32x3"
    assert found["scaling inside the model"] == "0..1"
    assert found["head"] == "softmax, 3 classes"
    assert found["CAM"] == "possible"
    assert any("pass" in str(value) for value in found.values())
    # and a repaired copy is saved
    x = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    new = keras.saving.load_model(tmp_path / "new.keras")
    np.testing.assert_allclose(new(x), small_net()(x), atol=1e-6)
    assert "nothing to repair" in refusal("doctor", "vgg16", "--save-repaired", "x.keras").message


def test_the_tables_need_no_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')\n")
    env = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parent.parent}"}
    for words in (("classes", "crane"), ("methods",), ("--help",), ("--version",)):
        result = gradcam(*words, cwd=tmp_path, env=env)
        assert result.returncode == 0, (words, result.stderr)
        assert result.stdout
    listed = gradcam("models", "--json", cwd=tmp_path, env=env).stdout.splitlines()
    rows = {row["name"]: row for row in map(json.loads, listed)}
    assert rows["vgg16"]["parameters"] == 138_357_544
    assert rows["vgg16"]["layer"] == "block5_conv3"
    assert rows["efficientnet-lite0"]["weights"] == "installed"


def test_bench_prints_every_stage(files: Path, tmp_path: Path) -> None:
    words = ("-m", files / "scaled.keras", "--pictures", "4", "--repeats", "1", "--json")
    result = gradcam("bench", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["name"] for row in rows] == [
        "model.predict",
        "run, end to end",
        "reading alone",
        "network alone",
        "writing alone",
    ]
    assert rows[0]["share_of_bare_prediction"] == 1
    assert all(row["pictures_per_second"] > 0 for row in rows)
    assert list(tmp_path.iterdir()) == []


def test_bench_writes_nothing_beside_the_pictures_it_is_given(files: Path, tmp_path: Path) -> None:
    write_bytes(tmp_path / "in" / "a.png", encode(noise(3, 32, 32), "png"))
    words = ("-m", files / "scaled.keras", "--pictures", "2", "--repeats", "1")
    result = inside("bench", "--images", tmp_path / "in", *words)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.rglob("*.*")] == ["a.png"]


def test_a_precision_that_was_measured_is_not_measured_again(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*more: str) -> None:
        words = ["run", SAMPLES, "-m", files / "scaled.keras", "-q", "-o", tmp_path / "out", *more]
        assert app([*map(str, words), "--precision", "auto"], standalone_mode=False) == 0

    asked = []

    def decided(model: Model, spec: RunSpec, *rest: int) -> Explainer:
        assert spec.explain is not None
        asked.append(spec.explain.precision)
        return really_decided(model, replace(spec, explain=ExplainSpec()), *rest)

    monkeypatch.setattr("gradcam_cli.engine.decide.decided", decided)
    run("--limit", "1")
    path = tmp_path / "out" / "run.json"
    said = path.read_text(encoding="utf-8")
    path.write_text(said.replace('"precision": "float32"', '"precision": "bfloat16"'))
    run("--limit", "2")
    run("--limit", "3")
    assert asked == ["auto", "bfloat16", "float32"]


def test_channels_bgr_is_the_same_as_images_with_swapped_channels(
    files: Path, tmp_path: Path
) -> None:
    pixels = noise(3, 32, 32)
    write_bytes(tmp_path / "rgb.png", encode(pixels, "png"))
    write_bytes(tmp_path / "swapped.png", encode(pixels[..., ::-1].copy(), "png"))
    maps, digests = [], set()
    for name, channels in (("rgb", "bgr"), ("swapped", "rgb"), ("rgb", "rgb")):
        out = tmp_path / f"{name}-{channels}"
        words = ["run", tmp_path / f"{name}.png", "-m", files / "scaled.keras", "-q", "-o", out]
        words += ["--save", "array", "--channels", channels]
        assert app([str(word) for word in words], standalone_mode=False) == 0
        (record,) = records(out)
        maps.append(np.load(out / record["explanations"][0]["files"]["array"]))
        digests.add(record["settings"])
        assert any("BGR" in note for note in record["notes"]) == (channels == "bgr")
    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])
    assert len(digests) == 2
