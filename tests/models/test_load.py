from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from numpy.typing import NDArray

from gradcam_cli.errors import GradcamError, ModelError
from gradcam_cli.explainer import traced
from gradcam_cli.models import lite0
from gradcam_cli.models.catalog import EMBEDDED, find
from gradcam_cli.models.choice import file_digest
from gradcam_cli.models.labels import imagenet_labels
from gradcam_cli.models.load import Model, load
from gradcam_cli.models.scaling import SCALINGS, UNKNOWN
from gradcam_cli.network.ports import single_input
from gradcam_cli.network.survey import survey
from gradcam_cli.spec.model import ModelSpec
from tests.asking import ask

pytestmark = [  # what Keras says while it saves
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]

RANDOM = "the weights are random: predictions and heatmaps mean nothing"

Pixels = NDArray[np.uint8]

# Models by name


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return Keras's folder of weights, empty, on a machine without network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("urllib.request._opener", None)  # it remembers older proxies
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Return a MobileNet and its weights, in the layout of Keras's own downloads."""
    keras.utils.set_random_seed(11)
    network = keras.applications.MobileNet(weights=None)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # all four distinct
            layer.set_weights([w + place / 7 for place, w in enumerate(layer.get_weights())])
    path = tmp_path_factory.mktemp("weights") / "mobilenet.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return network, path


def noise(size: tuple[int, int], channels: int = 3, count: int = 1) -> Pixels:
    shape = (count, *size, channels)
    return np.random.default_rng(8).integers(0, 256, shape, dtype=np.uint8)


def probabilities(model: Model, pixels: Pixels) -> NDArray[np.float32]:
    answers = traced(model, ask(), len(pixels))(pixels)
    found = [answer.probabilities for answer in answers]
    return np.stack([values for values in found if values is not None])


def same_weights(network: Any, other: Any) -> None:
    assert len(network.weights) == len(other.weights)
    for mine, theirs in zip(network.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)


def test_imagenet_weights_come_from_keras_s_cache(cache: Path, mobilenet: tuple[Any, Path]) -> None:
    source, weights = mobilenet
    shutil.copy(weights, cache / find("mobilenet").weights_file)
    model = load(ModelSpec("MobileNet"))
    same_weights(model.network, source)
    pixels = noise((224, 224))
    expected = source(pixels / np.float32(127.5) - 1).numpy()
    np.testing.assert_allclose(probabilities(model, pixels), expected, rtol=1e-3, atol=1e-6)
    assert replace(model, network=None) == Model(
        name="mobilenet",
        network=None,
        weights="imagenet",
        ports=single_input((224, 224)),
        scaling=SCALINGS["tf"],
        labels=imagenet_labels(),
        classes=1000,
        layer="conv_pw_13_relu",
    )


def test_a_damaged_file_in_the_cache_is_refused_and_kept(
    cache: Path, mobilenet: tuple[Any, Path]
) -> None:
    there = cache / find("vgg16").weights_file
    shutil.copy(mobilenet[1], there)
    with pytest.raises(ModelError) as caught:
        load(ModelSpec("vgg16"))
    assert "cannot download the ImageNet weights of VGG16" in caught.value.message
    assert "the file in the cache is damaged" in caught.value.message
    for word in (str(there), find("vgg16").weights_url, "--weights FILE", EMBEDDED):
        assert word in caught.value.hint
    assert there.read_bytes() == mobilenet[1].read_bytes()
    assert [path.name for path in cache.iterdir()] == [there.name]


@pytest.mark.usefixtures("cache")
def test_a_model_can_be_looked_at_without_its_weights() -> None:
    with pytest.raises(ModelError, match="cannot download"):
        load(ModelSpec("mobilenet"))
    model = load(ModelSpec("mobilenet"), only_shown=True)
    assert model.weights == "random, seed 0"
    assert model.warnings == (RANDOM,)
    assert model.network.count_params() == find("mobilenet").parameters


def test_weights_may_be_given_as_a_file(mobilenet: tuple[Any, Path]) -> None:
    source, path = mobilenet
    model = load(ModelSpec("mobilenet", weights=str(path)))
    same_weights(model.network, source)
    assert model.weights == file_digest(path)
    assert model.warnings == ()


def test_weights_that_do_not_fit_are_refused(mobilenet: tuple[Any, Path]) -> None:
    with pytest.raises(ModelError, match="do not fit mobilenetv2"):
        load(ModelSpec("mobilenetv2", weights=str(mobilenet[1])))
    with pytest.raises(ModelError, match=r"--weights: there is no file mine\.h5") as caught:
        load(ModelSpec("mobilenet", weights="mine.h5"))
    assert "imagenet, random" in caught.value.hint


