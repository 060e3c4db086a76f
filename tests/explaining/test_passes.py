from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.cam.passes import occlusion_cells
from gradcam_cli.explaining.passes import counted
from gradcam_cli.explaining.request import settled
from gradcam_cli.network import footprint
from gradcam_cli.spec.explain import ExplainSpec
from tests import oracles_passes
from tests.explaining.networks import (
    SIZE,
    activations,
    asked,
    behind,
    explainer,
    images,
    maps,
    model_of,
    network,
    one,
)

MANY = ("ablationcam", "reciprocam", "scorecam", "occlusion")


@pytest.fixture(scope="module")
def made() -> Any:
    return network()


def score(made: Any, index: int) -> Any:
    """The logit of a scaled input ``[h, w, 3]``."""
    return lambda x: float(
        behind(made, "last", activations(made, "last", np.asarray(x, np.float32)[None]))[0, index]
    )


def rest(made: Any, index: int) -> Any:
    """The logit of what the layer gives, ``[u, v, K]``."""
    return lambda A: float(behind(made, "last", tf.constant(A[None], tf.float32))[0, index])


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4 * np.abs(expected).max())


def test_methods_of_many_passes_are_their_loops(made: Any) -> None:
    found = explainer(made, asked(methods=MANY), 4)
    answers = found(images())
    A = activations(made, "last", images()).numpy()
    layer = found.facts.layers[0]
    assert layer.cells is not None
    spans = [(each.first, each.step) for each in layer.cells]
    for index in (2, 0):
        for row, x in enumerate(images()):
            alone = {name: maps(answers, name, index)[row] for name in MANY[:3]}
            close(alone["ablationcam"], oracles_passes.ablation_cam(A[row], rest(made, index)))
            close(alone["reciprocam"], oracles_passes.recipro_cam(A[row], rest(made, index)))
            expected = oracles_passes.score_cam(A[row], x, score(made, index), spans)
            close(alone["scorecam"], expected)


def test_occlusion_hides_a_patch_of_the_input_at_a_time(made: Any) -> None:
    (answer,) = explainer(made, asked(("1",), methods=("occlusion",)), 1)(images(1))
    found = one(answer, "occlusion", 1, layer="")
    expected = oracles_passes.occlusion(images(1)[0], score(made, 1), patch=3, stride=1)
    close(found.raw, expected)
    assert found.cells == occlusion_cells(SIZE)[1]


def test_passes_are_counted_before_they_are_run(made: Any) -> None:
    spec = asked(methods=(*MANY, "gradcam", "smoothgradcampp", "guidedbackprop"), samples=3)
    found = explainer(made, spec, 2)
    u, v = found.facts.layers[0].grid
    patches = np.prod(occlusion_cells(SIZE)[0])
    assert found.facts.passes == {
        "ablationcam": 5,
        "reciprocam": u * v,
        "scorecam": 5,
        "occlusion": patches,
        "smoothgradcampp": 4,
        "guidedbackprop": 2,
    }
    told: list[tuple[int, int]] = []
    found(images(2), [found.request.methods, ()], lambda done, total: told.append((done, total)))
    assert told[-1] == (10 + u * v + patches, 10 + u * v + patches)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert counted(found.request, ()) != found.facts.passes
    smooth = settled(model_of(made), asked(methods=("gradcam",), smooth=("flips", "scales")), 2)
    assert counted(smooth, found.facts.layers) == {"gradcam": 6}


def test_channels_that_do_nothing_are_not_run() -> None:
    made = network()
    kernel, bias = made.get_layer("last").get_weights()
    bias[3] = -1e6  # behind the ReLU nothing is left of it
    made.get_layer("last").set_weights([kernel, bias])
    found = explainer(made, asked(("1",), methods=("ablationcam", "scorecam")), 1)
    told: list[tuple[int, int]] = []
    answers = found(images(1), tick=lambda done, total: told.append((done, total)))
    assert [total for _, total in told] == [8] * 8
    (A,) = activations(made, "last", images(1)).numpy()
    assert (A[..., 3] == 0).all()
    close(maps(answers, "ablationcam", 1)[0], oracles_passes.ablation_cam(A, rest(made, 1)))
    (cells,) = [each.cells for each in found.facts.layers]
    assert cells is not None
    spans = [(each.first, each.step) for each in cells]
    expected = oracles_passes.score_cam(A, images(1)[0], score(made, 1), spans)
    close(maps(answers, "scorecam", 1)[0], expected)


def test_passes_over_one_image_run_several_at_a_time(made: Any) -> None:
    told: list[int] = []
    spec = asked(methods=("ablationcam", "scorecam"))
    found = explainer(made, spec, 1, passes=4)
    answers = found(images(1), tick=lambda done, _: told.append(done))
    assert told == [4, 5, 9, 10]
    alone = explainer(made, spec, 1)(images(1))
    for name in spec.methods:
        close(maps(answers, name, 2), maps(alone, name, 2))


def test_what_is_not_wanted_is_not_run(made: Any) -> None:
    found = explainer(made, asked(methods=("reciprocam", "ablationcam")), 2)
    both = found(images(2))
    told: list[tuple[int, int]] = []
    first, second = found(
        images(2), [("reciprocam",), ()], lambda done, total: told.append((done, total))
    )
    np.testing.assert_array_equal(maps([first], "reciprocam", 2), maps(both[:1], "reciprocam", 2))
    assert {each.method for each in first.maps} == {"reciprocam"}
    assert not second.maps
    assert {total for _, total in told} == {found.facts.passes["reciprocam"]}


