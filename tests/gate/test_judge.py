from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.baseline import Classes, Entry, Named
from gradcam_cli.gate.judge import Case, Judge
from gradcam_cli.gate.recorder import labels_digest
from gradcam_cli.models.labels import Labels
from gradcam_cli.spec.gate import GateSpec
from tests.gate.made import LABELS, class_map, entry, noise

CLASSES = Classes(4, labels_digest(LABELS), 1, ())


def judged(before: Entry, now: Entry, **limits: Any) -> Case:
    return Judge(GateSpec(**limits), CLASSES, LABELS, 4)("a.jpg", before, now)


def test_an_entry_is_the_same_as_itself() -> None:
    case = judged(entry(), entry())
    assert (case.status, case.reasons) == ("same", ())
    assert case.beyond < 1e-9


def test_each_number_has_its_limit() -> None:
    raw = noise(0)
    other = raw.copy()
    other[3, 3] += 0.3
    now = entry(class_map(raw=other))
    correlation = np.corrcoef(raw.ravel(), other.ravel())[0, 1]
    assert 0.99 < correlation < 0.999
    case = judged(entry(), now, min_spearman=("0",), min_iou=("0",), max_shift=("1",))
    assert case.status == "changed"
    assert case.reasons == (f"correlation {correlation:.4g}, limit 0.999",)
    assert case.beyond == pytest.approx((1 - correlation) / 0.001, rel=0.01)
    loose = {"min_spearman": ("0",), "min_iou": ("0",), "max_shift": ("1",)}
    assert judged(entry(), now, min_pearson=("0.99",), **loose).status == "same"
    by_class = judged(entry(), now, min_pearson=("cat=0.99",), **loose)
    assert by_class.status == "same"
    assert judged(entry(), now, min_pearson=("dog=0.99",), **loose).status == "changed"


def test_a_probability_that_changes() -> None:
    before, now = entry(class_map(probability=0.9)), entry(class_map(probability=0.85))
    (reason,) = judged(before, now).reasons
    assert reason == "probability change 0.05, limit 0.03"
    assert judged(before, now, max_probability_change=("0.05",)).status == "same"


def test_another_class_counts_but_for_a_tie() -> None:
    before = entry(class_map(0, probability=0.45), class_map(1, probability=0.44))
    close = entry(class_map(0, probability=0.44), class_map(1, probability=0.45))
    far = entry(class_map(0, probability=0.42), class_map(1, probability=0.46))
    one = entry(class_map(0, probability=0.45))
    assert judged(one, close).status == "same"
    assert judged(before, close).status == "same"
    case = judged(before, far)
    assert case.reasons[0] == "predicted dog (0.460), was cat (0.450)"
    unknown = entry(class_map(1, probability=0.45))  # who knows how much the cat has
    assert judged(one, unknown).reasons[0].startswith("predicted dog")


def test_maps_are_paired_by_class_not_by_rank() -> None:
    before = entry(class_map(0, slot="top1"), class_map(1, probability=0.01, slot="top2"))
    now = entry(class_map(1, probability=0.01, slot="top1"), class_map(0, slot="top2"))
    assert judged(before, now).status == "same"


def test_methods_and_layers_are_paired() -> None:
    maps = [
        class_map(0, noise(seed), method=method, layer=layer)
        for seed, (method, layer) in enumerate(
            [("gradcam", "a"), ("gradcam", "b"), ("cam", "a"), ("cam", "b")]
        )
    ]
    assert judged(entry(*maps), entry(*maps)).status == "same"
    swapped = [maps[1], maps[0], *maps[2:]]
    assert judged(entry(*maps), entry(*swapped)).status == "changed"


def test_reasons_say_which_map_is_meant() -> None:
    first, second = class_map(method="cam"), class_map(method="gradcam")
    now = entry(first, class_map(method="gradcam", raw=noise(9)))
    reasons = judged(entry(first, second), now).reasons
    assert reasons
    for reason in reasons:
        assert reason.startswith("cat, gradcam: ")


def test_a_class_that_left_the_likeliest_is_judged_by_its_probability() -> None:
    before = entry(class_map(0), class_map(1, probability=0.02))
    row = class_map(1, probability=0.015)
    now = entry(class_map(0), predictions=entry(class_map(0), row).predictions)
    case = judged(before, now)
    assert case.status == "same"
    assert case.notes == ("dog is not among the explained classes any more",)
    gone = judged(before, entry(class_map(0)))
    assert gone.status == "changed"


