"""A network's functions, against its layers called by hand, on every structure of the zoo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.cam.passes import ABLATION_CAM, SCORE_CAM
from gradcam_cli.errors import ModelError
from gradcam_cli.images.fit import Cells, Span
from gradcam_cli.network.functions import Functions, LayerCall
from gradcam_cli.network.ports import find_ports
from tests.zoo import CASES, EACH_KIND, Case
from tests.zoo.case import Built

Values = NDArray[np.float32]


def functions(network: Any, case: Case) -> Functions:
    return Functions(network, find_ports(network, case.size, case.constants, case.output), 2)


def close(found: Any, expected: Any, tolerance: float) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(1e-6, np.abs(expected).max())


@dataclass(frozen=True)
class Given:
    """A case, its functions, and what its layers called by hand make of two images ``x``."""

    case: Case
    built: Built
    made: Functions
    layer: LayerCall
    x: Any
    A: Any


def given(case: Case) -> Given:
    keras.utils.set_random_seed(7)
    built = case.build()
    made = functions(built.network, case)
    ports = find_ports(built.network, case.size, case.constants, case.output)
    shape = (made.batch_size, *ports.size, ports.channels)
    x = tf.constant(np.random.default_rng(1).integers(0, 256, shape), tf.float32)
    return Given(case, built, made, LayerCall(case.layer, case.call), x, built.features(x))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_rest_behind_a_layer_of_every_structure(case: Case) -> None:
    found = given(case)
    built, made, x, layer = found.built, found.made, found.x, found.layer
    scores, (features,) = made.features(x, [layer])
    close(scores, built.head(found.A, x), case.tolerance)
    close(features, built.fold(np.asarray(found.A)), case.tolerance)
    close(made.rest(x, features, layer), scores, case.tolerance)
    chance = np.random.default_rng(2).uniform(0, 1, features.shape).astype(np.float32)
    other = np.asarray(features) * chance
    expected = built.head(put(built, found.A, other), x)
    close(made.rest(x, tf.constant(other), layer), expected, case.tolerance)
    check_passes(case, built, made, x, found.A)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(each, marks=() if each.name in EACH_KIND else pytest.mark.long)
        for each in CASES
    ],
    ids=lambda case: case.name,
)
def test_gradients_and_curvature(case: Case) -> None:
    """Of every structure they are in test_matrix.py, which holds their maps against tapes."""
    found = given(case)
    built, made, x, A = found.built, found.made, found.x, found.A
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(A)
        logits = built.head(A, x)
        count, images = int(logits.shape[1]), made.batch_size
        classes = np.array([[n % count, (n + 1) % count] for n in range(images)], np.int32)
        own = [tf.gather(logits, classes[:, at], batch_dims=1) for at in (0, 1)]
    expected_slopes = [built.fold(np.asarray(tape.gradient(each, A))) for each in own]
    scores, features, slopes = made.gradients(x, tf.constant(classes), found.layer)
    close(scores, logits, case.tolerance)
    close(features, built.fold(np.asarray(A)), case.tolerance)
    for slope, expected in zip(slopes, expected_slopes, strict=True):
        close(slope, expected, case.tolerance)
    check_curvature(case, built, made, x, A)
    check_differences(case, made, x, features, slopes[0], classes[:, 0])


def put(built: Built, A: Any, grid: Values) -> Any:
    """Return the activations with other numbers in the cells of the grid ``[N, u, v, K]``."""
    own = np.array(A)
    places = built.fold(np.arange(own.size).reshape(own.shape))
    own.flat[np.asarray(places, int)] = grid
    return tf.constant(own, A.dtype)


def check_passes(case: Case, built: Built, made: Functions, x: Any, A: Any) -> None:
    """One image's passes, each without a channel, are its head called without that channel."""
    grid = built.fold(np.asarray(A))[:1].astype(np.float32)
    at = np.arange(made.batch_size, dtype=np.int32) % grid.shape[-1]
    altered = np.repeat(grid, len(at), axis=0)
    for number, channel in enumerate(at):
        altered[number, ..., channel] = 0
    alone = tf.repeat(x[:1], len(at), axis=0)
    whole = put(built, tf.repeat(A[:1], len(at), axis=0), altered)
    given = (x[0], tf.constant(grid[0]), tf.constant(at), LayerCall(case.layer, case.call))
    found = made.altered_rest(*given, ABLATION_CAM.alter)
    close(found, built.head(whole, alone), case.tolerance)


