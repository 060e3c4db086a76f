"""A small network, and the same thing computed by plain Keras: activations, gradients, the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer, ClassMap
from gradcam_cli.explainer import Explainer, traced
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.load import Model
from gradcam_cli.models.scaling import SCALINGS
from gradcam_cli.network.ports import single_input
from gradcam_cli.spec.explain import ExplainSpec

L = keras.layers
Array = NDArray[Any]
SIZE = (9, 11)
NAMES = ("ant", "bee", "cow", "dog", "elk")


def network(head: str = "curved") -> Any:
    """Two layers to explain, ``first`` and ``last``; a head that is curved, flat, or pooled."""
    keras.utils.set_random_seed(11)
    pixels = keras.Input((*SIZE, 3))
    x = L.Conv2D(4, 3, padding="same", activation="relu", name="first")(
        L.Rescaling(1 / 255)(pixels)
    )
    x = L.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="last")(x)
    x = L.GlobalAveragePooling2D()(x) if head == "pooled" else L.Flatten()(x)
    if head == "curved":
        x = L.Dense(7, activation="tanh")(x)
    logits = L.Dense(len(NAMES), name="logits")(x)
    return keras.Model(pixels, logits if head == "embedding" else L.Softmax()(logits))


def model_of(made: Any, labels: Sequence[str] = NAMES) -> Model:
    return Model(
        name="small",
        network=made,
        weights="file",
        ports=single_input(SIZE, 3),
        scaling=SCALINGS["none"],
        labels=Labels(names=tuple(labels), ids=()),
        classes=len(NAMES),
    )


def images(count: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def asked(classes: Sequence[str] = ("2", "0"), layer: str = "last", **more: Any) -> ExplainSpec:
    return ExplainSpec(**{"classes": tuple(classes), "layers": (layer,), **more})


def explainer(made: Any, spec: ExplainSpec, count: int = 3, **more: Any) -> Explainer:
    return traced(model_of(made), spec, count, **more)


def maps(answers: Sequence[Answer], method: str, index: int, layer: str = "last") -> Array:
    """The raw maps of a method, a class and a layer, of all images."""
    return np.stack([one(answer, method, index, layer).raw for answer in answers])


def one(answer: Answer, method: str, index: int, layer: str = "last") -> ClassMap:
    wanted = (method, index, layer)
    (found,) = (each for each in answer.maps if (each.method, each.index, each.layer) == wanted)
    return found


def behind(made: Any, layer: str, value: Any) -> Any:
    """The logits of what a layer gives, by calling the layers behind it."""
    at = [each.name for each in made.layers].index(layer)
    for each in made.layers[at + 1 :]:
        if not isinstance(each, L.Softmax):
            value = each(value)
    return value


def activations(made: Any, layer: str, pixels: Array) -> Any:
    value = tf.cast(pixels, tf.float32)
    for each in made.layers[1:]:
        value = each(value)
        if each.name == layer:
            return value
    raise KeyError(layer)


def slopes(made: Any, layer: str, pixels: Array, weights: Array) -> tuple[Array, Array]:
    """A and G of ``sum_c weights_c y_c`` at a layer, under a tape."""
    A = activations(made, layer, pixels)
    with tf.GradientTape() as tape:
        tape.watch(A)
        score = tf.reduce_sum(behind(made, layer, A) * weights)
    return A.numpy(), tape.gradient(score, A).numpy()


def hot(index: int, count: int) -> Array:
    return np.repeat(np.eye(len(NAMES), dtype=np.float32)[index][None], count, axis=0)