def test_maps_that_become_empty() -> None:
    raw = noise(0)
    empty = class_map(raw=-np.abs(raw), empty="all negative")
    assert "is empty now (all negative)" in judged(entry(), entry(empty)).reasons[0]
    assert "is not empty any more" in judged(entry(empty), entry()).reasons[0]
    assert judged(entry(empty), entry(empty)).status == "same"
    faint = -np.abs(raw)
    faint[0, 0] = 0.001  # on another machine it may be a hair below 0
    hair = faint.copy()
    hair[0, 0] = -0.0001
    now = entry(class_map(raw=hair, empty="all negative"))
    assert judged(entry(class_map(raw=faint)), now).status == "same"


def test_maps_that_are_not_finite() -> None:
    broken = class_map(raw=np.full((7, 7), np.nan, np.float32), empty="not finite")
    assert judged(entry(), entry(broken)).status == "changed"
    assert judged(entry(broken), entry()).status == "changed"
    both = judged(entry(broken), entry(broken))
    assert both.status == "changed", "what cannot be compared never passes"
    assert both.reasons == ("the map of cat cannot be compared: not finite",)


def test_a_picture_that_is_another_one() -> None:
    case = judged(entry(), entry(sha256="1" * 64))
    assert case.reasons == ("the picture is another one: its file has changed",)


def test_no_probabilities() -> None:
    before = entry(class_map(probability=None))
    assert judged(before, before).status == "same"


def test_grids_that_differ_are_said() -> None:
    fine = np.repeat(np.repeat(noise(0), 2, axis=0), 2, axis=1)
    case = judged(entry(), entry(class_map(raw=fine)))
    assert case.maps[0].resampled
    assert not judged(entry(), entry()).maps[0].resampled


OTHER_ORDER = Labels(("owl", "fox", "dog", "cat"), ())


def test_classes_are_found_by_name() -> None:
    judge = Judge(GateSpec(), CLASSES, OTHER_ORDER, 4)
    assert judge.index(Named(0, "", "cat")) == 3
    now = entry(class_map(3, noise(0), name="cat"))
    assert judge("a.jpg", entry(), now).status == "same"
    more = Labels((*LABELS.names, "bat"), ())
    assert Judge(GateSpec(), CLASSES, more, 5).index(Named(1, "", "dog")) == 1


@pytest.mark.parametrize(
    ("labels", "count", "said"),
    [
        (Labels((), ()), 5, "no names to compare them by"),
        (Labels(("owl", "fox", "dog", "kitten"), ()), 4, "none of the model's 4 classes"),
        (Labels(("cat", "cat", "dog", "owl"), ()), 4, "2 of the model's 4 classes"),
    ],
)
def test_classes_that_cannot_be_compared(labels: Labels, count: int, said: str) -> None:
    with pytest.raises(GradcamError, match=said):
        Judge(GateSpec(), CLASSES, labels, count).index(Named(0, "", "cat"))


def test_without_names_indices_are_compared_where_there_are_as_many() -> None:
    for before, labels in ((Classes(4, "", 1, ()), LABELS), (CLASSES, Labels((), ()))):
        assert Judge(GateSpec(), before, labels, 4).index(Named(2, "", "")) == 2


def test_ids_tell_namesakes_apart() -> None:
    labels = Labels(("crane", "crane"), ("n02012849", "n03126707"))
    before = Classes(3, "another digest", 1, ())
    judge = Judge(GateSpec(), before, labels, 2)
    assert judge.index(Named(134, "n03126707", "crane")) == 1


@pytest.mark.parametrize("typed", ["x", "nan", "1.5", "cat=", "cat=x", "-0.1"])
def test_limits_that_are_not_numbers(typed: str) -> None:
    with pytest.raises(GradcamError, match="--min-iou"):
        GateSpec(min_iou=(typed,))


def test_a_limit_of_a_class_that_is_not_there() -> None:
    with pytest.raises(GradcamError, match="cow"):
        judged(entry(), entry(), min_iou=("cow=0.5",))
