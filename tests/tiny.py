"""A tiny classifier, tiny pictures, and what a run of the one over the others is made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.engine.files import Recorder
from gradcam_cli.engine.local import stream
from gradcam_cli.engine.steps import Failed
from gradcam_cli.explainer import traced
from gradcam_cli.images.encode import encode
from gradcam_cli.models.load import Model, load
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec, digest
from gradcam_cli.store.records import Done, Record

Pixels = NDArray[np.uint8]


def save_tiny(path: Path) -> None:
    """Write a classifier of 16 x 16 pixels that sees nothing in a black picture."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    pixels = keras.Input((16, 16, 3), name="input_layer")
    grid = layers.Conv2D(4, 3, activation="relu", name="conv")(
        layers.Rescaling(1 / 255, name="rescaling")(pixels)
    )
    pooled = layers.GlobalAveragePooling2D()(grid)
    keras.Model(pixels, layers.Dense(3, activation="softmax", name="dense")(pooled)).save(path)


def noise(seed: int, height: int = 24, width: int = 32) -> Pixels:
    """Return smooth colours, other ones for every seed."""
    cells = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def write_pictures(folder: Path, count: int, ending: str = "jpg") -> list[Found]:
    """Write pictures ``000.jpg``, ``001.jpg``, ... and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(count):
        path = folder / f"{number:03d}.{ending}"
        path.write_bytes(encode(noise(number), ending))
        found.append(Found(path, f"in/{path.name}"))
    return found


def load_tiny(path: Path) -> Model:
    return load(ModelSpec(model=str(path)))


def recorder(
    model: Model,
    output: Path | None,
    draw: DrawSpec | None = None,
    images: ImageSpec | None = None,
) -> Recorder:
    """Return the sink of `gradcam run`, or with ``output`` None of `gradcam predict`."""
    asked = RunSpec(images=images or ImageSpec(), draw=draw or DrawSpec())
    return Recorder(model, asked, digest(asked.deciding({"model": model.name})), output)


def explain(
    places: Iterable[Found | Done], model: Model, record: Recorder, batch_size: int = 4
) -> list[Record]:
    """Return the records of a stream over a list's places that are not done."""
    explainer = traced(model, record.spec.explain, batch_size)
    outcomes = stream(places, explainer, record.spec.images, record)
    return [
        record.failed(outcome) if isinstance(outcome, Failed) else outcome
        for outcome in outcomes
        if not isinstance(outcome, Done)
    ]