def test_random_weights_follow_the_seed() -> None:
    first, again, other = (
        load(ModelSpec("mobilenet", weights="random", seed=seed)) for seed in (3, 3, 4)
    )
    same_weights(first.network, again.network)
    for mine, others in zip(first.network.weights, other.network.weights, strict=True):
        if mine.path.endswith("kernel"):
            assert np.abs(mine.numpy() - others.numpy()).max() > 1e-3, mine.path
    assert first.weights == "random, seed 3"
    assert first.warnings == (RANDOM,)


def test_the_embedded_model() -> None:
    model = load(ModelSpec("efficientnet_lite0"))
    same_weights(model.network, lite0.build())
    assert (model.name, model.weights, model.warnings) == (EMBEDDED, "imagenet", ())
    assert model.scaling == SCALINGS["lite0"]
    assert model.interpolation == "bicubic"
    assert model.layer == "head_activation"


def test_the_embedded_model_with_other_weights(tmp_path: Path) -> None:
    source = lite0.build("random", 5)
    source.save_weights(tmp_path / "mine.weights.h5")
    model = load(ModelSpec(EMBEDDED, weights=str(tmp_path / "mine.weights.h5")))
    same_weights(model.network, source)
    assert model.weights == file_digest(tmp_path / "mine.weights.h5")
    random = load(ModelSpec(EMBEDDED, weights="random", seed=5))
    same_weights(random.network, source)


def test_a_named_model_takes_its_own_size_and_any_scaling() -> None:
    base = ModelSpec(EMBEDDED)
    assert load(replace(base, input_size=(224, 224))).ports.size == (224, 224)
    with pytest.raises(ModelError, match="takes pictures of 224x224"):
        load(replace(base, input_size=(96, 96)))
    assert load(replace(base, preprocess="vgg16")).scaling == SCALINGS["caffe"]
    with pytest.raises(GradcamError, match="unknown preprocessing 'cafe'"):
        load(replace(base, preprocess="cafe"))


def test_unknown_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model called 'vgg61'"):
        load(ModelSpec("vgg61"))
    with pytest.raises(ModelError, match="there is no model file") as caught:
        load(ModelSpec(str(tmp_path / "mine.keras")))
    assert EMBEDDED in caught.value.hint


# Models by file


def small(channels: int = 3, classes: int = 3, inside: Any = None, size: int | None = 20) -> Any:
    keras.utils.set_random_seed(6)
    inputs = x = keras.Input((size, size, channels))
    if inside is not None:
        x = inside(x)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="features")(x)
    x = keras.layers.Flatten()(x) if size else keras.layers.GlobalAveragePooling2D()(x)
    activation = "softmax" if classes > 1 else "sigmoid"
    return keras.Model(inputs, keras.layers.Dense(classes, activation=activation)(x))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., ModelSpec]:
    def save(network: Any, name: str = "mine.keras", **asked: Any) -> ModelSpec:
        network.save(tmp_path / name)
        return ModelSpec(str(tmp_path / name), **asked)

    return save


