"""One network of every family of ``keras.applications``, from its name to its map."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.explainer import traced
from gradcam_cli.models.catalog import EMBEDDED, Entry, find, names
from gradcam_cli.models.load import load
from gradcam_cli.spec.model import ModelSpec
from tests.asking import ask
from tests.oracles import grad_cam

PICTURE = Path(__file__).parents[2] / "sample_images" / "cat.jpg"
CLASS = 2


def module(entry: Entry) -> Any:
    return sys.modules[getattr(keras.applications, entry.constructor).__module__]


def smallest_of_each_family() -> list[str]:
    families: dict[str, Entry] = {}
    for entry in (find(name) for name in names() if name != EMBEDDED):
        known = families.setdefault(module(entry).__name__, entry)
        if entry.parameters < known.parameters:
            families[module(entry).__name__] = entry
    return [entry.name for entry in families.values()]


@pytest.fixture(autouse=True)
def _one_network_at_a_time() -> Iterator[None]:
    keras.utils.clear_session()
    yield
    keras.utils.clear_session()
    gc.collect()


def picture(size: tuple[int, int]) -> NDArray[np.uint8]:
    pixels = cv2.cvtColor(cv2.imread(str(PICTURE)), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def by_rebuilding(network: Any, x: Any) -> tuple[Any, Any, Any]:
    """The textbook's way: a second model that ends in the features and the head; A, G, logits."""
    pooling = [op for op in network.operations if "Pooling2D" in type(op).__name__][-1]
    last = network.layers[-1]
    rebuilt = keras.Model(network.input, [pooling.input, last.input])
    with tf.GradientTape() as tape:
        A, before = rebuilt(x, training=False)
        logits = before
        if isinstance(last, keras.layers.Dense):
            assert last.activation is keras.activations.softmax
            logits = tf.matmul(before, last.kernel) + last.bias
        score = logits[:, CLASS]
    return A.numpy(), tape.gradient(score, A).numpy(), logits.numpy()


def test_there_are_fifteen_families() -> None:
    assert len(smallest_of_each_family()) == 15


_LONG = (
    *("convnexttiny", "densenet121", "inceptionresnetv2", "nasnetmobile"),
    *("vgg19", "efficientnetv2b0"),
)
"""Of operations that other families have as well: hundreds, or those of VGG16, EfficientNetB0."""
_PLACES = {"mobilenet": (16, 32), "inceptionv3": (37.5, 32)}
"""First cell and step: padded ones tile the input, without padding a grid leaves a margin."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if name in _LONG else ())
        for name in smallest_of_each_family()
    ],
)
def test_a_family_from_its_name_to_its_map(name: str) -> None:
    entry = find(name)
    model = load(ModelSpec(name, weights="random", seed=1))
    x = picture(model.ports.size)
    explainer = traced(model, ask(fixed=(CLASS,)), 1)
    (explained,) = explainer(x[None])
    (explanation,) = explained.maps

    scaled = module(entry).preprocess_input(x[None].astype(np.float32))
    A, G, logits = by_rebuilding(model.network, scaled)
    assert model.ports.size == entry.input_size
    (layer,) = explainer.facts.layers
    assert layer.grid == A.shape[1:3]
    assert layer.path == entry.layer
    for cells in layer.cells or ():
        first, step = _PLACES.get(name, cells[:2])
        assert cells[:2] == (first, step)
        assert name not in _PLACES or 2 * first + step * (A.shape[1] - 1) == x.shape[0]
    assert layer.cells or name not in _PLACES
    expected = grad_cam(A, G)[0]
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(explanation.raw, expected, atol=5e-5 * np.abs(expected).max())
    spread = np.ptp(logits)
    np.testing.assert_allclose(explained.scores, logits[0], atol=5e-5 * spread)
    assert explanation.score == explained.scores[CLASS]
    probabilities = explained.probabilities
    assert probabilities is not None
    odds = np.exp(logits[0] - logits.max())
    np.testing.assert_allclose(probabilities, odds / odds.sum(), rtol=1e-3)
    assert explanation.probability == probabilities[CLASS]
