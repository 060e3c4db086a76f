"""The options of models, maps and pictures, declared once, in groups that commands take whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gradcam_cli.commands.values import (
    Blend,
    Channels,
    Format,
    Interpolation,
    Precision,
    Resize,
    Score,
)

_MODEL = "Model"
_WHAT = "What is explained"
_PICTURE = "Pictures and output"
RUN = "Running"


def option(text: str, *names: str, panel: str, **more: Any) -> Any:
    """Return an option of one of the help's panels."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _checked_batch_size(value: str) -> str:
    if value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise typer.BadParameter(f"{value!r} is neither auto nor a number of at least 1")
    return value


Sources = Annotated[
    list[str],
    typer.Argument(
        help="Pictures, folders (walked recursively), globs, @list.txt, or - for a list on "
        "standard input.",
        show_default=False,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A model's name or a .keras or .h5 file.", metavar="MODEL", show_default=False
    ),
]
Json = Annotated[
    bool, option("Print JSON, one value a line, instead of tables.", "--json", panel=RUN)
]


@dataclass(frozen=True)
class OpenOptions:
    """What a model's name or file cannot tell by itself."""

    weights: Annotated[
        str,
        option(
            "imagenet (Keras's cache, downloaded on first use), a weights file made for the named "
            "model, or random (for tests).",
            "--weights",
            panel=_MODEL,
            metavar="imagenet|random|FILE",
        ),
    ] = "imagenet"
    seed: Annotated[
        int, option("The seed of --weights random.", "--seed", panel=_MODEL, min=0, max=2**32 - 1)
    ] = 0
    labels: Annotated[
        Path | None,
        option(
            "Class names: text (one a line), JSON, or CSV.",
            "--labels",
            panel=_MODEL,
            metavar="FILE",
            show_default=False,
        ),
    ] = None
    preprocess: Annotated[
        str,
        option(
            "How pixels are scaled: none (0..255), unit (0..1), tf (-1..1), torch, caffe, or the "
            "name of an application that does it so; try shows a few pictures under each.",
            "--preprocess",
            panel=_MODEL,
            metavar="auto|none|unit|tf|torch|caffe|NAME|try",
        ),
    ] = "auto"
    channels: Annotated[
        Channels,
        option(
            "The order in which training read a pixel's channels, before --preprocess: OpenCV's "
            "imread gives bgr; auto is rgb.",
            "--channels",
            panel=_MODEL,
        ),
    ] = Channels.auto
    mean: Annotated[
        str,
        option(
            "Subtracted after --preprocess: one number, or one a channel.",
            "--mean",
            panel=_MODEL,
            metavar="R,G,B",
            show_default=False,
        ),
    ] = ""
    std: Annotated[
        str,
        option(
            "Divided by after --mean: one number, or one a channel.",
            "--std",
            panel=_MODEL,
            metavar="R,G,B",
            show_default=False,
        ),
    ] = ""
    input_size: Annotated[
        str,
        option(
            "The network's input, for models that take any size.",
            "--input-size",
            panel=_MODEL,
            metavar="HxW",
            show_default=False,
        ),
    ] = ""
    transpose: Annotated[
        bool,
        option(
            "Give the network every picture with rows and columns exchanged, as text readers are "
            "often trained; maps are turned back.",
            "--transpose",
            panel=_MODEL,
        ),
    ] = False
    input: Annotated[
        tuple[str, ...],
        option(
            "The value of a further input, the same for all pictures; repeatable.",
            "--input",
            panel=_MODEL,
            metavar="NAME=FILE.npy",
            show_default=False,
        ),
    ] = ()
    output: Annotated[
        str,
        option(
            "The output with the classes, where a model has several.",
            "--output",
            panel=_MODEL,
            metavar="NAME",
            show_default=False,
        ),
    ] = ""
    architecture: Annotated[
        Path | None,
        option(
            "The JSON file that belongs to a file with weights only.",
            "--architecture",
            panel=_MODEL,
            metavar="FILE.json",
            show_default=False,
        ),
    ] = None
    custom_objects: Annotated[
        Path | None,
        option(
            "A Python file that defines or imports the model's own layers and functions; it runs.",
            "--custom-objects",
            panel=_MODEL,
            metavar="FILE.py",
            show_default=False,
        ),
    ] = None
    unsafe_load: Annotated[
        bool,
        option(
            "Open model files that carry code (Lambda layers, custom classes).",
            "--unsafe-load",
            panel=_MODEL,
        ),
    ] = False


@dataclass(frozen=True)
class ModelOption:
    """Which model."""

    model: Annotated[
        str,
        option(
            "A model's name (`gradcam models`), or a .keras or .h5 file.",
            "-m",
            "--model",
            panel=_MODEL,
            metavar="NAME|FILE",
        ),
    ] = "vgg16"


