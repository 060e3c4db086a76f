"""Whatever makes a run faster, its numbers are those of one picture at a time."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer
from gradcam_cli.engine.decide import WORTH_FREEZING
from gradcam_cli.engine.steps import Held, Prepared, prepare
from gradcam_cli.explainer import traced
from gradcam_cli.models.load import load
from gradcam_cli.sources.find import find_pictures
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from tests.asking import ask
from tests.processes import LITE0, SAMPLES, gradcam, records

TOP = 2


@pytest.fixture(scope="module")
def alone() -> dict[str, Answer]:
    """What the embedded model says of each sample, one picture at a time."""
    model = load(ModelSpec("efficientnet-lite0"))
    explainer = traced(model, ask(TOP), 1)
    answers = {}
    for found in find_pictures([str(SAMPLES)]):
        prepared = prepare(found, model, ImageSpec(), Held())
        assert isinstance(prepared, Prepared)
        (answers[found.path.name],) = explainer(prepared.input[np.newaxis])
    return answers


def run(
    output: Path, *words: str, env: Mapping[str, str] | None = None, source: Path = SAMPLES
) -> tuple[Any, str]:
    """Return a run's records by picture, and what it said on standard error."""
    asked = ("-c", f"top{TOP}", "--save", "array", "-o", str(output), *words)
    result = gradcam("run", source, *LITE0, *asked, cwd=output.parent, env=env)
    assert result.returncode == 0, result.stderr
    return {Path(record["source"]).name: record for record in records(output)}, result.stderr


def maps(record: Mapping[str, Any], output: Path) -> list[NDArray[np.float32]]:
    return [np.load(output / item["files"]["array"]) for item in record["explanations"]]


@pytest.mark.parametrize(
    ("copies", "env"),
    [
        (0, {"TF_ENABLE_ONEDNN_OPTS": "1"}),
        (0, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
        (WORTH_FREEZING // 7 + 1, {}),
    ],
)
def test_batches_freezing_and_onednn_change_nothing(
    copies: int, env: dict[str, str], alone: dict[str, Answer], tmp_path: Path
) -> None:
    source = tmp_path / "in" if copies else SAMPLES
    for number in range(copies):
        shutil.copytree(SAMPLES, source / str(number))
    output = tmp_path / "out"
    done, _ = run(output, env=env, source=source)
    assert done.keys() == alone.keys()
    for name, record in done.items():
        for item, array, wanted in zip(
            record["explanations"], maps(record, output), alone[name].maps, strict=True
        ):
            assert item["index"] == wanted.index
            assert item["probability"] == pytest.approx(wanted.probability, abs=1e-5)
            span = float(np.ptp(wanted.raw))
            np.testing.assert_allclose(array, wanted.raw, rtol=0, atol=1e-5 * span)


def test_bfloat16_sees_the_same(alone: dict[str, Answer], tmp_path: Path) -> None:
    output = tmp_path / "out"
    done, said = run(output, "--precision", "bfloat16")
    computed = {record["precision"] for record in done.values()}
    if computed == {"float32"}:
        assert "this processor has no bfloat16; the network computes in float32" in said
        least = 1 - 1e-9
    else:
        assert computed == {"bfloat16"}
        least = 0.995
    for name, record in done.items():
        assert record["explanations"][0]["index"] == alone[name].maps[0].index
        by_class = {item.index: item.raw for item in alone[name].maps}
        for item, array in zip(record["explanations"], maps(record, output), strict=True):
            if item["index"] in by_class:
                wanted = by_class[item["index"]]
                assert np.corrcoef(array.ravel(), wanted.ravel())[0, 1] >= least
