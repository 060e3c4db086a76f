from __future__ import annotations

import itertools
from pathlib import Path

import keras
import numpy as np
import pytest

from gradcam_cli.engine.decide import decided
from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.audit import Auditor, border_share, inside_share, same_place
from gradcam_cli.gate.markdown import place_in_words
from gradcam_cli.gate.session import Auditing
from gradcam_cli.images.encode import encode
from gradcam_cli.models.load import load
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.gate import AuditSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec
from tests.gate.made import LABELS, class_map, entry
from tests.tiny import noise as colours


def test_heat_in_the_border() -> None:
    even = np.ones((10, 10))
    assert border_share(even, 0.1) == pytest.approx(1 - 0.8**2)
    assert border_share(even, 0.0) == pytest.approx(0)
    assert border_share(even, 0.5) == 1
    assert border_share(even, 0.15) == pytest.approx(1 - 0.7**2)  # through the middle of cells
    inner = np.zeros((10, 10))
    inner[4:6, 4:6] = 7
    assert border_share(inner, 0.1) == pytest.approx(0)
    corner = np.zeros((10, 10))
    corner[0, 9] = 1
    assert border_share(corner, 0.1) == 1


def test_heat_inside_a_mask() -> None:
    heat, mask = np.zeros((4, 4)), np.zeros((4, 4))
    heat[0, 0], heat[2, 2] = 1, 3
    mask[2, 2] = mask[0, 0] = 0.5
    mask[2, 2] = 1
    assert inside_share(heat, mask) == pytest.approx((0.5 + 3) / 4)


def naive_sameness(heats: np.ndarray) -> float:
    """The mean product of two different maps over the mean square of one, pair by pair."""
    n = len(heats)
    pairs = [float((heats[i] * heats[j]).sum()) for i in range(n) for j in range(n) if i != j]
    squares = [float((each * each).sum()) for each in heats]
    return (sum(pairs) / len(pairs)) / (sum(squares) / n)


def test_sameness_is_that_of_pairs_and_chance_that_of_all_mirrorings() -> None:
    rng = np.random.default_rng(1)
    heats = rng.random((4, 6, 6)) ** 4
    heats[:, 0, 0] += 1
    heats /= heats.sum(axis=(1, 2), keepdims=True)
    sameness, chance = same_place(heats)
    assert sameness == pytest.approx(naive_sameness(heats))
    turns = [(slice(None), slice(None)), (slice(None, None, -1), slice(None))]
    turns += [(rows, slice(None, None, -1)) for rows, _ in turns]
    every = [
        naive_sameness(np.stack([heat[turn] for heat, turn in zip(heats, each, strict=True)]))
        for each in itertools.product(turns, repeat=4)
    ]
    exact = np.mean([each >= sameness - 1e-12 for each in every])
    assert chance == pytest.approx(exact, abs=3 * np.sqrt(exact / 999) + 1 / 999)


def spots(places: list[tuple[float, float]], cells: int = 16) -> np.ndarray:
    y, x = np.mgrid[0:cells, 0:cells] / (cells - 1)
    heats = np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 0.02) for a, b in places])
    return np.asarray(heats / heats.sum(axis=(1, 2), keepdims=True))


def test_a_corner_surprises_and_the_middle_does_not() -> None:
    rng = np.random.default_rng(0)
    anywhere = [tuple(rng.random(2)) for _ in range(20)]
    cases = {
        "corner": spots([(0.1, 0.9)] * 20),
        "middle": spots([(0.5, 0.5)] * 20),
        "anywhere": spots(anywhere),
    }
    found = {name: same_place(heats) for name, heats in cases.items()}
    assert found["corner"] == pytest.approx((1, 0.001))
    assert found["middle"] == pytest.approx((1, 1))
    assert found["anywhere"][0] < 0.4


