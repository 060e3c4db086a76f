from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files import budget
from gradcam_cli.keras_files.budget import limited_operations, limited_weights
from gradcam_cli.keras_files.file import open_network
from gradcam_cli.models.load import load
from gradcam_cli.network import footprint
from gradcam_cli.spec.model import ModelSpec
from tests.keras_files.rewriting import Json, layers, rewrite, save

L = keras.layers
HERE = keras.__version__


def small(path: Path, *more: Any) -> Path:
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(2, 3, padding="same"),
            *more,
            L.GlobalMaxPooling2D(),
            L.Dense(2),
        ]
    )
    return save(network, path)


def with_memory(kilobytes: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "meminfo").write_text(f"MemAvailable: {kilobytes} kB\n", encoding="ascii")
    monkeypatch.setattr(footprint, "_MEMINFO", folder / "meminfo")


def said(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(ModelSpec(str(path), preprocess="none"))
    return caught.value.message


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("size", [2**24, 2**33, 2**40, 2**63, 2**70])
def test_more_weights_than_the_file_can_hold(tmp_path: Path, ending: str, size: int) -> None:
    path = small(tmp_path / f"a.{ending}")
    for name, key in (("Conv2D", "filters"), ("Dense", "units")):

        def enlarge(config: Json, name: str = name, key: str = key) -> None:
            (layer,) = [one for one in layers(config) if one["class_name"] == name]
            layer["config"][key] = size

        larger = path.with_stem(name)
        larger.write_bytes(path.read_bytes())
        rewrite(larger, enlarge, HERE)
        assert said(larger).startswith(f"{larger} describes a network of more than 16,777,216 ")


def test_a_file_has_all_the_weights_that_it_holds(tmp_path: Path) -> None:
    """4.2 million weights of one byte each, in a file that is no larger."""
    path = tmp_path / "a"
    path.write_bytes(bytes(4_200_000))
    with limited_weights(path):
        keras.Variable(lambda shape, dtype: tf.zeros(shape, dtype), (4_200_000,), "int8")
    with limited_weights(path):
        keras.Variable(np.zeros(3))
    before = keras.Variable.__init__

    def too_often() -> None:
        with limited_weights(path):
            for _ in range(17):
                keras.Variable(lambda shape, dtype: tf.zeros(shape, dtype), (4_200_000,), "int8")

    with pytest.raises(ModelError, match="more than 67,200,000 weights"):
        too_often()
    assert keras.Variable.__init__ is before


def test_an_error_that_keras_swallows_is_raised_behind_the_block(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()

    def build() -> None:
        with limited_weights(path), suppress(ModelError):
            keras.Variable("zeros", (1 << 40,))

    with pytest.raises(ModelError, match="more than 16,777,216 weights"):
        build()


@pytest.mark.parametrize(
    ("layer", "change", "message"),
    [
        (L.ZeroPadding2D(1), {"padding": [[10**9] * 2] * 2}, "a tensor of 8,589,934,592 numbers"),
        (L.ZeroPadding2D(1), {"padding": [[10**4] * 2] * 2}, "2.0 GB are free"),
        (L.UpSampling2D(2), {"size": [10**6] * 2}, "a tensor of 8,589,934,592 numbers"),
        (L.UpSampling2D(2), {"size": [2000] * 2}, "2.0 GB are free"),
        (L.Resizing(9, 9), {"height": 10**6, "width": 10**6}, "a tensor of 8,589,934,592 numbers"),
        (L.MaxPooling2D(1, padding="same"), {"pool_size": [2**40] * 2}, "fails on a picture"),
    ],
    ids=["padding overflows", "padding", "upsampling", "less of it", "resizing", "pooling"],
)
def test_features_of_any_size(
    tmp_path: Path,
    layer: Any,
    change: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_memory(2_000_000, tmp_path, monkeypatch)
    path = small(tmp_path / "a.keras", layer)

    def enlarge(config: Json) -> None:
        layers(config)[2]["config"] |= change
        for one in layers(config)[2:]:
            one.pop("build_config", None)

    rewrite(path, enlarge, HERE)
    assert message in said(path)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (40_000, "takes pictures of 40000x40000"),
        (10**5, "a tensor of 8,589,934,592 numbers"),
        (2**31, "is too large"),
        (2**40, "is too large"),
    ],
)
def test_pictures_of_any_size(
    tmp_path: Path, size: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory(2_000_000, tmp_path, monkeypatch)
    path = small(tmp_path / "a.keras")

    def enlarge(config: Json) -> None:
        layers(config)[0]["config"]["batch_shape"] = [None, size, size, 3]
        for one in layers(config):
            one.pop("build_config", None)

    rewrite(path, enlarge, HERE)
    assert message in said(path)


@pytest.mark.parametrize(
    "layer", [L.LSTM(2, unroll=True, return_sequences=True), L.TimeDistributed(L.Dense(2))]
)
def test_layers_repeated_without_end(tmp_path: Path, layer: Any) -> None:
    network = keras.Sequential(
        [keras.Input((4, 4, 3)), L.Reshape((16, 3)), layer, L.GlobalMaxPooling1D(), L.Dense(2)]
    )
    path = save(network, tmp_path / "a.keras")
    assert len(open_network(path).network.layers) == 4

    def enlarge(config: Json) -> None:
        layers(config)[0]["config"]["batch_shape"] = [None, 4_000, 4_000, 3]
        layers(config)[1]["config"]["target_shape"] = [16_000_000, 3]
        for one in layers(config):
            one.pop("build_config", None)

    rewrite(path, enlarge, HERE)
    assert "calls a layer 10,000 times or more" in said(path)


def test_a_loop_that_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_MOST_OPERATIONS", 300)

    def trace() -> None:
        with tf.Graph().as_default(), limited_operations("mine"):
            value = tf.constant(0)
            for _ in range(10**9):
                value = tf.identity(value)

    with pytest.raises(ModelError, match="mine describes a network that has 300 operations"):
        trace()
    with tf.Graph().as_default():
        assert [tf.constant(0) for _ in range(301)]


def test_layers_that_are_no_layers(tmp_path: Path) -> None:
    path = small(tmp_path / "a.keras")

    def optimizer(config: Json) -> None:
        layers(config)[1] |= {
            "module": "keras.optimizers",
            "class_name": "Adam",
            "config": {"name": "adam"},
        }

    rewrite(path, optimizer, HERE)
    assert "names what no classifier is made of: class 'Adam'" in said(path)

    def alone(config: Json) -> None:
        config |= layers(config)[1]
        config.pop("build_config")

    rewrite(path, alone, HERE)
    assert "names what no classifier is made of: class 'Adam'" in said(path)
