"""A tiny classifier, tiny pictures, and what a run of the one over the others is made of."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.batch.pipeline import stream
from gradcam_cli.batch.records import Kept, Record
from gradcam_cli.batch.steps import Plan
from gradcam_cli.commands.options import AskOptions, DrawOptions, LookOptions, OpenOptions
from gradcam_cli.commands.request import model_choice, settings
from gradcam_cli.explain import Explainer, Question
from gradcam_cli.images.files import encode
from gradcam_cli.images.find import Found
from gradcam_cli.models.classes import ClassChoice
from gradcam_cli.models.load import Model, load

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
    return load(model_choice(str(path), OpenOptions()))


def make_plan(model: Model, output: Path | None, draw: DrawOptions | None = None) -> Plan:
    """Return the plan of `gradcam run`, or with ``output`` None of `gradcam predict`."""
    choice = model_choice(model.name, OpenOptions())
    return Plan(
        settings=settings(choice, LookOptions(), AskOptions(), draw or DrawOptions()),
        model=model.name,
        weights=model.weights,
        labels=model.labels,
        input_size=model.ports.size,
        channels=model.ports.channels,
        output=output,
    )


def explain(
    pictures: Iterable[Found | Kept], model: Model, plan: Plan, batch_size: int = 4
) -> list[Record]:
    """Return the records of a stream over the pictures."""
    trace = partial(Explainer, model, Question(ClassChoice(1)))
    return list(stream(pictures, plan, trace, batch_size))
