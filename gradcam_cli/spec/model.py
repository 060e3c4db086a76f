"""Which model, and what its name or file do not say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gradcam_cli.spec.parsers import named_file, numbers, size
from gradcam_cli.spec.setting import check, setting

MODEL = "Model"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model by name or file, and what the model itself does not say.

    ``mean`` and ``std`` are one number or one a channel; ``input_size`` is ``(h, w)``; ``inputs``
    are names of further inputs with the ``.npy`` files of their values.
    """

    model: str = setting(
        "vgg16",
        "A model's name (`gradcam models`), or a .keras or .h5 file.",
        *("-m", "--model"),
        panel=MODEL,
        metavar="NAME|FILE",
    )
    weights: str = setting(
        "imagenet",
        "imagenet (Keras's cache, downloaded on first use), a weights file made for the named "
        "model, or random (for tests).",
        "--weights",
        panel=MODEL,
        metavar="imagenet|random|FILE",
    )
    seed: int = setting(
        *(0, "The seed of --weights random.", "--seed"), panel=MODEL, least=0, most=2**32 - 1
    )
    labels: Path | None = setting(
        None,
        "Class names: text (one a line), JSON, or CSV.",
        "--labels",
        panel=MODEL,
        metavar="FILE",
    )
    preprocess: str = setting(
        "auto",
        "How pixels are scaled: none (0..255), unit (0..1), tf (-1..1), torch, caffe, or the "
        "name of an application that does it so; try shows a few pictures under each.",
        "--preprocess",
        panel=MODEL,
        metavar="auto|none|unit|tf|torch|caffe|NAME|try",
    )
    channels: Literal["auto", "rgb", "bgr"] = setting(
        "auto",
        "The order in which training read a pixel's channels, before --preprocess: OpenCV's "
        "imread gives bgr; auto is rgb.",
        "--channels",
        panel=MODEL,
    )
    mean: tuple[float, ...] = setting(
        (),
        "Subtracted after --preprocess: one number, or one a channel.",
        "--mean",
        panel=MODEL,
        metavar="R,G,B",
        parse=numbers("--mean"),
    )
    std: tuple[float, ...] = setting(
        (),
        "Divided by after --mean: one number, or one a channel.",
        "--std",
        panel=MODEL,
        metavar="R,G,B",
        parse=numbers("--std"),
    )
    input_size: tuple[int, int] | None = setting(
        None,
        "The network's input, for models that take any size.",
        "--input-size",
        panel=MODEL,
        metavar="HxW",
        parse=size,
    )
    transpose: bool = setting(
        False,
        "Give the network every picture with rows and columns exchanged, as text readers are "
        "often trained; maps are turned back.",
        "--transpose",
        panel=MODEL,
    )
    inputs: tuple[tuple[str, Path], ...] = setting(
        (),
        "The value of a further input, the same for all pictures; repeatable.",
        "--input",
        panel=MODEL,
        metavar="NAME=FILE.npy",
        parse=named_file,
        repeatable=True,
    )
    output: str = setting(
        "",
        "The output with the classes, where a model has several.",
        "--output",
        panel=MODEL,
        metavar="NAME",
    )
    architecture: Path | None = setting(
        None,
        "The JSON file that belongs to a file with weights only.",
        "--architecture",
        panel=MODEL,
        metavar="FILE.json",
    )
    custom_objects: Path | None = setting(
        None,
        "A Python file that defines or imports the model's own layers and functions; it runs.",
        "--custom-objects",
        panel=MODEL,
        metavar="FILE.py",
    )
    unsafe_load: bool = setting(
        False,
        "Open model files that carry code (Lambda layers, custom classes).",
        "--unsafe-load",
        panel=MODEL,
        decides=False,
    )

    def __post_init__(self) -> None:
        check(self)
