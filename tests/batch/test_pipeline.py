from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.batch import pipeline
from gradcam_cli.batch.pipeline import THREADS, Late, Stages, ordered, stream
from gradcam_cli.batch.records import Kept, Record
from gradcam_cli.commands.options import DrawOptions
from gradcam_cli.errors import GradcamError
from gradcam_cli.explain import Explainer, Question
from gradcam_cli.images.find import Found
from gradcam_cli.models.classes import ClassChoice
from gradcam_cli.models.load import Model
from tests.tiny import explain, load_tiny, make_plan, write_pictures


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return load_tiny(tiny)


def asking(model: Model) -> partial[Explainer]:
    return partial(Explainer, model, Question(ClassChoice(1)))


def timeless(records: list[Record]) -> list[Record]:
    return [replace(record, seconds=0.0) for record in records]


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
    late = [each.item for each in results if isinstance(each, Late)]
    assert late == [2, 3, 5, 8]
    assert [each for each in results if not isinstance(each, Late)] == [0, 1, 4, 6, 7, 9, 10, 11]


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


def test_one_record_a_picture_in_order(model: Model, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", 11)
    for number in (0, 1, 4, 10):
        pictures[number].path.write_bytes(b"no picture")
    records = explain(pictures, model, make_plan(model, tmp_path / "out"))
    assert [record.source for record in records] == [found.source for found in pictures]
    assert [record.failed for record in records] == [n in (0, 1, 4, 10) for n in range(11)]
    assert len({record.predictions[0].score for record in records if not record.failed}) == 7


def test_an_answer_belongs_to_its_picture(model: Model, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", 7)
    plan = make_plan(model, None)
    together = explain(pictures, model, plan)
    alone = [explain([found], model, plan)[0] for found in pictures]
    for one, other in zip(together, alone, strict=True):
        assert one.sha256 == other.sha256
        assert [row.index for row in one.predictions] == [row.index for row in other.predictions]
        for mine, its in zip(one.predictions, other.predictions, strict=True):
            assert mine.score == pytest.approx(its.score, abs=1e-6)


@pytest.mark.parametrize("done", [1, 2, 3, 4, 5, 9, 10])
@pytest.mark.parametrize("batch_bytes", [512 << 20, 5000])
def test_what_is_left_comes_out_to_the_last_bit(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int, batch_bytes: int
) -> None:
    """A network's answer depends in the last bits on a picture's place in its batch."""
    monkeypatch.setattr(pipeline, "_BATCH_BYTES", batch_bytes)
    pictures = write_pictures(tmp_path / "in", 11)
    pictures[3].path.write_bytes(b"no picture")
    draw = DrawOptions(save="overlay,array")
    whole = explain(pictures, model, make_plan(model, tmp_path / "whole", draw))
    kept = [
        found if record.failed else Kept(3 * record.width * record.height, False)
        for found, record in zip(pictures[:done], whole, strict=False)
    ]
    rest = explain([*kept, *pictures[done:]], model, make_plan(model, tmp_path / "rest", draw))
    again = [record for record in whole[:done] if record.failed]
    assert timeless(rest) == timeless([*again, *whole[done:]])
    for record in rest:
        for item in record.explanations:
            for name in item.files.values():
                assert (tmp_path / "rest" / name).read_bytes() == (
                    tmp_path / "whole" / name
                ).read_bytes()


@pytest.mark.parametrize(("kept", "left", "size"), [(0, 1, 1), (0, 9, 4), (2, 1, 3), (8, 1, 4)])
def test_the_network_is_traced_for_the_whole_run_s_largest_batch(
    model: Model, tmp_path: Path, kept: int, left: int, size: int
) -> None:
    sizes = []

    def trace(asked: int) -> Explainer:
        sizes.append(asked)
        return asking(model)(asked)

    pictures: list[Found | Kept] = [Kept(100, False)] * kept
    pictures += write_pictures(tmp_path / "in", left)
    assert len(list(stream(pictures, make_plan(model, None), trace, 4))) == left
    assert sizes == [size]


def test_nothing_is_traced_where_nothing_is_left(tmp_path: Path, model: Model) -> None:
    def trace(size: int) -> Explainer:
        raise AssertionError(size)

    broken = write_pictures(tmp_path / "in", 3)
    for found in broken:
        found.path.write_bytes(b"")
    pictures: list[Found | Kept] = [Kept(100, False)] * 5 + list(broken)
    records = list(stream(pictures, make_plan(model, None), trace, 4))
    assert [record.failed for record in records] == [True] * 3


def endless(pictures: list[Found], taken: list[int]) -> Iterator[Found]:
    for number in count():
        taken[0] = number + 1
        yield pictures[number % len(pictures)]


def test_the_first_heatmap_is_there_before_the_walk_ends(model: Model, tmp_path: Path) -> None:
    pictures, taken = write_pictures(tmp_path / "in", 3), [0]
    records = stream(endless(pictures, taken), make_plan(model, tmp_path / "out"), asking(model), 4)
    for seen in range(1, 30):
        record = next(records)
        assert (tmp_path / "out" / record.explanations[0].files["overlay"]).exists()
        assert taken[0] <= seen + 2 * 4 + 2 * 4 + 4 + 2
    records.close()


def test_failures_are_told_at_once(model: Model, tmp_path: Path) -> None:
    """A folder full of what is no picture neither waits for one nor is held in memory."""
    pictures, taken = write_pictures(tmp_path / "in", 1), [0]
    pictures[0].path.write_bytes(b"no picture")
    records = stream(endless(pictures, taken), make_plan(model, None), asking(model), 4)
    for seen in range(1, 200):
        assert next(records).failed
        assert taken[0] <= seen + 20
    records.close()


def test_failures_behind_a_picture_do_not_pile_up(model: Model, tmp_path: Path) -> None:
    good, bad = write_pictures(tmp_path / "in", 2)
    bad.path.write_bytes(b"no picture")
    taken = [0]

    def one_then_rubbish() -> Iterator[Found]:
        yield good
        yield from endless([bad], taken)

    records = stream(one_then_rubbish(), make_plan(model, None), asking(model), 4)
    assert next(records).source == good.source
    assert taken[0] <= 4 * 4 + 2 * 4
    assert next(records).failed
    records.close()


@pytest.mark.parametrize("after", [1, 5, 9])
def test_stopping_finishes_what_is_in_flight(model: Model, tmp_path: Path, after: int) -> None:
    pictures, taken = write_pictures(tmp_path / "in", 40), [0]
    plan = make_plan(model, tmp_path / "out")
    stop, records = threading.Event(), []
    for record in stream(endless(pictures, taken), plan, asking(model), 4, stop):
        records.append(record)
        if len(records) == after:
            stop.set()
    assert after <= len(records) <= after + 3 * 4
    assert len(records) % 4 == 0
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert written == {record.explanations[0].files["overlay"] for record in records}


def test_an_error_in_writing_comes_in_its_turn_and_leaves_no_writer(
    model: Model, tmp_path: Path
) -> None:
    pictures = write_pictures(tmp_path / "in", 12)
    pictures[9] = Found(pictures[9].path, "blocked/9.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "blocked").write_text("in the way", encoding="utf-8")
    records: list[Record] = []

    def run() -> None:
        for record in stream(pictures, make_plan(model, tmp_path / "out"), asking(model), 4):
            records.append(record)  # noqa: PERF402  those before the error count

    with pytest.raises(GradcamError, match="cannot write"):
        run()
    assert [record.source for record in records] == [found.source for found in pictures[:9]]
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
        records = explain(pictures, model, make_plan(model, tmp_path / "out"))
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

    records = explain(meddle(), model, make_plan(model, tmp_path / "out"))
    kinds = [record.error.kind if record.error else "" for record in records]
    assert kinds == [*[""] * 5, "vanished", "not-a-picture", "unreadable", *[""] * 4]


def test_the_slowest_stage_is_named() -> None:
    assert Stages(reading=1, network=3, writing=2).slowest() == "network"
    assert Stages(reading=1, network=0, writing=2).slowest() == "writing"


def test_time_is_laid_at_the_stage_that_took_it(model: Model, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", 6)

    def slow_walk() -> Iterator[Found]:
        for found in pictures:
            time.sleep(0.05)
            yield found

    plan, stages = make_plan(model, None), Stages()
    explainer = asking(model)(4)
    assert len(list(stream(slow_walk(), plan, lambda _: explainer, 4, stages=stages))) == 6
    assert stages.slowest() == "reading"
    assert stages.reading >= 6 * 0.05
