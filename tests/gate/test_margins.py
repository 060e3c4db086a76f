"""The default limits, held against real photographs and the embedded model, on both sides.

What is still the same model passes: in other batches, in bfloat16, saved and opened again. What
looks at pictures otherwise fails: other channels, scaling, resizing, interpolation, layer, weights.
(oneDNN off, as on a machine without AVX-512, is in test_cli.py: it needs a process of its own.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcam_cli.explainer import Explainer
from gradcam_cli.gate.asked import spec_of
from gradcam_cli.gate.baseline import Baseline, read_baseline
from gradcam_cli.gate.session import Checking, places_of
from gradcam_cli.models.load import Model, load
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.gate import GateSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.spec.setting import settings

SAMPLES = Path(__file__).with_name("samples.json")
FOLDER = SAMPLES.parent
PICTURES = 12


@pytest.fixture(scope="module")
def known() -> Baseline:
    return read_baseline(SAMPLES)


@pytest.fixture(scope="module")
def model() -> Model:
    return load(ModelSpec(model="efficientnet-lite0"))


@pytest.fixture(scope="module")
def explainer(known: Baseline, model: Model) -> Explainer:
    """Traced once for all that changes neither network nor layer."""
    return checking(known, spec_of(known.head.asked, FOLDER, {}), model).explainer()


def checking(known: Baseline, spec: RunSpec, model: Model | None) -> Checking:
    found = places_of(known, FOLDER)
    return Checking(known, FOLDER, spec, GateSpec(), found, found, model=model)


def statuses(
    known: Baseline, loaded: Model | None, explainer: Explainer | None = None, **given: Any
) -> list[str]:
    """Return how the pictures ended, the settings in ``given`` put in place of their own."""
    done = checking(known, spec_of(known.head.asked, FOLDER, given), loaded)
    if explainer is None:
        explainer = done.explainer()
    done.ready()
    cases = list(done.run(explainer))
    assert len(cases) == PICTURES
    return [case.status for case in cases]


def test_the_same_model_passes(known: Baseline, model: Model, explainer: Explainer) -> None:
    assert statuses(known, model, explainer) == ["same"] * PICTURES


@pytest.mark.parametrize(
    "given",
    [{"images": {"batch_size": 1}}, {"explain": {"precision": "bfloat16"}}],
    ids=["batches of one", "bfloat16"],
)
def test_what_changes_the_last_bits_passes(
    given: dict[str, Any], known: Baseline, model: Model
) -> None:
    assert statuses(known, model, **given) == ["same"] * PICTURES


def test_the_model_saved_and_opened_again_passes(
    known: Baseline, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "again.keras"
    model.network.save(path)
    again = {
        "model": str(path),
        "preprocess": "none",
        "mean": (127.0,),
        "std": (128.0,),
    }
    interpolation = {"interpolation": "bicubic"}  # which a file does not tell
    assert statuses(known, None, model=again, images=interpolation) == ["same"] * PICTURES


OTHERWISE = {
    "crop": {"images": {"resize": "crop"}},
    "pad": {"images": {"resize": "pad"}},
    "bilinear": {"images": {"interpolation": "bilinear"}},
    "lanczos": {"images": {"interpolation": "lanczos"}},
    "nearest": {"images": {"interpolation": "nearest"}},
    "area": {"images": {"interpolation": "area"}},
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_another_way_of_resizing_fails(
    name: str, known: Baseline, model: Model, explainer: Explainer
) -> None:
    assert "changed" in statuses(known, model, explainer, **OTHERWISE[name])


@pytest.mark.parametrize(
    "wrong",
    [{"channels": "bgr"}, {"mean": (127 * 255.0,), "std": (128 * 255.0,)}],
    ids=["bgr", "divided by 255 twice"],
)
def test_wrong_preprocessing_fails(wrong: dict[str, Any], known: Baseline) -> None:
    given = {"preprocess": "none", **wrong} if "mean" in wrong else wrong
    found = statuses(known, None, model=given)
    assert found.count("changed") >= 4


def test_another_layer_fails(known: Baseline, model: Model) -> None:
    name = "block7a_project_bn"
    layer = {"layers": (name,)} if "layers" in settings(ExplainSpec) else {"layer": name}
    assert statuses(known, model, explain=layer) == ["changed"] * PICTURES


def _noise(kernel: np.ndarray, share: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.asarray(kernel + share * kernel.std() * rng.normal(size=kernel.shape), np.float32)


def _trained(kernel: np.ndarray) -> np.ndarray:
    """A head in which each class has a fifth of its neighbour's weights."""
    return 0.8 * kernel + 0.2 * np.roll(kernel, 1, axis=1)


HEADS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "some noise": lambda kernel: _noise(kernel, 0.3),
    "towards another class": _trained,
    "random": lambda kernel: (
        _noise(0 * kernel, 0)
        + np.random.default_rng(1).normal(0, kernel.std(), kernel.shape).astype(np.float32)
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_another_head_fails(name: str, known: Baseline, model: Model, explainer: Explainer) -> None:
    layer = model.network.get_layer("logits")
    kernel, bias = layer.get_weights()
    try:
        layer.set_weights([HEADS[name](kernel), bias])
        found = statuses(known, model, explainer)
    finally:
        layer.set_weights([kernel, bias])
    assert found.count("changed") >= (PICTURES if name == "random" else 2)
    assert statuses(known, model, explainer) == ["same"] * PICTURES
