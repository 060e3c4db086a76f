from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.cam.empty import CAUSES
from gradcam_cli.cam.maps import normalised
from gradcam_cli.errors import GradcamError, ModelError, OutOfMemory
from gradcam_cli.explainer import Explainer, traced
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.load import Model
from gradcam_cli.models.scaling import SCALINGS
from gradcam_cli.network.ports import single_input
from tests.asking import ask
from tests.oracles import ORACLES

L = keras.layers
Pixels = NDArray[np.uint8]


def model_of(network: Any, scaling: str = "none", labels: tuple[str, ...] = ()) -> Model:
    _, h, w, channels = network.input_shape
    return Model(
        name="tiny",
        network=network,
        weights="file",
        ports=single_input((h, w), channels),
        scaling=SCALINGS[scaling],
        labels=Labels(names=labels, ids=()),
        classes=network.output_shape[-1],
    )


def pixels(count: int, shape: tuple[int, int, int], seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def hand_made() -> Any:
    """2 x 2 grey pixels; two channels, the pixel and minus the pixel plus 10; GAP; two classes."""
    inputs = keras.Input((2, 2, 1))
    features = keras.layers.Conv2D(2, 1, name="features")
    x = keras.layers.GlobalAveragePooling2D()(features(inputs))
    dense = keras.layers.Dense(2, activation="softmax", name="classes")
    network = keras.Model(inputs, dense(x))
    features.set_weights([np.array([[[[1.0, -1.0]]]]), np.array([0.0, 10.0])])
    dense.set_weights([np.array([[0.5, 0.0], [0.25, 1.0]]), np.array([3.0, -2.0])])
    return network


def random_net(head: str = "flatten", classes: int = 4, dtype: str = "float32") -> Any:
    keras.utils.set_random_seed(7)
    inputs = keras.Input((12, 10, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(5, 3, activation="relu", name="conv1", dtype=dtype)(x)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="conv2", dtype=dtype)(x)
    if head == "flatten":
        x = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(x))
    else:
        x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(classes, name="dense", dtype="float32")(x)
    return keras.Model(inputs, keras.layers.Activation("softmax")(x))


def by_hand(network: Any, layer: str, x: Pixels, index: int) -> tuple[Any, Any]:
    """A and G of a Functional chain, by calling its layers one after the other under a tape."""
    value = tf.cast(x, tf.float32)
    with tf.GradientTape() as tape:
        for each in network.layers[1:]:
            if isinstance(each, keras.layers.Activation):
                break
            value = each(value)
            if each.name == layer:
                A = value
                tape.watch(A)
        score = value[:, index]
    return A.numpy(), tape.gradient(score, A).numpy()


def explain(network: Any, x: Pixels, fixed: tuple[int, ...], **asked: Any) -> Any:
    question = ask(0, fixed, **asked)
    return traced(model_of(network), question, len(x))(x)


def test_a_map_computed_by_hand() -> None:
    x = np.array([[[[10], [20]], [[0], [50]]]], dtype=np.uint8)
    first, second = explain(hand_made(), x, (0, 1))[0].maps
    # channel 0 is the pixel, channel 1 is 10 - pixel; G = w / 4, so the mean of G is w / 4
    grid = np.array([[10, 20], [0, 50]])
    np.testing.assert_allclose(first.raw, 0.125 * grid + 0.0625 * (10 - grid), rtol=1e-6)
    np.testing.assert_allclose(second.raw, 0.25 * (10 - grid), rtol=1e-6)
    # pooled features are (20, -10): logits 0.5 * 20 - 0.25 * 10 + 3 and -10 - 2
    assert first.score == pytest.approx(10.5)
    assert second.score == pytest.approx(-12)
    assert first.probability == pytest.approx(1 / (1 + np.exp(-22.5)))
    np.testing.assert_allclose(normalised(first.raw), (0.0625 * grid + 0.625) / 3.75, rtol=1e-6)


@pytest.mark.parametrize("head", ["flatten", "pooled"])
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_grad_cam_equals_the_loops_of_the_paper(head: str, layer: str) -> None:
    network, x = random_net(head), pixels(3, (12, 10, 3))
    answers = explain(network, x, (2,), layer=layer)
    expected = ORACLES["gradcam"](*by_hand(network, layer, x, 2))
    raw = np.stack([answer.maps[0].raw for answer in answers])
    np.testing.assert_allclose(raw, expected, atol=1e-5 * np.abs(expected).max())


def test_probability_is_differentiated_when_asked_for() -> None:
    network, x = random_net(), pixels(2, (12, 10, 3))
    answers = explain(network, x, (1,), layer="conv2", score="probability")
    total = 0.0
    grads = [by_hand(network, "conv2", x, index) for index in range(4)]
    p = network.predict(x.astype(np.float32), verbose=0)
    A = grads[0][0]
    # dp_1/dA = p_1 (dz_1/dA - sum_c p_c dz_c/dA)
    total = sum(p[:, c, None, None, None] * grads[c][1] for c in range(4))
    G = p[:, 1, None, None, None] * (grads[1][1] - total)
    raw = np.stack([answer.maps[0].raw for answer in answers])
    expected = ORACLES["gradcam"](A, G)
    np.testing.assert_allclose(raw, expected, atol=1e-5 * np.abs(expected).max())


def test_cam_is_the_dense_weights_and_uv_times_grad_cam() -> None:
    network, x = random_net("pooled"), pixels(3, (12, 10, 3))
    A, _ = by_hand(network, "conv2", x, 3)
    weights, bias = network.get_layer("dense").get_weights()
    cams = explain(network, x, (3,), method="cam")
    grads = explain(network, x, (3,))
    for n in range(3):
        cam, grad = cams[n].maps[0], grads[n].maps[0]
        expected = sum(weights[k, 3] * A[n, :, :, k] for k in range(A.shape[-1]))
        np.testing.assert_allclose(cam.raw, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(cam.raw, grad.raw * cam.raw.size, rtol=1e-4, atol=1e-5)
        assert cam.raw.mean() + bias[3] == pytest.approx(cam.score, abs=1e-5)


def test_cam_is_refused_where_it_is_not_defined() -> None:
    x = pixels(1, (12, 10, 3))
    with pytest.raises(ModelError, match="no global average pooling"):
        explain(random_net("flatten"), x, (0,), method="cam")
    with pytest.raises(ModelError, match="only at the layer that is pooled"):
        explain(random_net("pooled"), x, (0,), method="cam", layer="conv1")
    with pytest.raises(ModelError, match="logit"):
        explain(random_net("pooled"), x, (0,), method="cam", score="probability")


def test_a_batch_equals_its_singles_and_is_padded() -> None:
    network, x = random_net(), pixels(5, (12, 10, 3))
    question = ask(2, (3,))
    singles = traced(model_of(network), question, 1)
    padded = traced(model_of(network), question, 4)
    for one, many in zip(singles.many(list(x)), padded.many(list(x)), strict=True):
        np.testing.assert_allclose(one.scores, many.scores, atol=1e-5)
        assert [e.index for e in one.maps] == [e.index for e in many.maps]
        for left, right in zip(one.maps, many.maps, strict=True):
            np.testing.assert_allclose(left.raw, right.raw, atol=1e-5 * np.abs(left.raw).max())


def test_several_classes_equal_each_alone_and_none_comes_twice() -> None:
    network, x = random_net(), pixels(1, (12, 10, 3))
    together = traced(model_of(network), ask(4, (2, 0)), 1)(x)[0]
    assert sorted(e.index for e in together.maps) == [0, 1, 2, 3]
    assert [e.index for e in together.maps] == together.ranked(4)
    assert [e.slot for e in together.maps] == ["top1", "top2", "top3", "top4"]
    for item in together.maps:
        alone = explain(network, x, (item.index,))[0].maps[0]
        np.testing.assert_allclose(alone.raw, item.raw, atol=1e-6)
        assert alone.slot == f"class{item.index}"


def test_one_sigmoid_unit_speaks_for_two_classes() -> None:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.Flatten()(x)
    network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    data = (pixels(2, (8, 8, 3)) // 64).astype(np.uint8)
    for answer, p in zip(
        explain(network, data, (0, 1)), network(data.astype(np.float32)).numpy()[:, 0], strict=True
    ):
        no, yes = answer.maps
        np.testing.assert_allclose(no.raw, -yes.raw, atol=1e-6)
        assert yes.probability == pytest.approx(p, abs=1e-6)
        assert no.probability == pytest.approx(1 - p, abs=1e-6)
        assert no.score == -yes.score


def test_predictions_only_need_no_feature_map() -> None:
    inputs = keras.Input((4, 4, 3))
    network = keras.Model(
        inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))
    )
    x = pixels(2, (4, 4, 3))
    explainer = traced(model_of(network, "unit"), ask(0, ()), 2)
    expected = network(x.astype(np.float32) / 255).numpy()
    for answer, row in zip(explainer(x), expected, strict=True):
        assert answer.probabilities is not None
        np.testing.assert_allclose(answer.probabilities, row, atol=1e-6)
        assert answer.ranked(3) == list(np.argsort(-row))
    with pytest.raises(ModelError, match="no convolutional feature map"):
        traced(model_of(network), ask(1, ()), 2)


def test_a_linear_head_has_scores_but_no_probabilities() -> None:
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(2, 3, name="conv")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    answer = explain(network, pixels(1, (6, 6, 3)), (1,))[0]
    assert answer.probabilities is None
    assert answer.maps[0].probability is None
    assert answer.maps[0].score == pytest.approx(float(answer.scores[1]))


def test_a_map_of_raw_scores_gives_no_probabilities() -> None:
    inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(4, 3, name="conv")(L.Rescaling(1 / 255)(inputs))
    network = keras.Model(inputs, L.Conv2D(3, 1)(x))
    data = pixels(1, (6, 6, 3))
    answer = explain(network, data, (0,))[0]
    assert answer.probabilities is None
    cells = network(data.astype(np.float32)).numpy().reshape(-1, 3)
    won = [cells[cells.argmax(-1) == index, index].sum() for index in range(3)]
    np.testing.assert_allclose(answer.scores, won, rtol=1e-4, atol=1e-6)


def test_two_labels_make_two_classes_of_one_linear_unit() -> None:
    inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(4, 3, name="conv")(L.Rescaling(1 / 255)(inputs))
    network = keras.Model(inputs, L.Dense(1)(L.Flatten()(x)))
    data = pixels(1, (6, 6, 3))
    z = float(network(data.astype(np.float32))[0, 0])
    question = ask(0, (0, 1))
    no, yes = traced(model_of(network, labels=("cat", "dog")), question, 1)(data)[0].maps
    assert yes.score == pytest.approx(z, abs=1e-5)
    assert no.score == -yes.score
    assert yes.probability == pytest.approx(1 / (1 + np.exp(-z)), abs=1e-5)
    np.testing.assert_allclose(no.raw, -yes.raw, atol=1e-6)


def test_the_layer_is_that_of_the_model_the_automatic_one_or_the_one_asked_for() -> None:
    network = random_net()
    model = model_of(network)
    assert traced(model, ask(1, ()), 1).facts.layers[0].path == "conv2"
    first = replace(model, layer="conv1")
    explainer = traced(first, ask(1, ()), 1)
    assert (explainer.facts.layers[0].path, explainer.facts.layers[0].grid) == ("conv1", (10, 8))
    assert traced(first, ask(1, (), layer="conv2"), 1).facts.layers[0].path == "conv2"


def test_what_cannot_be_differentiated_is_refused() -> None:
    inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(2, 3, name="conv")(inputs)
    rounded = keras.ops.cast(keras.ops.cast(x, "int32"), "float32")
    network = keras.Model(inputs, L.Dense(2)(L.Flatten()(rounded)))
    with pytest.raises(ModelError, match="cannot be differentiated") as caught:
        explain(network, pixels(1, (6, 6, 3)), (0,), layer="conv")
    assert "gradcam layers" in caught.value.hint


def test_an_averaged_ensemble_gives_probabilities_as_they_are() -> None:
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(2, 3, name="conv")(inputs)
    x = keras.layers.Flatten()(x)
    halves = [keras.layers.Dense(3, activation="softmax")(x) for _ in range(2)]
    network = keras.Model(inputs, keras.layers.Average()(halves))
    answer = explain(network, pixels(1, (6, 6, 3)), (1,))[0]
    assert answer.probabilities is not None
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_empty_maps_say_why() -> None:
    network = hand_made()
    bright = np.full((1, 2, 2, 1), 200, np.uint8)
    explanation = explain(network, bright, (1,))[0].maps[0]
    assert (explanation.raw < 0).all()
    assert explanation.empty_reason == "all negative"
    assert (normalised(explanation.raw) == 0).all()
    network.get_layer("classes").set_weights([np.zeros((2, 2)), np.zeros(2)])
    assert explain(network, bright, (1,))[0].maps[0].empty_reason == "zero gradient"
    network.get_layer("features").set_weights([np.full((1, 1, 1, 2), np.nan), np.zeros(2)])
    broken = explain(network, bright, (1,))[0].maps[0]
    assert broken.empty_reason == "not finite"
    assert (normalised(broken.raw) == 0).all()


def small_head(weights: list[list[float]]) -> Any:
    """The hand-made network with other dense weights and no biases."""
    network = hand_made()
    network.get_layer("classes").set_weights([np.array(weights), np.zeros(2)])
    return network


def test_a_class_that_its_own_score_leaves_empty_shows_against_the_others() -> None:
    twelve = np.full((1, 2, 2, 1), 12, np.uint8)  # pooled features 12 and -2
    network = small_head([[-0.2, -0.05], [0.3, 0.2]])  # logits -3 and -1
    logit = explain(network, twelve, (1,))[0].maps[0]
    assert logit.score == pytest.approx(-1)
    assert logit.probability == pytest.approx(1 / (1 + np.exp(-2)))
    assert logit.empty_reason == "all negative"
    assert "--score probability" in CAUSES["all negative"]
    against = explain(network, twelve, (1,), score="probability")[0].maps[0]
    p = 1 / (1 + np.exp(-2))
    # dp = p (1 - p) (dz_1 - dz_0): (0.15, -0.1) on the two channels, a quarter in every cell
    np.testing.assert_allclose(against.raw, p * (1 - p) * (0.15 * 12 + 0.1 * 2) / 4, rtol=1e-5)
    assert against.empty_reason == ""


def test_every_reason_for_an_empty_map_is_explained() -> None:
    twelve = np.full((1, 2, 2, 1), 12, np.uint8)
    network = small_head([[1.0, 0.0], [0.5, 0.0]])
    network.get_layer("features").set_weights([np.zeros((1, 1, 1, 2)), np.zeros(2)])
    reasons = {explain(network, twelve, (0,))[0].maps[0].empty_reason}
    assert reasons == {"zero everywhere"}
    certain = small_head([[9.0, 0.0], [0.0, 0.0]])
    saturated = explain(certain, twelve, (0,), score="probability")[0].maps[0]
    reasons |= {saturated.empty_reason, "all negative", "not finite", "no cell won"}
    reasons |= {"nothing against", "contrast with itself", "no overlap"}
    reasons |= {"the same as the reference"}  # tests/explaining, fusion
    assert reasons == set(CAUSES)


def test_a_class_without_a_cell_is_seen_by_its_probability() -> None:
    inputs = keras.Input((2, 2, 1))
    features = keras.layers.Conv2D(2, 1, name="features")
    network = keras.Model(inputs, keras.layers.Softmax()(features(inputs)))
    features.set_weights([np.array([[[[0.01, 0.005]]]]), np.array([0.0, -1.0])])
    bright = np.full((1, 2, 2, 1), 100, np.uint8)  # logits 1 and -0.5 in every cell

    def reason(index: int, **asked: Any) -> str:
        answer = explain(network, bright, (index,), layer="features", **asked)[0]
        return str(answer.maps[0].empty_reason)

    assert reason(0) == ""
    assert reason(1) == "no cell won"
    assert "--score probability" in CAUSES["no cell won"]
    assert reason(1, score="probability") == "all negative"  # true, and not the mask's doing


def test_gradients_that_are_not_finite_are_named() -> None:
    network = small_head([[1.0, 0.0], [0.0, 0.0]])
    network.get_layer("classes").set_weights([np.full((2, 2), np.inf), np.zeros(2)])
    broken = explain(network, np.full((1, 2, 2, 1), 12, np.uint8), (0,))[0].maps[0]
    assert broken.empty_reason == "not finite"


def test_heat_is_relu_then_division_by_the_maximum() -> None:
    raw = np.array([[-4.0, 1.0], [0.5, 2.0]], np.float32)
    np.testing.assert_array_equal(normalised(raw), [[0, 0.5], [0.25, 1]])
    np.testing.assert_array_equal(raw, [[-4, 1], [0.5, 2]])
    assert normalised(np.full((2, 2), 1e-38, np.float32)).max() == 1


def test_the_network_is_the_same_afterwards() -> None:
    network, x = random_net(), pixels(1, (12, 10, 3))
    weights = [w.copy() for w in network.get_weights()]
    config = network.get_config()
    attributes = {layer.name: set(vars(layer)) for layer in network.layers}
    explain(network, x, (1,))
    for before, after in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert network.get_config() == config
    assert {layer.name: set(vars(layer)) for layer in network.layers} == attributes


def test_impossible_questions_are_refused() -> None:
    network, x = random_net(), pixels(1, (12, 10, 3))
    with pytest.raises(ModelError, match="no layer 'conv3'") as caught:
        explain(network, x, (0,), layer="conv3")
    assert "conv2" in caught.value.hint
    with pytest.raises(ModelError, match="no feature grid"):
        explain(network, x, (0,), layer="dense")
    with pytest.raises(GradcamError, match="there is no class 4: the model has 4 classes"):
        explain(network, x, (4,))
    with pytest.raises(GradcamError, match="top9"):
        traced(model_of(network), ask(9, ()), 1)
    with pytest.raises(GradcamError, match="unknown method 'gradcm'") as misspelt:
        explain(network, x, (0,), method="gradcm")
    assert "gradcam" in misspelt.value.hint


def test_a_layer_beside_the_way_to_the_score_is_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 3, name="used")(inputs)
    unused = keras.layers.Conv2D(2, 3, name="unused")(inputs)
    side = keras.layers.Lambda(lambda pair: pair[0])([x, unused])
    score = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(side))
    network = keras.Model(inputs, score)
    with pytest.raises(ModelError, match="does not depend on layer 'unused'"):
        explain(network, pixels(1, (8, 8, 3)), (0,), layer="unused")