@dataclass(frozen=True)
class AskOptions:
    """What is explained."""

    classes: Annotated[
        tuple[str, ...],
        option(
            "predicted, topN, an index, a WordNet id, or a class name; repeatable.",
            "-c",
            "--class",
            panel=_WHAT,
            metavar="CLASS",
        ),
    ] = ("predicted",)
    layer: Annotated[
        str,
        option(
            "The layer to look at (`gradcam layers MODEL`).",
            "-l",
            "--layer",
            panel=_WHAT,
            metavar="auto|NAME|PATH",
        ),
    ] = "auto"
    call: Annotated[
        int,
        option(
            "Which call of a layer that is called several times; 0 is the last.",
            "--call",
            panel=_WHAT,
            min=0,
        ),
    ] = 0
    method: Annotated[
        str,
        option("The method (`gradcam methods`).", "--method", panel=_WHAT, metavar="METHOD"),
    ] = "gradcam"
    score: Annotated[Score, option("What the gradient is taken of.", "--score", panel=_WHAT)] = (
        Score.logit
    )
    precision: Annotated[
        Precision,
        option(
            "bfloat16 is twice as fast on processors made for it; auto measures.",
            "--precision",
            panel=RUN,
        ),
    ] = Precision.float32


@dataclass(frozen=True)
class DrawOptions:
    """What is written, and how it looks."""

    output_dir: Annotated[
        Path,
        option(
            "Where heatmaps and the manifest go.",
            "-o",
            "--output-dir",
            panel=_PICTURE,
            metavar="DIR",
        ),
    ] = Path("gradcam_output")
    save: Annotated[
        str,
        option(
            "What is written: overlay, heatmap (the bare colours), array (the raw float32 map); "
            "separated by commas.",
            "--save",
            panel=_PICTURE,
            metavar="KINDS",
        ),
    ] = "overlay"
    intensity: Annotated[
        float,
        option(
            "How strong the heat is on the picture, 0 to 1.",
            "-i",
            "--intensity",
            panel=_PICTURE,
            min=0.0,
            max=1.0,
        ),
    ] = 0.4
    blend: Annotated[
        Blend,
        option(
            "add: picture + i x heat; mix: (1 - i) x picture + i x heat.",
            "--blend",
            panel=_PICTURE,
        ),
    ] = Blend.add
    colormap: Annotated[
        str,
        option(
            "The colours of the heat: jet, turbo, viridis, inferno and OpenCV's others.",
            "--colormap",
            panel=_PICTURE,
            metavar="NAME",
        ),
    ] = "jet"
    format: Annotated[
        Format, option("The format of written pictures.", "--format", panel=_PICTURE)
    ] = Format.jpg
    quality: Annotated[
        int, option("JPEG and WebP quality.", "--quality", panel=_PICTURE, min=1, max=100)
    ] = 95
    max_size: Annotated[
        int,
        option(
            "The longer side of written pictures, in pixels; 0 keeps the picture's own size.",
            "--max-size",
            panel=_PICTURE,
            min=0,
        ),
    ] = 0


@dataclass(frozen=True)
class LookOptions:
    """How pictures go through the network, and what is printed."""

    top_k: Annotated[
        int, option("How many predictions are shown.", "-k", "--top-k", panel=_WHAT, min=1)
    ] = 5
    resize: Annotated[
        Resize,
        option(
            "How a picture becomes the network's input: squashed whole, its centre cropped, or "
            "padded.",
            "--resize",
            panel=_PICTURE,
        ),
    ] = Resize.squash
    interpolation: Annotated[
        Interpolation,
        option(
            "How pixels are interpolated for the network; auto is what the model was trained "
            "with, or bilinear.",
            "--interpolation",
            panel=_PICTURE,
        ),
    ] = Interpolation.auto
    white: Annotated[
        int,
        option(
            "The level that is white in 16-bit pictures that do not state it, such as 4095 for "
            "12-bit data in 16-bit TIFF or PNG; 0 is 65535.",
            "--white",
            panel=_PICTURE,
            metavar="LEVEL",
            min=0,
            max=65535,
        ),
    ] = 0
    batch_size: Annotated[
        str,
        option(
            "Pictures that go through the network at once; auto tries a few sizes first. One that "
            "does not fit into memory is halved.",
            "--batch-size",
            panel=RUN,
            metavar="N|auto",
            callback=_checked_batch_size,
        ),
    ] = "16"
    json: Json = False
    quiet: Annotated[
        bool, option("Print no tables, notes or progress.", "-q", "--quiet", panel=RUN)
    ] = False