def test_signs_reach_the_methods_of_many_passes(made: Any) -> None:
    plain = explainer(made, asked(methods=("ablationcam",)), 1)(images(1))
    negated = explainer(made, asked(methods=("ablationcam",), counterfactual=True), 1)(images(1))
    close(maps(negated, "ablationcam", 2), -maps(plain, "ablationcam", 2))

    def difference(A: Any) -> float:
        return float(rest(made, 2)(A) - rest(made, 0)(A))

    (A,) = activations(made, "last", images(1)).numpy()
    spec = asked(("2",), methods=("ablationcam",), contrast="ant")
    against = explainer(made, spec, 1)(images(1))
    close(maps(against, "ablationcam", 2)[0], oracles_passes.ablation_cam(A, difference))


def test_guided_gradients_are_multiplied_with_grad_cam(made: Any) -> None:
    spec = asked(methods=("guidedgradcam", "guidedbackprop", "gradcam"))
    found = explainer(made, spec)
    answers = found(images())
    cells = found.facts.layers[0].cells
    assert cells is not None
    spans = [(each.first, each.step) for each in cells]
    for row in range(3):
        g = maps(answers[row : row + 1], "guidedbackprop", 2, layer="")[0]
        heat = maps(answers, "gradcam", 2)[row]
        expected = oracles_passes.guided_grad_cam(heat, g[..., None], spans)
        close(maps(answers, "guidedgradcam", 2)[row], expected)
    alone = explainer(made, asked(methods=("guidedgradcam",)))(images())
    close(maps(alone, "guidedgradcam", 2), maps(answers, "guidedgradcam", 2))
    assert {each.method for each in alone[0].maps} == {"guidedgradcam"}


def test_bfloat16_reaches_no_difference_of_scores(made: Any) -> None:
    """A score in one precision less those of passes in another would be an error, and no weight."""
    spec = asked(methods=("ablationcam",), precision="bfloat16")
    answers = explainer(made, spec)(images())
    for row, A in enumerate(activations(made, "last", images()).numpy()):
        expected = oracles_passes.ablation_cam(A, rest(made, 2))
        found = maps(answers, "ablationcam", 2)[row]
        np.testing.assert_allclose(found, expected, atol=2e-2 * np.abs(expected).max())


@tf.custom_gradient  # type: ignore[untyped-decorator]
def guided_relu(x: Any) -> Any:
    return tf.nn.relu(x), lambda slope: tf.where(x > 0, tf.nn.relu(slope), 0.0)


@pytest.mark.parametrize(("method", "fits"), [("gradcam", True), ("guidedbackprop", False)])
def test_all_activations_of_guided_gradients_have_to_fit(
    made: Any, method: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The widest layer and its ReLU fit, twice and a little, but not the others beside them."""
    found = explainer(made, asked(methods=(method,)), 50)
    widest = 50 * 4 * math.prod(SIZE) * (4 + 4)
    (tmp_path / "meminfo").write_text(f"MemAvailable: {3 * widest // 1024} kB\n", encoding="ascii")
    monkeypatch.setattr(footprint, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(footprint, "_CGROUP", tmp_path)
    assert found.fits() == fits


def test_guided_gradients_are_of_the_similarity() -> None:
    made = network("embedding")
    vector = np.array([1, -2, 0.5, 3, -1], np.float32)
    spec = ExplainSpec(layers=("last",), methods=("guidedbackprop",), target=Path("vector.npy"))
    (answer,) = explainer(made, spec, 1, reference=vector / np.linalg.norm(vector))(images(1))
    pixels = tf.constant(images(1), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        x = pixels / 255
        for name, stride in (("first", 1), ("last", 2)):
            kernel, bias = made.get_layer(name).weights
            x = guided_relu(tf.nn.conv2d(x, kernel, stride, "SAME") + bias)
        kernel, bias = made.get_layer("logits").weights
        Y = tf.reshape(x, (1, -1)) @ kernel + bias
        similarity = tf.reduce_sum(Y * vector) / tf.norm(Y) / np.linalg.norm(vector)
    slope = tape.gradient(similarity, pixels).numpy()
    np.testing.assert_allclose(answer.maps[0].score, similarity, rtol=1e-5)
    close(answer.maps[0].raw, np.abs(slope).max(axis=-1)[0])


def test_what_a_pass_takes_from_a_similarity_of_one_is_seen() -> None:
    """At the top of a similarity a gradient is rounding, but a difference is not."""
    made = network("embedding")
    vector = np.asarray(made(images(1).astype(np.float32)))[0]
    spec = ExplainSpec(
        layers=("last",), methods=("gradcam", "occlusion", "eigencam"), target=Path("vector.npy")
    )
    (answer,) = explainer(made, spec, 1, reference=vector / np.linalg.norm(vector))(images(1))
    reasons = {each.method: each.empty_reason for each in answer.maps}
    assert reasons == {"gradcam": "the same as the reference", "occlusion": "", "eigencam": ""}
