from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

from gradcam_cli.explainer import traced
from gradcam_cli.images.encode import encode
from gradcam_cli.network.ports import find_ports
from tests.asking import ask
from tests.processes import gradcam, records
from tests.test_matrix import made
from tests.tiny import noise
from tests.zoo import CASES, Case, parts

BY_NAME = {case.name: case for case in CASES}


def cautions(case: Case, network: Any, *layers: str) -> tuple[str, ...]:
    """What is said of layers, in one trace: that costs a second."""
    ports = find_ports(network)
    explainer = traced(made(network, ports, case), ask(0, (0,), layers=layers), 1)
    return explainer.facts.cautions


@pytest.fixture(scope="module")
def with_token() -> Any:
    keras.utils.set_random_seed(7)
    return BY_NAME["transformer-token"].build().network


@pytest.fixture(scope="module")
def averaged() -> Any:
    keras.utils.set_random_seed(7)
    return BY_NAME["transformer"].build().network


def test_behind_the_last_attention_only_the_class_token_counts(with_token: Any) -> None:
    case = BY_NAME["transformer-token"]
    for said, layer in zip(
        cautions(case, with_token, "norm2b", "norm2a", "norm", "norm1b"),
        ("norm2b", "norm"),
        strict=True,
    ):
        assert f"behind layer {layer!r} the score reads the class token alone" in said
        assert "--layer norm2a" in said
    assert cautions(case, with_token, "auto") == ()


def test_a_normalisation_before_an_attention_names_the_one_behind(
    with_token: Any, averaged: Any
) -> None:
    (of_token,) = cautions(BY_NAME["transformer-token"], with_token, "norm1a")
    layers = ("norm2b", "norm1a", "norm", "norm2a", "add2a")
    first, second = cautions(BY_NAME["transformer"], averaged, *layers)
    for said in (of_token, first):
        assert "layer 'norm1a' normalises what enters an attention" in said
        assert "--layer norm1b" in said
    assert "layer 'norm2a'" in second
    assert "--layer norm2b" in second


def test_convolutions_need_no_caution() -> None:
    keras.utils.set_random_seed(7)
    case = BY_NAME["holding-layer"]
    assert cautions(case, case.build().network, case.layer) == ()


def test_cautions_are_printed(with_token: Any, averaged: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(noise(1), "png"))
    with_token.save(tmp_path / "token.keras")
    averaged.save(tmp_path / "mean.keras")
    own = ("a.png", "--custom-objects", parts.__file__, "--preprocess", "none", "-c", "0")
    run = gradcam("run", *own, "-m", "token.keras", "-l", "norm2b", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    said = [line for line in run.stderr.splitlines() if line.startswith("warning: ")]
    assert any(line.startswith("warning: Grad-CAM can mislead on the tokens") for line in said)
    assert any("reads the class token alone" in line for line in said)
    (record,) = records(tmp_path / "gradcam_output")
    assert record["explanations"][0]["empty_reason"] == "zero gradient"

    methods = ("--method", "hirescam", "--method", "layercam", "-o", "mean")
    run = gradcam("run", *own, *methods, "-m", "mean.keras", "-l", "norm2a", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    (said_of_layer,) = [line for line in run.stderr.splitlines() if "norm2a" in line]
    assert "--layer norm2b lies behind it" in said_of_layer
    assert "can mislead" not in run.stderr