def test_limits_by_class() -> None:
    raw = np.zeros((10, 10), np.float32)
    raw[0, 0] = 1
    corner = entry(class_map(0, raw), class_map(1, raw))
    spec = AuditSpec(max_border_heat=("0.5", "dog=0.999"))
    measured = Auditor(spec, LABELS, 4, [])(corner, Found(Path("a.jpg"), "a.jpg"))
    assert [[number.beyond > 1 for number in numbers] for numbers in measured] == [[True], [False]]
    empty = entry(class_map(0, -np.ones((4, 4), np.float32), empty="all negative"))
    assert Auditor(spec, LABELS, 4, [])(empty, Found(Path("a.jpg"), "a.jpg")) == [()]


def test_maps_of_one_image_are_no_images_of_their_own() -> None:
    auditor, raw = Auditor(AuditSpec(), LABELS, 4, []), np.zeros((16, 16), np.float32)
    raw[2, 2] = 1
    several = [class_map(0, raw, method=name) for name in ("gradcam", "cam", "layercam")]
    for number in range(3):
        auditor.remember(entry(*several), Found(Path(f"{number}.jpg"), f"{number}.jpg"))
    (place,) = auditor.places()
    assert place.pictures == 3
    assert place.chance is None, "three images are too few, however many maps they have"
    assert [name for name, _ in place.ranked] == ["0.jpg", "1.jpg", "2.jpg"]


def test_even_heat_has_a_tenth_of_it_in_a_tenth() -> None:
    auditor = Auditor(AuditSpec(), LABELS, 4, [])
    auditor.remember(entry(class_map(0, np.ones((4, 4), np.float32))), Found(Path("a"), "a"))
    assert auditor.places()[0].share == pytest.approx(0.1, abs=1 / 256)


def test_limits_need_regions() -> None:
    with pytest.raises(GradcamError, match="--min-inside-heat needs regions"):
        AuditSpec(min_inside_heat=("0.5",))


def pictures(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write pictures of two classes: those of the second have a yellow square in their corner."""
    folder.mkdir()
    images, classes = [], []
    for number in range(160):
        pixels = (0.6 * colours(number, 32, 32)).astype(np.uint8)
        if number % 2:
            pixels[1:7, 25:31] = (250, 250, 20)
        images.append(pixels)
        classes.append(number % 2)
        if number < 40:
            (folder / f"{number:03d}.png").write_bytes(encode(pixels, "png"))
    return np.stack(images), np.array(classes)


def trained(images: np.ndarray, classes: np.ndarray, path: Path) -> float:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = 0.01
    history = model.fit(images, classes, batch_size=24, epochs=6, verbose=0)
    model.save(path)
    return float(history.history["accuracy"][-1])


def test_a_watermark_is_found(tmp_path: Path) -> None:
    path = tmp_path / "trained.keras"
    assert trained(*pictures(tmp_path / "in"), path) > 0.95
    model = load(ModelSpec(model=str(path)))
    found = [Found(each, each.name) for each in sorted((tmp_path / "in").iterdir())]
    spec = RunSpec(ModelSpec(model=str(path)), explain=ExplainSpec(("predicted",)))
    audit = AuditSpec(max_same_place=("0.5",), max_border_heat=("0.5",))
    auditing = Auditing(decided(model, spec, len(found)), spec, audit, found)
    cases = list(auditing.run())
    square, other = auditing.places  # what was found comes first
    assert (square.index, other.index) == (1, 0)
    assert square.pictures == pytest.approx(20, abs=2)
    assert square.found
    assert not other.found
    assert square.share > 0.7 > 0.3 > other.share
    assert square.measured is not None
    assert other.measured is not None
    assert square.measured.beyond > 1 >= other.measured.beyond
    assert place_in_words(square.centre) == "top right"
    first, last = square.ranked[0][1], square.ranked[-1][1]
    assert 1 >= first >= last > 0.3
    border = [case for case in cases if case.now and case.now.predictions[0].index == 1]
    assert sum(case.status == "changed" for case in border) > len(border) / 2
