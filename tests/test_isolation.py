from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from gradcam_cli.explainer import traced
from gradcam_cli.models.load import Model
from tests.asking import ask
from tests.processes import SAMPLES, gradcam
from tests.tiny import load_tiny, noise

PIXELS = noise(1, 16, 16)[None]


def map_of(model: Model) -> Any:
    (answer,) = traced(model, ask(1), 1)(PIXELS)
    return answer.maps[0].raw


def settings() -> tuple[Any, ...]:
    config = keras.config
    policy = config.dtype_policy().name
    return config.floatx(), config.epsilon(), config.image_data_format(), policy


@pytest.fixture
def others() -> Iterator[tuple[Any, ...]]:
    """Settings of Keras that a program of the user's has made."""
    config, before = keras.config, settings()
    config.set_floatx("float16")
    config.set_epsilon(0.1)
    config.set_image_data_format("channels_first")
    config.set_dtype_policy("mixed_float16")
    yield settings()
    config.set_floatx(before[0])
    config.set_epsilon(before[1])
    config.set_image_data_format(before[2])
    config.set_dtype_policy(before[3])


def test_settings_of_keras_change_nothing_and_hold_again_afterwards(
    tiny: Path, request: pytest.FixtureRequest
) -> None:
    expected = map_of(load_tiny(tiny))
    chosen = request.getfixturevalue("others")
    model = load_tiny(tiny)
    assert np.array_equal(map_of(model), expected)
    assert {weight.dtype for weight in model.network.weights} == {"float32"}
    assert settings() == chosen


SETTINGS = {
    "floatx": "float16",
    "epsilon": 0.1,
    "image_data_format": "channels_first",
    "backend": "jax",
}
HOMES = ['{"floatx": "bfloat16", "epsilon": 1}', json.dumps(SETTINGS)]


def test_a_hostile_home_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    words: list[str | Path] = [
        "run",
        SAMPLES / "cat.jpg",
        "-m",
        tiny,
        "--save",
        "array",
        "-q",
        "-o",
    ]
    written = set()
    for number, text in enumerate(("", *HOMES)):
        home = tmp_path / f"home{number}"
        home.mkdir()
        env = {"KERAS_HOME": str(home)}
        if text:
            (home / "keras.json").write_text(text, encoding="utf-8")
            env |= {"KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "many"}
        result = gradcam(*words, f"out{number}", cwd=tmp_path, env=env)
        assert (result.returncode, result.stderr) == (0, "")
        (array,) = (tmp_path / f"out{number}").rglob("*.npy")
        written.add(array.read_bytes())
        assert [path.name for path in home.iterdir()] == ["keras.json"] * bool(text)
    assert len(written) == 1


def test_keras_on_another_backend_is_one_clear_error() -> None:
    code = (
        "import sys, types\n"
        "sys.modules['keras'] = types.SimpleNamespace(\n"
        "    config=types.SimpleNamespace(backend=lambda: 'torch'))\n"
        "from gradcam_cli.errors import ModelError\n"
        "try: import gradcam_cli.isolation\n"
        "except ModelError as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "imported with the backend 'torch'" in done.stdout
