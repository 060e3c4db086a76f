from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.cam.methods import METHODS
from gradcam_cli.cam.similarity import cosine_similarity
from gradcam_cli.errors import ModelError
from tests.explaining.networks import (
    NAMES,
    activations,
    asked,
    behind,
    explainer,
    hot,
    images,
    maps,
    network,
    one,
    slopes,
)
from tests.oracles import ORACLES, TARGETS

ONE_GRADIENT = [name for name, row in METHODS.items() if row.needs == "gradient" and name != "cam"]


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def made() -> Any:
    return network()


def test_all_methods_of_one_gradient_at_once_are_their_loops(made: Any) -> None:
    methods = (*ONE_GRADIENT, "eigencam")
    answers = explainer(made, asked(methods=methods))(images())
    logits = behind(made, "last", activations(made, "last", images())).numpy()
    for name in methods:
        for index in (2, 0):
            weights = TARGETS[name](hot(index, 3), logits) if name in TARGETS else hot(index, 3)
            A, G = slopes(made, "last", images(), weights.astype(np.float32))
            arrays = (A,) if name == "eigencam" else (A, G)
            close(maps(answers, name, index), ORACLES[name](*arrays))


def test_a_large_dense_head_gives_all_classes_together(caplog: Any) -> None:
    keras.utils.set_random_seed(3)
    small = network("pooled")
    x = keras.layers.Flatten()(small.get_layer("last").output)
    x = keras.layers.Dense(900, "relu")(keras.layers.Dense(9000, "relu")(x))
    large = keras.Model(small.input, keras.layers.Dense(len(NAMES), "softmax", name="end")(x))
    assert large.count_params() > 8_000_000
    large.get_layer("end").activation = keras.activations.linear
    methods = (*ONE_GRADIENT, "eigencam")
    answers = explainer(large, asked(methods=methods))(images())
    logits = behind(large, "last", activations(large, "last", images())).numpy()
    for name in methods:
        for index in (2, 0):
            weights = TARGETS[name](hot(index, 3), logits) if name in TARGETS else hot(index, 3)
            A, G = slopes(large, "last", images(), weights.astype(np.float32))
            arrays = (A,) if name == "eigencam" else (A, G)
            expected = ORACLES[name](*arrays)
            atol = 1e-4 * np.abs(expected).max()
            np.testing.assert_allclose(maps(answers, name, index), expected, atol=atol, rtol=0)
    assert [each.getMessage() for each in caplog.records if "while_loop" in each.message] == []


def test_a_gradient_without_a_gradient_is_refused_where_it_is_needed() -> None:
    layers = keras.layers
    small = network("pooled")
    x = layers.UpSampling2D(2, interpolation="bicubic")(small.get_layer("last").output)
    x = layers.Dense(len(NAMES))(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(x)))
    made = keras.Model(small.input, x)
    (answer,) = explainer(made, asked(methods=("gradcam", "layercam")), 1)(images(1))
    assert np.abs(one(answer, "gradcam", 2).raw).max() > 0
    with pytest.raises(ModelError, match=r"ResizeBicubicGrad, behind the layer$") as caught:
        explainer(made, asked(methods=("gradcam", "shapleycam")), 1)
    assert "--method gradcam" in caught.value.hint


def test_methods_without_a_gradient_stand_in_where_there_is_none() -> None:
    layers = keras.layers
    small = network("pooled")
    x = layers.GlobalAveragePooling2D()(small.get_layer("last").output)
    made = keras.Model(small.input, layers.Dense(len(NAMES))(keras.ops.floor(1000 * x)))
    with pytest.raises(ModelError, match="no gradient reaches the layer") as caught:
        explainer(made, asked(methods=("gradcam",)), 1)
    assert "--method reciprocam" in caught.value.hint
    (answer,) = explainer(made, asked(methods=("reciprocam", "eigencam")), 1)(images(1))
    assert {each.empty_reason for each in answer.maps} == {""}


def test_maps_come_by_method_then_class_then_layer(made: Any) -> None:
    spec = asked(layers=("last", "first"), methods=("layercam", "gradcam"))
    (answer,) = explainer(made, spec, 1)(images(1))
    assert [(each.method, each.slot, each.layer) for each in answer.maps] == [
        (method, slot, layer)
        for method in ("gradcam", "layercam")
        for slot in ("class2", "class0")
        for layer in ("last", "first")
    ]


