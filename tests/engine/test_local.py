from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcam_cli.engine.files import Recorder
from gradcam_cli.engine.local import THREADS, Stages, TimedOut, ordered, stream
from gradcam_cli.engine.steps import Failed
from gradcam_cli.errors import GradcamError, OutOfMemory
from gradcam_cli.explainer import Explainer, traced
from gradcam_cli.models.load import Model
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.store.records import Done, Record
from tests.asking import ask
from tests.tiny import explain, load_tiny, recorder, write_pictures


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return load_tiny(tiny)


def timeless(records: list[Record]) -> list[Record]:
    return [replace(record, seconds=0.0, written_ns=0) for record in records]


# -- ordered


def test_results_come_in_the_order_of_the_items() -> None:
    chance = random.Random(2)
    naps = [chance.random() / 500 for _ in range(100)]

    def work(number: int) -> int:
        time.sleep(naps[number])
        return number * number

    assert list(ordered(work, range(100), 7)) == [number * number for number in range(100)]


def test_no_more_is_begun_than_may_be_ahead() -> None:
    begun = 0

    def items() -> Iterator[int]:
        nonlocal begun
        while True:
            begun += 1
            yield begun

    results = ordered(lambda number: number, items(), 5)
    for number in range(1, 50):
        assert next(results) == number
        assert begun <= number + 4
    results.close()


def test_heavy_results_hold_the_rest_back() -> None:
    begun = 0

    def items() -> Iterator[int]:
        nonlocal begun
        for begun in count(1):
            time.sleep(0.001)  # the one before is finished
            yield begun

    results = ordered(lambda number: number, items(), 50, weigh=lambda _: 10, most=25)
    for _ in range(20):
        next(results)
        assert begun - _ < 6
    results.close()


def test_an_error_arrives_in_its_turn() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        return number

    results = ordered(work, range(10), 8)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)


def test_nothing_is_begun_behind_an_error() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return 1 // (number != 2)

    def slowly() -> Iterator[int]:
        for number in range(100):
            yield number
            time.sleep(0.05)  # as a network between two batches

    results = ordered(work, slowly(), 50)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) < 10


def test_an_own_timeout_is_an_error_like_any_other() -> None:
    def work(number: int) -> int:
        raise TimeoutError(number)

    with pytest.raises(TimeoutError):
        list(ordered(work, range(2), 2, patience=5))


def test_work_that_hangs_is_given_up_and_nothing_else() -> None:
    release = threading.Event()

    def work(number: int) -> int:
        if number in (2, 3, 5, 8):
            release.wait()
        return number

    try:
        results = list(ordered(work, range(12), 6, patience=0.1))
    finally:
        release.set()
    late = [each.item for each in results if isinstance(each, TimedOut)]
    assert late == [2, 3, 5, 8]
    assert [each for each in results if not isinstance(each, TimedOut)] == [
        0,
        1,
        4,
        6,
        7,
        9,
        10,
        11,
    ]


def test_leaving_early_waits_for_work_without_patience_and_not_with() -> None:
    release, finished = threading.Event(), []

    def work(number: int) -> int:
        if number:
            release.wait()
            time.sleep(0.05)
            finished.append(number)
        return number

    impatient = ordered(work, range(3), 3)
    next(impatient)
    impatient.close()
    assert finished == []
    patient = ordered(work, range(3), 3, patience=None)
    next(patient)
    release.set()
    patient.close()
    assert finished


# -- stream


@pytest.fixture(scope="module")
def four(model: Model) -> Explainer:
    return traced(model, ask(1), 4)


def streamed(
    places: Iterable[Found | Done], explainer: Explainer, record: Recorder, *more: Any, **how: Any
) -> Generator[Record | Failed | Done, None, None]:
    return stream(places, explainer, record.spec.images, record, *more, **how)


def overlay(outcome: Record | Failed | Done, folder: Path) -> Path:
    assert isinstance(outcome, Record)
    return folder / outcome.explanations[0].files["overlay"]