@pytest.mark.parametrize("name", ["mine.keras", "mine.h5", "mine.hdf5"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_of_a_colour_or_grey_model(
    saved: Callable[..., ModelSpec], name: str, channels: int
) -> None:
    source = small(channels)
    source.compile("sgd", "categorical_crossentropy")
    choice = saved(source, "mine.h5" if name == "mine.hdf5" else name, preprocess="unit")
    path = Path(choice.model).rename(Path(choice.model).with_name(name))
    model = load(replace(choice, model=str(path)))
    same_weights(model.network, source)
    pixels = noise((20, 20), channels, 2)
    np.testing.assert_allclose(
        probabilities(model, pixels), source(pixels / np.float32(255)).numpy(), rtol=1e-5
    )
    assert model.ports == single_input((20, 20), channels)
    assert (model.name, model.weights) == (str(path), file_digest(path))
    assert (model.layer, model.classes, model.labels.names) == ("features", 3, ())
    assert model.scaling == SCALINGS["unit"]
    assert (model.notes, model.warnings) == ((), ())


@pytest.mark.parametrize("asked", [{}, {"channels": "bgr"}, {"transpose": True}])
def test_what_was_found_of_a_file_is_what_its_network_shows(
    saved: Callable[..., ModelSpec], asked: dict[str, Any]
) -> None:
    model = load(saved(small(), preprocess="unit", **asked))
    assert model.surveyed() is model.surveyed()
    assert model.surveyed() == survey(model.network, model.ports)


def test_labels_go_with_the_outputs(saved: Callable[..., ModelSpec], tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    with pytest.raises(GradcamError, match="2 labels for a model with 3 classes"):
        load(saved(small(), preprocess="unit", labels=labels))
    with pytest.raises(GradcamError, match="2 labels for a model with 1000 classes"):
        load(ModelSpec(EMBEDDED, labels=labels))
    for classes in (1, 2):  # one sigmoid unit, two softmax units
        model = load(saved(small(classes=classes), preprocess="unit", labels=labels))
        assert (model.labels.names, model.classes) == (("cat", "dog"), 2)
    labels.write_text("cat\ndog\nbird\n")
    assert load(saved(small(), preprocess="unit", labels=labels)).labels.names[2] == "bird"
    with pytest.raises(GradcamError, match="3 labels"):
        load(saved(small(classes=1), preprocess="unit", labels=labels))


def test_scaling_that_nothing_tells_must_be_said(saved: Callable[..., ModelSpec]) -> None:
    choice = saved(small())
    with pytest.raises(ModelError, match="says how its pictures must be scaled") as caught:
        load(choice)
    for word in ("--preprocess", "unit", "tf", "none"):
        assert word in caught.value.hint
    for name, scaling in SCALINGS.items():
        assert load(replace(choice, preprocess=name)).scaling == scaling
    model = load(choice, only_shown=True)
    assert model.scaling == UNKNOWN
    assert "must be scaled" in model.warnings[0]


@pytest.mark.parametrize(
    ("inside", "reads"),
    [
        (lambda: keras.layers.Rescaling(1 / 255), "0..1"),
        (lambda: keras.layers.Rescaling(1 / 127.5, -1), "-1..1"),
    ],
)
def test_scaling_inside_is_found_and_not_done_twice(
    saved: Callable[..., ModelSpec], inside: Callable[[], Any], reads: str
) -> None:
    source = small(inside=inside())
    choice = saved(source)
    model = load(choice)
    assert (model.scaling, model.warnings) == (SCALINGS["none"], ())
    assert model.notes == (f"scaling inside the model: to {reads}",)
    pixels = noise((20, 20))
    np.testing.assert_allclose(
        probabilities(model, pixels), source(pixels.astype(np.float32)).numpy(), rtol=1e-5
    )
    assert load(replace(choice, preprocess="none")).warnings == ()
    twice = load(replace(choice, preprocess="unit"))
    assert twice.scaling == SCALINGS["unit"]
    assert twice.warnings == (
        f"the model already scales pixels to {reads}; --preprocess unit scales them twice",
    )


def test_mean_and_deviation_are_applied(saved: Callable[..., ModelSpec]) -> None:
    source = small()
    choice = saved(source, mean=(120.0, 110.0, 100.0), std=(50.0,))
    pixels = noise((20, 20))
    expected = source((pixels - np.array([120, 110, 100], np.float32)) / np.float32(50)).numpy()
    np.testing.assert_allclose(probabilities(load(choice), pixels), expected, rtol=1e-4)
    after = replace(choice, preprocess="unit", mean=(0.5,), std=(0.25,))
    expected = source((pixels / np.float32(255) - 0.5) / 0.25).numpy()
    np.testing.assert_allclose(probabilities(load(after), pixels), expected, rtol=1e-4)
    with pytest.raises(GradcamError, match="--std must be positive"):
        load(replace(choice, std=(0.0,)))


def test_the_size_of_pictures_is_the_model_s_or_asked_for(
    saved: Callable[..., ModelSpec],
) -> None:
    choice = saved(small(size=None), preprocess="unit")
    with pytest.raises(ModelError, match="pictures of any size") as caught:
        load(choice)
    assert "--input-size" in caught.value.hint
    model = load(replace(choice, input_size=(16, 24)))
    assert model.ports.size == (16, 24)
    assert probabilities(model, noise((16, 24))).shape == (1, 3)
    fixed = saved(small(), "fixed.keras", preprocess="unit", input_size=(16, 24))
    with pytest.raises(ModelError, match=r"16x24 does not fit: the model takes 20x20"):
        load(fixed)
    assert load(replace(fixed, input_size=(20, 20))).ports.size == (20, 20)


def test_the_scaling_of_a_known_backbone_is_taken_and_said(
    saved: Callable[..., ModelSpec],
) -> None:
    base = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(base(inputs))
    network = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    model = load(saved(network))
    assert model.scaling == SCALINGS["tf"]
    assert "MobileNetV2" in model.warnings[0]
    assert "--preprocess" in model.warnings[0]


def test_weights_go_with_a_name_only(saved: Callable[..., ModelSpec]) -> None:
    with pytest.raises(ModelError, match="a model file brings its own"):
        load(saved(small(), preprocess="unit", weights="random"))