def test_scaling_happens_in_front_of_the_network() -> None:
    network, x = random_net(), pixels(2, (12, 10, 3))
    for name in ("unit", "tf", "torch", "caffe"):
        model = model_of(network, name)
        answers = traced(model, ask(0, ()), 2)(x)
        expected = network(SCALINGS[name].apply(x.astype(np.float32))).numpy()
        for answer, row in zip(answers, expected, strict=True):
            assert answer.probabilities is not None
            np.testing.assert_allclose(answer.probabilities, row, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision_layers_stay_near_float32(dtype: str) -> None:
    exact, low = random_net(), random_net(dtype=dtype)
    low.set_weights(exact.get_weights())
    x = pixels(1, (12, 10, 3))
    there = explain(exact, x, (2,))[0].maps[0].raw
    here = explain(low, x, (2,))[0].maps[0].raw
    tolerance = 1e-2 if dtype == "mixed_float16" else 5e-2
    assert here.dtype == np.float32
    np.testing.assert_allclose(here, there, atol=tolerance * np.abs(there).max())


def test_a_gpu_rounds_float32_no_more_than_a_cpu() -> None:
    tf.config.experimental.enable_tensor_float_32_execution(True)  # as TensorFlow starts
    traced(model_of(hand_made()), ask(1), 1)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


class Failing(keras.Layer):  # type: ignore[misc]
    """Fails while it runs, not while it is traced: by an assertion, or by a lack of memory."""

    def __init__(self, memory: str) -> None:
        super().__init__(name="failing")
        self.memory = memory

    def call(self, x: Any) -> Any:
        if self.memory == "TensorFlow":  # a petabyte, for which there are no addresses
            return x + tf.reduce_sum(tf.fill([2**48], x[0, 0, 0, 0]))
        if self.memory == "NumPy":
            many = tf.numpy_function(lambda y: np.full(2**48, y), [x[0, 0, 0, 0]], tf.float32)
            return x + tf.reshape(many, [-1])[0]
        with tf.control_dependencies([tf.debugging.assert_less(x, -1.0)]):
            return tf.identity(x)


def failing(memory: str, own: bool) -> Explainer:
    picture = keras.Input((8, 8, 3))
    grid = Failing(memory)(L.Conv2D(2, 3, activation="relu")(picture))
    network = keras.Model(picture, L.Dense(2)(L.GlobalAveragePooling2D()(grid)))
    model = replace(model_of(network), own=own)
    return traced(model, None, 2)


def test_a_network_from_a_file_that_fails_as_it_runs() -> None:
    explainer = failing(memory="", own=True)
    with pytest.raises(ModelError, match="tiny cannot be run: InvalidArgumentError: ") as caught:
        explainer(pixels(1, (8, 8, 3)))
    assert "--debug" in caught.value.hint
    with pytest.raises(tf.errors.InvalidArgumentError):
        failing(memory="", own=False)(pixels(1, (8, 8, 3)))


@pytest.mark.parametrize(("own", "asks"), [(True, "TensorFlow"), (False, "NumPy")])
def test_a_network_that_runs_out_of_memory(own: bool, asks: str) -> None:
    """TensorFlow waits ten seconds for memory before it gives up; NumPy does not."""
    with pytest.raises(OutOfMemory, match="it needs more memory than there is"):
        failing(memory=asks, own=own)(pixels(1, (8, 8, 3)))