def test_several_layers_at_once_are_each_alone(made: Any) -> None:
    both = asked(layers=("last", "first"), methods=("gradcam", "hirescam", "eigencam"))
    together = explainer(made, both)(images())
    for layer in ("last", "first"):
        alone = explainer(made, asked(layer=layer, methods=both.methods))(images())
        for method in both.methods:
            close(maps(together, method, 2, layer), maps(alone, method, 2, layer))


def test_shapley_cam_takes_the_hessian_of_its_own_score(made: Any) -> None:
    """By central differences along A of the gradient that a tape gives, each class by itself."""
    answers = explainer(made, asked(("3", "0"), methods=("shapleycam",)))(images())
    A = activations(made, "last", images()).numpy()

    def gradient(at: Any, index: int) -> Any:
        at = tf.constant(at, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(at)
            logits = behind(made, "last", at)
            score = tf.reduce_sum(logits[:, index] + tf.nn.log_softmax(logits)[:, index])
        return tape.gradient(score, at).numpy().astype(np.float64)

    step = 1e-2
    for index in (3, 0):
        HA = (gradient(A * (1 + step), index) - gradient(A * (1 - step), index)) / (2 * step)
        expected = ORACLES["shapleycam"](A, gradient(A, index), HA)
        np.testing.assert_allclose(
            maps(answers, "shapleycam", index), expected, atol=5e-3 * np.abs(expected).max()
        )


def test_a_counterfactual_is_the_negated_gradient(made: Any) -> None:
    plain = explainer(made, asked(methods=("gradcam", "layercam")))(images())
    negated = explainer(made, asked(methods=("gradcam", "layercam"), counterfactual=True))(images())
    close(maps(negated, "gradcam", 2), -maps(plain, "gradcam", 2))
    A, G = slopes(made, "last", images(), hot(2, 3))
    close(maps(negated, "layercam", 2), ORACLES["layercam"](A, -G))


def test_a_contrast_is_the_gradient_of_a_difference(made: Any) -> None:
    answers = explainer(made, asked(contrast="elk", methods=("gradcam", "layercam")))(images())
    A, G = slopes(made, "last", images(), hot(2, 3) - hot(4, 3))
    for name in ("gradcam", "layercam"):
        close(maps(answers, name, 2), ORACLES[name](A, G))


def test_a_class_contrasted_with_itself_says_so(made: Any) -> None:
    (answer,) = explainer(made, asked(("top5",), contrast="elk"), 1)(images(1))
    reasons = {NAMES[each.index]: each.empty_reason for each in answer.maps}
    assert reasons.pop("elk") == "contrast with itself"
    assert "contrast with itself" not in reasons.values()


def test_a_map_with_nothing_against_a_class_says_so() -> None:
    made = network("pooled")
    kernel, bias = made.get_layer("logits").get_weights()
    made.get_layer("logits").set_weights([np.abs(kernel), bias])
    (answer,) = explainer(made, asked(("1",), counterfactual=True), 1)(images(1))
    assert [each.empty_reason for each in answer.maps] == ["nothing against"]


def test_a_similarity_is_explained_in_place_of_classes() -> None:
    made = network("embedding")
    reference = np.array([1, -2, 0.5, 0, 3], np.float32)
    spec = asked(("predicted",))
    answers = explainer(made, spec, reference=reference)(images())
    A = activations(made, "last", images())
    with tf.GradientTape() as tape:
        tape.watch(A)
        vectors = behind(made, "last", A)
        lengths = tf.norm(vectors, axis=1) * np.linalg.norm(reference)
        cosines = tf.linalg.matvec(vectors, reference) / lengths
        total = tf.reduce_sum(cosines)
    expected = ORACLES["gradcam"](A.numpy(), tape.gradient(total, A).numpy())
    close(maps(answers, "gradcam", 0), expected)
    assert [answer.score(0) for answer in answers] == pytest.approx(cosines.numpy(), abs=1e-6)
    assert {answer.probability(0) for answer in answers} == {None}
    assert {each.slot for answer in answers for each in answer.maps} == {"similarity"}
    np.testing.assert_allclose(
        cosine_similarity(vectors.numpy(), reference, np), cosines, atol=1e-6
    )


def test_an_image_is_not_compared_with_itself() -> None:
    made = network("embedding")
    vector = behind(made, "last", activations(made, "last", images(1))).numpy()[0]
    (answer,) = explainer(made, asked(("predicted",)), 1, reference=vector)(images(1))
    assert answer.score(0) == pytest.approx(1, abs=1e-6)
    assert one(answer, "gradcam", 0).empty_reason == "the same as the reference"
