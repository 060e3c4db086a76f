from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS
from gradcam_cli.cli import app
from gradcam_cli.errors import ModelError
from gradcam_cli.explainer import traced
from gradcam_cli.images.encode import encode
from gradcam_cli.keras_files.file import open_network
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.load import Model
from gradcam_cli.models.scaling import SCALINGS
from gradcam_cli.network.ports import Ports, find_ports, run
from gradcam_cli.network.survey import survey
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.verify import check_gradient
from tests.asking import ask
from tests.oracles import grad_cam
from tests.processes import records
from tests.zoo import CASES, Built, Case, parts
from tests.zoo.expected import applicable, distances
from tests.zoo.table import PAGE, table

Pixels = NDArray[np.uint8]


def reference(built: Built, case: Case, pixels: Pixels) -> NDArray[Any]:
    """Grad-CAM ``[classes, N, u, v]`` from the network's layers, called by hand under a tape."""
    x = tf.constant(pixels, tf.float32)
    A = built.features(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(A)
        logits = built.head(A, x)
        scores = [logits[:, index] for index in case.classes]
    maps = []
    for score in scores:
        G = tape.gradient(score, A)
        maps.append(grad_cam(*(built.fold(np.asarray(part)) for part in (A, G))))
    return np.stack(maps)


def save(network: Any, case: Case, folder: Path, ending: str) -> Path:
    path = folder / f"{case.name}.{ending}"
    network.save(path)
    return path


def opened(path: Path, case: Case) -> Any:
    return open_network(path, unsafe=case.unsafe, custom_objects=Path(parts.__file__)).network


def made(network: Any, ports: Ports, case: Case) -> Model:
    return Model(
        name=case.name,
        network=network,
        weights="file",
        ports=ports,
        scaling=SCALINGS["none"],
        labels=Labels(names=(), ids=()),
        classes=max(3, *(index + 1 for index in case.classes)),
    )


def explain(
    network: Any, ports: Ports, case: Case, pixels: Pixels
) -> tuple[dict[str, NDArray[Any]], str]:
    """The maps ``[1, N, u, v]`` of every method of one pass, and the kind of head.

    Of the last class alone: each further one traces every gradient once more. That classes are
    explained apart from each other shows by the command line.
    """
    methods = applicable(case)
    spec = ask(0, case.classes[-1:], layer=case.layer, call=case.call, methods=methods)
    explainer = traced(made(network, ports, case), spec, len(pixels))
    assert explainer.facts.layers[0].grid == case.grid
    answers = list(explainer.many(list(pixels)))
    maps = {
        name: np.stack([[m.raw for m in each.maps if m.method == name] for each in answers], axis=1)
        for name in methods
    }
    return maps, explainer.facts.head


def check_refusals(network: Any, ports: Ports, case: Case) -> None:
    """Whatever is not defined for a case is refused, and the hint names what is."""
    for name in {"cam", "finercam"} - set(applicable(case)):
        spec = ask(0, case.classes, layer=case.layer, call=case.call, method=name)
        with pytest.raises(ModelError) as caught:
            traced(made(network, ports, case), spec, case.batch or 1)
        assert METHODS[name].title in caught.value.message
        assert "--method gradcam" in caught.value.hint or "--layer" in caught.value.hint


def state(network: Any) -> tuple[str, list[bytes], dict[str, set[str]]]:
    """All that makes up a model in memory: configuration, weights, attributes of every layer."""
    config = json.dumps(keras.saving.serialize_keras_object(network), default=str, sort_keys=True)
    weights = [weight.numpy().tobytes() for weight in network.weights]
    layers = [network, *network._flatten_layers(include_self=False)]
    return config, weights, {f"{n} {each.name}": set(vars(each)) for n, each in enumerate(layers)}


def by_command_line(path: Path, case: Case, pixels: Pixels, folder: Path) -> NDArray[Any]:
    """The raw maps ``[classes, N, u, v]`` that ``gradcam run`` writes for pixels as pictures."""
    for number, picture in enumerate(pixels):
        picture = np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture
        write_bytes(folder / "in" / f"{number}.png", encode(picture, "png"))
    words = ["run", str(folder / "in"), "-m", str(path), "--layer", case.layer, "--save", "array"]
    words += ["--call", str(case.call), "--custom-objects", parts.__file__, "--quiet"]
    words += ["--preprocess", "none", "-o", str(folder / "out")]
    words += [word for index in case.classes for word in ("-c", str(index))]
    words += ["--output", case.output] if case.output else []
    words += ["--unsafe-load"] if case.unsafe else []
    words += ["--input-size", "{}x{}".format(*case.size)] if case.size else []
    for name, value in case.constants.items():
        np.save(folder / f"{name}.npy", value)
        words += ["--input", f"{name}={folder / name}.npy"]
    assert app(words, standalone_mode=False) == 0
    maps = [
        [np.load(folder / "out" / item["files"]["array"]) for item in record["explanations"]]
        for record in records(folder / "out")
    ]
    return np.swapaxes(np.array(maps), 0, 1)


_LONG = ("transformer-token", "gru")
"""All that these have, ``transformer-wide`` and ``lstm`` have as well, and each takes seconds."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(each, marks=pytest.mark.long if each.name in _LONG else ()) for each in CASES],
    ids=lambda case: case.name,
)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_every_structure(case: Case, tmp_path: Path) -> None:
    keras.utils.set_random_seed(7)
    built = case.build()
    path = save(built.network, case, tmp_path, "keras")
    before = hashlib.sha256(path.read_bytes()).digest()
    network = opened(path, case)
    ports = find_ports(network, case.size, case.constants, case.output)
    assert ports.batch == case.batch
    pixels = np.random.default_rng(1).integers(
        0, 256, (ports.batch or 2, *ports.size, ports.channels), dtype=np.uint8
    )
    found = survey(network, ports)
    assert (found.default, found.inside) == (case.default, case.inside)
    run(network, ports, tf.constant(pixels, tf.float32))  # layers may set up something lazily
    remembered = state(network)
    maps, head = explain(network, ports, case, pixels)
    check_refusals(network, ports, case)
    check = check_gradient(made(network, ports, case), case.layer, seed=len(case.name))
    assert check.passed, check
    assert check.clear
    assert state(network) == remembered
    expected = reference(built, case, pixels)
    assert apart(maps["gradcam"], expected[-1:]) <= case.tolerance
    far = distances(built, case.classes[-1:], pixels, head == "softmax", maps)
    assert {name: far[name] for name in far if far[name] > case.tolerance} == {}
    assert {"gradcam", "hirescam", "layercam"} <= set(far)

    # The same by the command line, from an HDF5 file where there can be one.
    if case.no_h5:
        with pytest.raises(ModelError):
            opened(save(built.network, case, tmp_path, "h5"), case)
    else:
        assert hashlib.sha256(path.read_bytes()).digest() == before
        path = save(built.network, case, tmp_path, "h5")
        before = hashlib.sha256(path.read_bytes()).digest()
    raw = by_command_line(path, case, pixels, tmp_path)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert apart(raw, expected) <= case.tolerance


def apart(raw: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference, as a share of its own map's maximum (of all, where that is zero)."""
    size = np.abs(expected).max((2, 3), keepdims=True)
    size = np.where(size > 1e-6 * size.max(), size, size.max())
    return float((np.abs(raw - expected) / size).max())


def test_the_table_in_the_docs_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- generated: structures -->") == 1
    assert table() in page, "run `python -m tests.zoo.table`"


def test_every_structure_has_its_own_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
