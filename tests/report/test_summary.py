from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from gradcam_cli.report.summary import ClassCount, Summary, finite, summarise
from gradcam_cli.store.records import Prediction, Record
from tests.report.made import done, failed, guess, heatmap

DOG = replace(heatmap("dog"), index=2, id="n2")
RECORDS = [
    done("a", guess("cat", 0.75), guess("dog", 0.1, 2, 2), maps=[heatmap(), DOG]),
    done("b", guess("cat", 0.25), maps=[heatmap(reason="all negative")], warning="a complaint"),
    done("c", guess("dog", None, 2), maps=[DOG], notes=("scaling inside",)),
    failed("d"),
    failed("e", "truncated"),
    failed("f", "truncated"),
    done("g", maps=[heatmap(reason="not finite"), heatmap(reason="all negative")]),
]


def test_a_run_in_numbers() -> None:
    assert summarise(RECORDS) == Summary(
        pictures=7,
        done=4,
        failed={"truncated": 2, "empty": 1},
        with_empty=2,
        with_warning=1,
        maps=6,
        empty={"all negative": 2, "not finite": 1},
        used={
            "model": {"vgg16": 4},
            "weights": {"imagenet": 4},
            "layer": {"block5_conv3": 4},
            "method": {"gradcam": 4},
            "score_kind": {"logit": 4},
            "precision": {"float32": 4},
        },
        settings={"0" * 16: 7},
        notes=("scaling inside",),
        classes=(
            ClassCount(1, "n1", "cat", 2, 0.5, 4, 3),
            ClassCount(2, "n2", "dog", 1, None, 2, 0),
        ),
    )


def test_the_most_frequent_comes_first() -> None:
    counts = summarise(RECORDS)
    assert list(counts.failed) == ["truncated", "empty"]
    assert list(counts.empty) == ["all negative", "not finite"]


def test_every_different_setting_is_named() -> None:
    records = [
        done("a", maps=[heatmap()]),
        done("b", maps=[heatmap(layer="conv1")], settings="1" * 16),
        done("c", maps=[heatmap(layer="conv1")], settings="1" * 16, precision="bfloat16"),
    ]
    counts = summarise(records)
    assert list(counts.used["layer"].items()) == [("conv1", 2), ("block5_conv3", 1)]
    assert counts.used["precision"] == {"float32": 2, "bfloat16": 1}
    assert counts.settings == {"1" * 16: 2, "0" * 16: 1}


def test_classes_of_one_name_are_two() -> None:
    indices = [7, 134, 517, 517, 134]
    records = [done(str(n), guess("crane", 0.5, index)) for n, index in enumerate(indices)]
    rows = summarise(records).classes
    assert [(row.index, row.pictures) for row in rows] == [(134, 2), (517, 2), (7, 1)]


def test_nothing_is_a_run_too() -> None:
    counts = summarise([])
    assert (counts.pictures, counts.done, counts.failed, counts.classes) == (0, 0, {}, ())


@pytest.mark.parametrize(
    "number", [None, math.inf, -math.inf, math.nan, 10**400, -(10**400), 1.7e308]
)
def test_only_numbers_that_can_be_summed_are_known(number: float | None) -> None:
    assert finite(number) is None
    counts = summarise([done("a", guess("cat", number)), done("b", guess("cat", 0.25))])
    assert counts.classes == (ClassCount(1, "n1", "cat", 2, 0.25, 0, 0),)


def test_a_number_stays_as_it_is() -> None:
    assert [finite(number) for number in (0, 1, -2.5, 1e-300)] == [0.0, 1.0, -2.5, 1e-300]


def any_record(chance: random.Random, place: int) -> Record:
    if chance.random() < 0.1:
        return failed(str(place), chance.choice(["empty", "truncated", "vanished"]))
    reasons = chance.choices([None, "all negative", "zero gradient"], [8, 1, 1], k=3)
    maps = [
        replace(heatmap(f"class {index}", reason=reason), index=index, id="")
        for index, reason in enumerate(reasons[: chance.randint(0, 3)], chance.randint(0, 9))
    ]
    index = chance.randint(0, 9)
    probability = chance.choice([None, chance.random()])
    first = Prediction(1, index, "", f"class {index}", probability, 1.0)
    record = done(str(place), first, guess("other", 0.1, 77, 2), maps=maps)
    return replace(record, warning="odd" if chance.random() < 0.2 else "")


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_those_of_a_naive_count(seed: int) -> None:
    chance = random.Random(seed)
    records = [any_record(chance, place) for place in range(300)]
    counts = summarise(iter(records))
    fine = [record for record in records if record.error is None]
    assert counts.done == len(fine)
    assert sum(counts.failed.values()) == 300 - len(fine)
    for kind, count in counts.failed.items():
        assert count == len([r for r in records if r.error and r.error.kind == kind])
    every = [item for record in fine for item in record.explanations]
    assert counts.maps == len(every)
    for reason in ("all negative", "zero gradient"):
        assert counts.empty[reason] == len([m for m in every if m.empty_reason == reason])
    assert counts.with_empty == len([r for r in fine if any(m.empty for m in r.explanations)])
    assert counts.with_warning == len([r for r in records if r.warning])
    assert {row.index for row in counts.classes} == {r.predictions[0].index for r in fine}
    for row in counts.classes:
        own = [record for record in fine if record.predictions[0].index == row.index]
        known = [p for r in own if (p := r.predictions[0].probability) is not None]
        maps = [item for item in every if item.name == row.name]
        assert row.pictures == len(own)
        assert row.probability == (pytest.approx(sum(known) / len(known)) if known else None)
        assert (row.maps, row.empty) == (len(maps), len([item for item in maps if item.empty]))
