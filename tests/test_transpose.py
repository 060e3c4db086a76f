"""Networks trained on transposed pictures: a network and its transposed twin say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer
from gradcam_cli.commands.options import PrintOptions
from gradcam_cli.commands.scalings import try_scalings
from gradcam_cli.explainer import traced
from gradcam_cli.images.encode import encode
from gradcam_cli.models.load import Model, load
from gradcam_cli.sources.find import find_pictures
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.verify import self_test
from tests.asking import ask
from tests.processes import gradcam, records
from tests.tiny import noise

L = keras.layers
HIGH, WIDE = 12, 40


def reader(high: int, wide: int, channels: int = 1) -> Any:
    """Convolutions with other strides down than across, and a head that knows places."""
    down, across = (2, 4) if high < wide else (4, 2)
    pixels = keras.Input((high, wide, channels))
    x = L.Rescaling(1 / 255)(pixels)
    x = L.Conv2D(4, (3, 3), padding="same", activation="relu", name="first")(x)
    x = L.Conv2D(5, (3, 3), strides=(down, across), padding="same", name="last")(x)
    return keras.Model(pixels, L.Dense(3, activation="softmax")(L.Flatten()(L.ReLU()(x))))


def twins(channels: int = 1) -> tuple[Any, Any]:
    """A network of wide pictures, and one that says the same of the transposed pictures."""
    keras.utils.set_random_seed(11)
    upright, transposed = reader(HIGH, WIDE, channels), reader(WIDE, HIGH, channels)
    weights: list[NDArray[np.float32]] = []
    for weight in upright.get_weights():
        if weight.ndim == 4:
            weights.append(weight.transpose(1, 0, 2, 3))
        elif weight.ndim == 2:
            grid = weight.reshape(HIGH // 2, WIDE // 4, 5, 3).transpose(1, 0, 2, 3)
            weights.append(grid.reshape(weight.shape))
        else:
            weights.append(weight)
    transposed.set_weights(weights)
    pixels = noise(5, HIGH, WIDE)[np.newaxis, :, :, :channels].astype(np.float32)
    same = transposed(pixels.transpose(0, 2, 1, 3))
    np.testing.assert_allclose(upright(pixels), same, atol=1e-6)
    return upright, transposed


def loaded(network: Any, path: Path, **options: Any) -> Model:
    network.save(path)
    return load(ModelSpec(str(path), **options))


def explained(model: Model, layer: str = "auto") -> list[Answer]:
    channels = model.ports.channels
    pixels = np.stack([noise(seed, HIGH, WIDE)[:, :, :channels] for seed in range(3)])
    return traced(model, ask(2, layer=layer), 3)(pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_twins_see_the_same_in_the_same_places(channels: int, tmp_path: Path) -> None:
    upright, transposed = twins(channels)
    one = loaded(upright, tmp_path / "one.keras")
    two = loaded(transposed, tmp_path / "two.keras", transpose=True)
    assert one.ports.size == two.ports.size == (HIGH, WIDE)
    for layer in ("auto", "first"):
        for a, b in zip(explained(one, layer), explained(two, layer), strict=True):
            np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
            for x, y in zip(a.maps, b.maps, strict=True):
                assert x.index == y.index
                np.testing.assert_allclose(x.raw, y.raw, atol=1e-5 * np.abs(x.raw).max())
                assert x.raw.shape == ((HIGH, WIDE) if layer == "first" else (6, 10))


def test_where_axes_are_lost_a_guess_is_turned_as_well(tmp_path: Path) -> None:
    pixels = keras.Input((8, 6, 3))
    x = keras.ops.sort(L.Conv2D(4, 1, name="conv")(L.Rescaling(1 / 255)(pixels)), axis=-1)
    x = L.Activation("linear", name="grid")(x)
    network = keras.Model(pixels, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    model = loaded(network, tmp_path / "m.keras", transpose=True)
    picture = np.random.default_rng(0).integers(0, 256, (1, 6, 8, 3), np.uint8)
    explainer = traced(model, ask(1, layer="grid"), 1)
    (item,) = explainer(picture)[0].maps
    given = picture.transpose(0, 2, 1, 3) / np.float32(255)
    cells = np.sort(np.asarray(network.get_layer("conv")(given))[0], axis=-1)
    dense = network.layers[-1].get_weights()[0]
    np.testing.assert_allclose(item.raw, (cells @ dense[:, item.index]).T / 48, atol=1e-5)


def test_tokens_lie_by_columns(tmp_path: Path) -> None:
    pixels = keras.Input((16, 8, 3))
    x = L.Conv2D(6, 4, strides=4, name="patches")(L.Rescaling(1 / 255)(pixels))
    x = L.LayerNormalization(name="norm")(L.Reshape((8, 6))(x))
    network = keras.Model(pixels, L.Dense(2)(L.GlobalAveragePooling1D()(L.Dense(4)(x))))
    model = loaded(network, tmp_path / "m.keras", transpose=True)
    picture = np.random.default_rng(0).integers(0, 256, (1, 8, 16, 3), np.uint8)
    maps = {}
    for layer in ("patches", "norm"):
        explainer = traced(model, ask(1, layer=layer), 1)
        maps[layer] = explainer(picture)[0].maps[0].raw
        assert explainer.facts.layers[0].grid == (2, 4)
    assert all(check.passed for check in self_test(model, "norm"))
    # where the norm's weights and the head are plain, its map is that of the normalised patches
    patches, norm = network.get_layer("patches"), network.get_layer("norm")
    tokens = np.asarray(norm(patches(picture.transpose(0, 2, 1, 3) / np.float32(255))))
    dense = network.layers[-3].get_weights()[0] @ network.layers[-1].get_weights()[0]
    scores = np.asarray(network(picture.transpose(0, 2, 1, 3).astype(np.float32)))[0]
    expected = (tokens[0] @ dense[:, int(np.argmax(scores))]).T / 8
    np.testing.assert_allclose(maps["norm"], expected, atol=1e-5)


def test_the_input_size_is_the_network_s_own(tmp_path: Path) -> None:
    pixels = keras.Input((None, None, 3))
    x = L.GlobalAveragePooling2D()(L.Conv2D(2, 3)(L.Rescaling(1 / 255)(pixels)))
    network = keras.Model(pixels, L.Dense(2)(x))
    model = loaded(network, tmp_path / "m.keras", transpose=True, input_size=(40, 12))
    assert model.ports.size == (12, 40)
    assert all(check.passed for check in self_test(model, model.layer))


def test_pictures_that_do_not_fit_are_said_once_and_in_every_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, transposed = twins(3)
    transposed.save(tmp_path / "reader.keras")
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.png").write_bytes(encode(noise(number, 24, 80), "png"))
    words = ("run", "in", "--model", "reader.keras", "--json")
    plain = gradcam(*words, "-o", "plain", cwd=tmp_path)
    said = (
        "for its height, the picture is more than 2 times as wide as the network's input "
        "(40 high, 12 wide); --transpose is for networks trained on transposed pictures"
    )
    assert plain.returncode == 0, plain.stderr
    assert plain.stderr.count("warning: ") == plain.stderr.count(f"warning: in/0.png: {said}") == 1
    assert [said in record["notes"] for record in records(tmp_path / "plain")] == [True] * 3
    fitting = gradcam(*words, "-o", "out", "--transpose", "-q", cwd=tmp_path)
    assert (fitting.returncode, fitting.stderr) == (0, "")
    done = records(tmp_path / "out")
    assert {record["settings"] for record in done}.isdisjoint(
        record["settings"] for record in records(tmp_path / "plain")
    )
    monkeypatch.chdir(tmp_path)
    found = find_pictures(["in/0.png"])
    try_scalings(found, ModelSpec("reader.keras"), ImageSpec(), PrintOptions(json=True))
    rows = {
        row["preprocess"]: row["best"]
        for row in map(json.loads, capsys.readouterr().out.splitlines())
    }
    best = done[0]["predictions"][0]
    assert rows["none --transpose"].startswith(f"{best['name']} {best['probability']:.3f}")