def check_differences(
    case: Case, made: Functions, x: Any, A: Values, G: Values, classes: Any
) -> None:
    """Along a direction that the score rises in, it rises as central differences do."""
    direction, layer = np.sign(G) * np.abs(A), LayerCall(case.layer, case.call)
    expected = np.sum(G * direction, axis=(1, 2, 3))
    rising = []
    for step in (1e-1, 1e-2, 1e-3):
        ends = [made.rest(x, A + sign * step * direction, layer) for sign in (1, -1)]
        own = [tf.gather(each, classes, batch_dims=1).numpy() for each in ends]
        rising.append((own[0] - own[1]) / (2 * step))
    errors = np.abs(rising - expected).min(axis=0)
    assert (errors <= max(0.05, 5 * case.tolerance) * np.abs(expected)).all()


def check_curvature(case: Case, built: Built, made: Functions, x: Any, A: Any) -> None:
    """The Hessian product is that of two tapes over the head, its layers called by hand."""
    with tf.GradientTape() as outer:
        outer.watch(A)
        with tf.GradientTape() as inner:
            inner.watch(A)
            logits = built.head(A, x)
            weights = np.linspace(-1, 2, logits.shape[-1], dtype=np.float32) * np.ones(logits.shape)
            total = tf.reduce_sum(logits * tf.constant(weights, logits.dtype))
        along = tf.reduce_sum(inner.gradient(total, A) * tf.stop_gradient(A))
    product = outer.gradient(along, A, unconnected_gradients="zero")
    _, G, found = made.curvature(
        x, tf.constant(weights, tf.float32), LayerCall(case.layer, case.call)
    )
    scale = np.abs(G).max()
    expected = built.fold(np.asarray(product))
    assert np.abs(found - expected).max() <= case.tolerance * max(scale, np.abs(expected).max())


def small() -> Any:
    keras.utils.set_random_seed(3)
    x = keras.Input((12, 12, 3))
    first = keras.layers.Conv2D(4, 3, activation="relu", name="first")(x)
    second = keras.layers.Conv2D(5, 3, activation="relu", name="second")(first)
    return keras.Model(x, keras.layers.Dense(6)(keras.layers.Flatten()(second)))


def of_small(network: Any) -> Functions:
    return Functions(network, find_ports(network), 3)


def test_several_layers_at_once_and_each_function_is_traced_once() -> None:
    network = small()
    made = of_small(network)
    x = tf.random.stateless_uniform((3, 12, 12, 3), (1, 2))
    layers = [LayerCall("second"), LayerCall("first")]
    _, (second, first) = made.features(x, layers)
    first_by_hand = network.get_layer("first")(x)
    close(first, first_by_hand, 1e-6)
    close(made.scores(x), network(x), 1e-6)
    close(second, network.get_layer("second")(first_by_hand), 1e-6)
    traced = made._traced.copy()
    made.features(x + 1, layers)
    assert made._traced == traced


def test_what_lies_before_the_layer_is_not_computed() -> None:
    made = of_small(small())
    x, A = tf.zeros((3, 12, 12, 3)), tf.ones((3, 8, 8, 5))
    made.rest(x, A, LayerCall("second"))
    kinds = operations(made._traced["rest", LayerCall("second"), "logit"])
    assert "MatMul" in kinds
    assert "Conv2D" not in kinds


def operations(function: Any) -> set[str]:
    """Return the types of the operations that a traced function runs."""
    waiting, used, kinds = [each.op for each in function.graph.outputs], set(), set()
    while waiting:
        operation = waiting.pop()
        if operation.name not in used:
            used.add(operation.name)
            kinds.add(operation.type)
            waiting += [each.op for each in operation.inputs]
    return kinds


@pytest.mark.parametrize("kind", ["logit", "probability"])
def test_passes_of_the_rest_skip_what_lies_before_the_layer(kind: Any) -> None:
    network = keras.Sequential([small(), keras.layers.Softmax()])
    made = of_small(network)
    x = tf.random.stateless_uniform((1, 12, 12, 3), (1, 2))
    layer = LayerCall(f"{network.layers[0].name}/second")
    _, (A,) = made.features(x, [layer])
    at = tf.constant([4, 0, 3])
    found = made.altered_rest(x[0], A[0], at, layer, ABLATION_CAM.alter, kind)
    whole = np.repeat(A, 3, axis=0)
    for number, channel in enumerate(at.numpy()):
        whole[number, ..., channel] = 0
    inner = network.layers[0]
    expected = inner.layers[-1](inner.layers[-2](whole))
    close(found, tf.nn.softmax(expected) if kind == "probability" else expected, 1e-5)
    traced = made._traced["altered rest", layer, ABLATION_CAM.alter, kind]
    assert "MatMul" in operations(traced)
    assert "Conv2D" not in operations(traced)


