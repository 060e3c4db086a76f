"""Batch sizes are tried for real, and cut down where memory does not reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcam_cli.batch.pipeline import Stages, stream
from gradcam_cli.batch.sizing import SIZES, try_sizes
from gradcam_cli.errors import GradcamError, OutOfMemory
from gradcam_cli.explain import Explainer, Question
from gradcam_cli.models.classes import ClassChoice
from gradcam_cli.models.load import Model
from gradcam_cli.network import footprint
from gradcam_cli.network.footprint import working_bytes
from tests.tiny import load_tiny, make_plan, write_pictures


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return load_tiny(tiny)


class Tracing:
    """Traces, writes down for which sizes, and runs out of memory above ``most``."""

    def __init__(self, model: Model, most: int = 10_000) -> None:
        self.model, self.most = model, most
        self.sizes: list[int] = []

    def __call__(self, size: int) -> Explainer:
        self.sizes.append(size)
        if size > self.most:
            raise OutOfMemory("no memory")
        return Explainer(self.model, Question(ClassChoice(1)), size)


def leave_memory_for(
    size: int, model: Model, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Make the machine say that it has room for batches of ``size``, and for no more."""
    need = 2 * working_bytes(Tracing(model)(size)._graph)
    (folder / "meminfo").write_text(f"MemAvailable: {need // 1024 + 1} kB\n", encoding="ascii")
    monkeypatch.setattr(footprint, "_MEMINFO", folder / "meminfo")
    monkeypatch.setattr(footprint, "_CGROUP", folder)


def test_sizes_grow_until_one_gains_nothing(model: Model) -> None:
    trace = Tracing(model)
    best = try_sizes(trace)
    assert best is not None
    assert trace.sizes == list(SIZES[: len(trace.sizes)])
    assert best.batch_size in trace.sizes[-2:]


@pytest.mark.parametrize("most", [8, 16])
def test_sizes_without_memory_are_not_chosen(model: Model, most: int) -> None:
    best = try_sizes(Tracing(model, most))
    assert best is not None
    assert best.batch_size <= most


def test_nothing_is_chosen_where_nothing_fits(model: Model) -> None:
    assert try_sizes(Tracing(model, 4)) is None


def test_sizes_that_would_not_fit_are_not_run(
    model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    leave_memory_for(8, model, monkeypatch, tmp_path)
    best = try_sizes(Tracing(model))
    assert best is not None
    assert best.batch_size == 8


@pytest.mark.parametrize("by", ["error", "estimate"])
def test_a_batch_without_memory_is_halved_and_numbers_stay(
    model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str
) -> None:
    pictures = write_pictures(tmp_path / "in", 11)
    plan = make_plan(model, tmp_path / "out")
    whole = list(stream(pictures, plan, Tracing(model), 11))
    if by == "estimate":
        leave_memory_for(3, model, monkeypatch, tmp_path)
    trace, stages = Tracing(model, 3 if by == "error" else 10_000), Stages()
    halved = list(stream(pictures, plan, trace, 11, stages=stages))
    assert trace.sizes == [11, 5, 2]
    assert stages.too_large == 11
    assert [record.batch_size for record in whole] == [11] * 11
    assert [record.batch_size for record in halved] == [2] * 11
    for one, other in zip(whole, halved, strict=True):
        ours, theirs = ([row.score or 0.0 for row in each.predictions] for each in (one, other))
        assert ours == pytest.approx(theirs, rel=1e-5)
        assert one.explanations[0].peak == other.explanations[0].peak


def test_a_network_too_large_for_one_picture_is_said(model: Model, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", 2)
    with pytest.raises(GradcamError, match="does not fit into memory"):
        list(stream(pictures, make_plan(model, None), Tracing(model, 0), 4))
