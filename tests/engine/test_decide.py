"""Batch sizes and freezing are decided ahead: tried for real, and cut where memory ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.engine import decide
from gradcam_cli.engine.decide import SIZES, USUAL, WORTH_FREEZING, decided, try_sizes
from gradcam_cli.errors import GradcamError, OutOfMemory
from gradcam_cli.explainer import Explainer, traced
from gradcam_cli.models.load import Model
from gradcam_cli.network import footprint
from gradcam_cli.network.footprint import working_bytes
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.store.records import Record
from tests.asking import ask
from tests.tiny import explain, load_tiny, recorder, write_pictures

SPEC = RunSpec()
AUTO = RunSpec(images=ImageSpec(batch_size="auto"))


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return load_tiny(tiny)


def of(size: int) -> RunSpec:
    return RunSpec(images=ImageSpec(batch_size=size))


class Tracing:
    """Traces, writes down for which sizes, and runs out of memory above ``most``."""

    def __init__(self, most: int = 10_000) -> None:
        self.most = most
        self.sizes: list[int] = []
        self.frozen: list[bool] = []
        self.passes: list[int] = []

    def __call__(self, model: Model, spec: Any, size: int, freeze: bool, *more: Any) -> Explainer:
        self.passes += more[1:]
        self.sizes.append(size)
        self.frozen.append(freeze)
        if size > self.most:
            raise OutOfMemory("no memory")
        return traced(model, spec, size, freeze)


@pytest.fixture
def tracing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tracing]:
    """Watch what is traced, on a machine without memory above ``most``."""

    def watch(most: int = 10_000) -> Tracing:
        watched = Tracing(most)
        monkeypatch.setattr(decide, "traced", watched)
        return watched

    return watch


def leave_memory_for(
    size: int, model: Model, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Make the machine say that it has room for batches of ``size``, and for no more."""
    need = 2 * working_bytes(traced(model, ask(1), size).traced.predict.graph)
    (folder / "meminfo").write_text(f"MemAvailable: {need // 1024 + 1} kB\n", encoding="ascii")
    monkeypatch.setattr(footprint, "_MEMINFO", folder / "meminfo")
    monkeypatch.setattr(footprint, "_CGROUP", folder)


def test_sizes_grow_until_one_gains_nothing(model: Model, tracing: Callable[..., Tracing]) -> None:
    watched = tracing()
    best = try_sizes(model, ask(1), freeze=False)
    assert best is not None
    assert watched.sizes == list(SIZES[: len(watched.sizes)])
    assert best.facts.batch_size in watched.sizes[-2:]


@pytest.mark.parametrize("most", [8, 16])
def test_sizes_without_memory_are_not_chosen(
    model: Model, tracing: Callable[..., Tracing], most: int
) -> None:
    tracing(most)
    best = try_sizes(model, ask(1), freeze=False)
    assert best is not None
    assert best.facts.batch_size <= most


def test_nothing_is_chosen_where_nothing_fits(
    model: Model, tracing: Callable[..., Tracing]
) -> None:
    tracing(4)
    assert try_sizes(model, ask(1), freeze=False) is None


def test_sizes_that_would_not_fit_are_not_run(
    model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    leave_memory_for(8, model, monkeypatch, tmp_path)
    best = try_sizes(model, ask(1), freeze=False)
    assert best is not None
    assert best.facts.batch_size == 8


@pytest.mark.parametrize(
    ("asked", "count", "before", "sizes"),
    [
        (16, 1000, 0, [16]),
        (16, 3, 0, [3]),
        (1, 3, 0, [1]),
        (16, 3, 32, [3]),
        ("auto", 255, 0, [USUAL]),
        ("auto", 3, 0, [3]),
        ("auto", 1000, 32, [32]),
        ("auto", 20, 32, [20]),
    ],
)
def test_the_list_s_length_and_what_was_asked_decide(
    model: Model,
    tracing: Callable[..., Tracing],
    asked: Any,
    count: int,
    before: int,
    sizes: list[int],
) -> None:
    watched = tracing()
    spec = replace(SPEC, images=ImageSpec(batch_size=asked))
    explainer = decided(model, spec, count, before)
    assert watched.sizes == sizes
    assert explainer.facts.batch_size == sizes[-1]


@pytest.mark.parametrize(
    ("asked", "count", "before", "passes"),
    [("auto", 1, 0, USUAL), ("auto", 300, 1, USUAL), (4, 1, 0, 4), (64, 20, 1, 64)],
)
def test_passes_over_an_image_fill_a_batch_whatever_the_list(
    model: Model, tracing: Callable[..., Tracing], asked: Any, count: int, before: int, passes: int
) -> None:
    watched = tracing()
    explain = ExplainSpec(methods=("ablationcam",))
    decided(model, RunSpec(images=ImageSpec(batch_size=asked), explain=explain), count, before)
    assert (watched.sizes, watched.passes) == ([1], [passes])


def test_sizes_are_tried_where_the_list_is_long(
    model: Model, tracing: Callable[..., Tracing]
) -> None:
    watched = tracing()
    decided(model, AUTO, 256)
    assert watched.sizes[:2] == list(SIZES[:2])


def test_long_lists_are_frozen_and_short_ones_are_not(
    model: Model, tracing: Callable[..., Tracing]
) -> None:
    watched = tracing()
    for count, frozen in ((WORTH_FREEZING - 1, False), (WORTH_FREEZING, True)):
        explainer = decided(model, of(2), count)
        assert watched.frozen[-1] == frozen
        kinds = {each.type for each in explainer.traced.predict.graph.get_operations()}
        assert ("ReadVariableOp" in kinds) == (not frozen)


@pytest.mark.parametrize("by", ["error", "estimate"])
def test_a_batch_without_memory_is_halved_and_numbers_stay(
    model: Model,
    tracing: Callable[..., Tracing],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    by: str,
) -> None:
    if by == "estimate":
        leave_memory_for(3, model, monkeypatch, tmp_path)
    watched = tracing(3 if by == "error" else 10_000)
    halved = decided(model, of(11), 11)
    assert watched.sizes == [11, 5, 2]
    assert halved.facts.batch_size == 2
    pictures, record = write_pictures(tmp_path / "in", 11), recorder(model, None)
    one, other = (explain(pictures, model, record, size) for size in (11, 2))
    assert [each.batch_size for each in [*one, *other]] == [11] * 11 + [2] * 11
    for ours, theirs in zip(one, other, strict=True):
        assert scores(ours) == pytest.approx(scores(theirs), rel=1e-5)
        assert ours.explanations[0].peak == theirs.explanations[0].peak


def scores(record: Record) -> list[float]:
    return [row.score or 0.0 for row in record.predictions]


def test_a_network_too_large_for_one_picture_is_said(
    model: Model, tracing: Callable[..., Tracing]
) -> None:
    watched = tracing(0)
    with pytest.raises(GradcamError, match="does not fit into memory"):
        decided(model, of(4), 2)
    assert watched.sizes == [2, 1]


@pytest.mark.parametrize("size", ["auto", 16])
def test_images_of_many_passes_are_taken_one_by_one(model: Model, size: Any) -> None:
    """So none waits for the passes of those beside it: to be written, or to be left."""
    explain = ExplainSpec(methods=("gradcam", "reciprocam"))
    found = decided(model, RunSpec(images=ImageSpec(batch_size=size), explain=explain), 300)
    assert (found.facts.batch_size, found.functions.passes) == (1, USUAL)