@pytest.mark.parametrize("kind", ["logit", "probability"])
def test_passes_of_the_whole_network(kind: Any) -> None:
    network = small()
    made = of_small(network)
    x = tf.random.stateless_uniform((1, 12, 12, 3), (1, 2))
    _, (A,) = made.features(x, [LayerCall("second")])
    cells = Cells(Span(2.5, 1.0, 0.0, 12.0), Span(2.5, 1.0, 0.0, 12.0))
    for place in (None, cells):
        given = (x[0], A[0], tf.constant([4, 0, 3]), SCORE_CAM.alter, place)
        found = made.altered_scores(*given, kind)
        altered = SCORE_CAM.alter(x[0].numpy(), A[0].numpy(), np.array([4, 0, 3]), place, np)
        close(found, network(altered), 1e-4)  # a linear head: its output is the score
    count = len(made._traced)
    made.altered_scores(x[0] / 2, A[0] / 2, tf.constant([1, 1, 1]), *given[3:], kind)
    assert len(made._traced) == count


def test_fewer_images_than_a_batch_are_filled_up() -> None:
    network = small()
    made = of_small(network)
    x = tf.random.stateless_uniform((3, 12, 12, 3), (1, 2))
    classes, weights = tf.constant([[1], [2], [0]]), tf.random.stateless_normal((3, 6), (3, 4))
    layer = LayerCall("second")

    def everything(count: int) -> list[Any]:
        some = x[:count]
        _, (A,) = made.features(some, [layer])
        return [
            A,
            made.scores(some),
            made.gradients(some, classes[:count], layer)[2][0],
            made.rest(some, A, layer),
            made.guided(some, weights[:count]),
            *made.curvature(some, weights[:count], layer),
        ]

    whole = everything(3)
    traced = made._traced.copy()
    for count in (1, 2):
        for found, expected in zip(everything(count), whole, strict=True):
            close(found, expected[:count], 1e-6)
    assert made._traced == traced
    with pytest.raises(ValueError, match="4 images"):
        made.scores(tf.zeros((4, 12, 12, 3)))


def test_frozen_weights_give_the_same_numbers() -> None:
    network = small()
    plain = of_small(network)
    frozen = Functions(network, find_ports(network), 3, freeze=True)
    x, layer = tf.random.stateless_uniform((3, 12, 12, 3), (1, 2)), LayerCall("second")
    _, (A,) = plain.features(x, [layer])
    given = (x[0], A[0], tf.constant([4, 0, 3]), layer, ABLATION_CAM.alter)
    close(frozen.scores(x), plain.scores(x), 1e-5)
    close(frozen.altered_rest(*given), plain.altered_rest(*given), 1e-5)
    assert "ReadVariableOp" not in operations(frozen._traced["scores", "logit"])


def test_lowered_layers_compute_in_bfloat16_in_every_function() -> None:
    network = small()
    lowered = [network.get_layer("second")]
    plain = of_small(network)
    made = Functions(network, find_ports(network), 3, passes=2, lowered=lowered)
    x, layer = tf.random.stateless_uniform((3, 12, 12, 3), (1, 2)), LayerCall("second")
    scores, (A,) = made.features(x, [layer])
    assert A.dtype == tf.float32
    np.testing.assert_array_equal(A, tf.cast(tf.cast(A, tf.bfloat16), tf.float32))
    close(scores, plain.scores(x), 3e-2)
    np.testing.assert_array_equal(made.scores(x), scores)
    K = A.shape[-1]  # a channel that is not there: nothing is altered
    untouched = made.altered_rest(x[1], A[1], tf.constant([K, K]), layer, ABLATION_CAM.alter)
    close(untouched, tf.stack([scores[1]] * 2), 1e-5)
    assert lowered[0].dtype_policy.name == "float32"


def test_a_layer_that_is_not_there_is_refused() -> None:
    made = of_small(small())
    with pytest.raises(ModelError, match="third"):
        made.features(tf.zeros((3, 12, 12, 3)), [LayerCall("third")])