def test_one_outcome_a_place_in_order(model: Model, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", 11)
    for number in (0, 1, 4, 10):
        pictures[number].path.write_bytes(b"no picture")
    records = explain(pictures, model, recorder(model, tmp_path / "out"))
    assert [record.source for record in records] == [found.source for found in pictures]
    assert [record.failed for record in records] == [n in (0, 1, 4, 10) for n in range(11)]
    assert len({record.predictions[0].score for record in records if not record.failed}) == 7


def test_an_answer_belongs_to_its_picture(model: Model, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", 7)
    record = recorder(model, None)
    together = explain(pictures, model, record)
    alone = [explain([found], model, record, 1)[0] for found in pictures]
    for one, other in zip(together, alone, strict=True):
        assert one.sha256 == other.sha256
        assert [row.index for row in one.predictions] == [row.index for row in other.predictions]
        for mine, its in zip(one.predictions, other.predictions, strict=True):
            assert mine.score == pytest.approx(its.score, abs=1e-6)


@pytest.mark.parametrize(
    ("done", "failing"),
    [
        (set(range(1)), {3}),
        (set(range(3)), {3}),
        (set(range(4)), {3}),
        (set(range(5)), {0, 4}),
        (set(range(10)), {3}),
        ({1, 2, 6, 9}, {0, 5, 10}),
        ({0, 1, 2, 3, 8, 9, 10}, {4, 5, 6}),
    ],
)
def test_what_is_left_comes_out_to_the_last_bit(
    model: Model, four: Explainer, tmp_path: Path, done: set[int], failing: set[int]
) -> None:
    """A network's answer depends in the last bits on a picture's place in its batch."""
    pictures = write_pictures(tmp_path / "in", 11)
    draw = DrawSpec(save=("overlay", "array"))
    whole = list(streamed(pictures, four, recorder(model, tmp_path / "whole", draw)))
    for number in failing:
        pictures[number].path.write_bytes(b"no picture")
    places = [
        Done(found.source, empty=False) if number in done else found
        for number, found in enumerate(pictures)
    ]
    rest = list(streamed(places, four, recorder(model, tmp_path / "rest", draw)))
    for number, (first, second) in enumerate(zip(whole, rest, strict=True)):
        assert isinstance(first, Record)
        if number in done:
            assert second is places[number]
        elif number in failing:
            assert isinstance(second, Failed)
        else:
            assert isinstance(second, Record)
            assert timeless([second]) == timeless([first])
            for name in second.explanations[0].files.values():
                mine, its = (tmp_path / folder / name for folder in ("rest", "whole"))
                assert mine.read_bytes() == its.read_bytes()


class Watched:
    """A traced network that remembers what it was given."""

    def __init__(self, explainer: Explainer) -> None:
        self.model, self.facts = explainer.model, explainer.facts
        self.request = explainer.request
        self.batches: list[Any] = []
        self._explainer = explainer

    def __call__(self, pixels: Any, *more: Any) -> Any:
        self.batches.append(pixels)
        return self._explainer(pixels, *more)


def test_blocks_are_cut_by_the_list_and_those_without_work_are_not_run(
    model: Model, four: Explainer, tmp_path: Path
) -> None:
    pictures = write_pictures(tmp_path / "in", 15)
    for number in (4, 13):
        pictures[number].path.write_bytes(b"no picture")
    places: list[Found | Done] = list(pictures)
    for number in (0, 5, 6, 7, 8, 9, 11):
        places[number] = Done(pictures[number].source, empty=False)
    watched: Any = Watched(four)
    outcomes = list(streamed(places, watched, recorder(model, None)))
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [
        *(Done, Record, Record, Record),
        *(Failed, Done, Done, Done),
        *(Done, Done, Record, Done),
        *(Record, Failed, Record),
    ]
    first, second, third = (batch.any(axis=(1, 2, 3)).tolist() for batch in watched.batches)
    assert first == [False, True, True, True]
    assert second == [False, False, True, False]
    assert third == [True, False, True]
    assert all(np.shape(batch)[1:] == (16, 16, 3) for batch in watched.batches)


def test_methods_that_a_picture_has_maps_of_are_not_run_again(model: Model, tmp_path: Path) -> None:
    first, second = write_pictures(tmp_path / "in", 2)
    both = traced(model, ExplainSpec(methods=("gradcam", "layercam")), 2)
    places = [replace(first, done_by=frozenset({"gradcam"})), second]
    methods = [
        [each.method for each in outcome.explanations]
        for outcome in streamed(places, both, recorder(model, None))
        if isinstance(outcome, Record)
    ]
    assert methods == [["layercam"], ["gradcam", "layercam"]]


def test_memory_that_runs_out_is_said_with_a_smaller_size(
    model: Model, four: Explainer, tmp_path: Path
) -> None:
    class Starved(Watched):
        def __call__(self, *_: Any) -> Any:
            raise OutOfMemory("no memory")

    starved: Any = Starved(four)
    with pytest.raises(GradcamError, match="memory ran out with batches of 4") as caught:
        list(streamed(write_pictures(tmp_path / "in", 5), starved, recorder(model, None)))
    assert "--batch-size 2" in caught.value.hint


def endless(pictures: list[Found], taken: list[int]) -> Iterator[Found]:
    for number in count():
        taken[0] = number + 1
        yield pictures[number % len(pictures)]


def test_the_first_heatmap_is_there_before_the_list_ends(
    model: Model, four: Explainer, tmp_path: Path
) -> None:
    pictures, taken = write_pictures(tmp_path / "in", 3), [0]
    outcomes = streamed(endless(pictures, taken), four, recorder(model, tmp_path / "out"))
    for seen in range(1, 30):
        assert overlay(next(outcomes), tmp_path / "out").exists()
        assert taken[0] <= seen + 2 * 4 + 2 * 4 + 4 + 2
    outcomes.close()


def test_failures_do_not_pile_up(model: Model, four: Explainer, tmp_path: Path) -> None:
    """A folder full of what is not a picture neither waits for one nor is held in memory."""
    good, bad = write_pictures(tmp_path / "in", 2)
    bad.path.write_bytes(b"no picture")
    taken = [0]

    def one_then_rubbish() -> Iterator[Found]:
        yield good
        yield from endless([bad], taken)

    outcomes = streamed(one_then_rubbish(), four, recorder(model, None))
    first = next(outcomes)
    assert isinstance(first, Record)
    assert first.source == good.source
    for seen in range(1, 200):
        assert isinstance(next(outcomes), Failed)
        assert taken[0] <= seen + 5 * 4
    outcomes.close()


@pytest.mark.parametrize("after", [1, 5, 9])
def test_stopping_finishes_what_is_in_flight(
    model: Model, four: Explainer, tmp_path: Path, after: int
) -> None:
    pictures, taken = write_pictures(tmp_path / "in", 40), [0]
    stop, outcomes = threading.Event(), []
    record = recorder(model, tmp_path / "out")
    for outcome in streamed(endless(pictures, taken), four, record, stop):
        outcomes.append(outcome)
        if len(outcomes) == after:
            stop.set()
    assert after <= len(outcomes) <= after + 3 * 4
    assert len(outcomes) % 4 == 0
    written = {path for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    assert written == {overlay(outcome, tmp_path / "out") for outcome in outcomes}


def test_an_error_in_writing_comes_in_its_turn_and_leaves_no_writer(
    model: Model, four: Explainer, tmp_path: Path
) -> None:
    pictures = write_pictures(tmp_path / "in", 12)
    pictures[9] = Found(pictures[9].path, "blocked/9.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "blocked").write_text("in the way", encoding="utf-8")
    outcomes: list[Any] = []

    def run() -> None:
        for outcome in streamed(pictures, four, recorder(model, tmp_path / "out")):
            outcomes.append(outcome)  # noqa: PERF402  those before the error count

    with pytest.raises(GradcamError, match="cannot write"):
        run()
    assert [outcome.source for outcome in outcomes] == [found.source for found in pictures[:9]]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    for thread in threading.enumerate():
        if thread.name.startswith(THREADS):
            thread.join(5)
            assert not thread.is_alive()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_picture_that_hangs_is_a_failed_record(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    class DeadDisk(type(tmp_path)):  # type: ignore[misc]  # Path cannot be derived from before 3.12
        def stat(self, **_: Any) -> Any:
            release.wait()
            raise FileNotFoundError

    monkeypatch.setitem(ordered.__kwdefaults__ or {}, "patience", 0.2)
    pictures = write_pictures(tmp_path / "in", 9)
    for number in (0, 4):
        pictures[number] = Found(DeadDisk(pictures[number].path), pictures[number].source)
    try:
        records = explain(pictures, model, recorder(model, tmp_path / "out"))
    finally:
        release.set()
    kinds = [record.error.kind if record.error else "" for record in records]
    assert kinds == ["timeout", "", "", "", "timeout", "", "", "", ""]


def test_pictures_that_vanish_or_change_meanwhile(model: Model, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", 12)

    def meddle() -> Iterator[Found]:
        for number, found in enumerate(pictures):
            if number == 5:
                found.path.unlink()
            if number == 6:
                found.path.write_bytes(b"text now")
            if number == 7:
                found.path.unlink()
                found.path.mkdir()
            yield found

    records = explain(meddle(), model, recorder(model, tmp_path / "out"))
    kinds = [record.error.kind if record.error else "" for record in records]
    assert kinds == [*[""] * 5, "vanished", "not-a-picture", "unreadable", *[""] * 4]


def test_the_slowest_stage_is_named() -> None:
    assert Stages(reading=1, network=3, writing=2).slowest() == "network"
    assert Stages(reading=1, network=0, writing=2).slowest() == "writing"


def test_time_is_laid_at_the_stage_that_took_it(
    model: Model, four: Explainer, tmp_path: Path
) -> None:
    pictures = write_pictures(tmp_path / "in", 6)

    def slow_list() -> Iterator[Found]:
        for found in pictures:
            time.sleep(0.05)
            yield found

    stages = Stages()
    assert len(list(streamed(slow_list(), four, recorder(model, None), stages=stages))) == 6
    assert stages.slowest() == "reading"
    assert stages.reading >= 6 * 0.05
