"""Every option of the command line, declared once, in groups that commands take whole."""

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
_RUN = "Running"
_CHOOSE = "Which pictures"


def _option(text: str, *names: str, panel: str, **more: Any) -> Any:
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
    bool, _option("Print JSON, one value a line, instead of tables.", "--json", panel=_RUN)
]


@dataclass(frozen=True)
class OpenOptions:
    """What a model's name or file cannot tell by itself."""

    weights: Annotated[
        str,
        _option(
            "imagenet (Keras's cache, downloaded on first use), a weights file made for the named "
            "model, or random (for tests).",
            "--weights",
            panel=_MODEL,
            metavar="imagenet|random|FILE",
        ),
    ] = "imagenet"
    seed: Annotated[
        int, _option("The seed of --weights random.", "--seed", panel=_MODEL, min=0, max=2**32 - 1)
    ] = 0
    labels: Annotated[
        Path | None,
        _option(
            "Class names: text (one a line), JSON, or CSV.",
            "--labels",
            panel=_MODEL,
            metavar="FILE",
            show_default=False,
        ),
    ] = None
    preprocess: Annotated[
        str,
        _option(
            "How pixels are scaled: none (0..255), unit (0..1), tf (-1..1), torch, caffe, or the "
            "name of an application that does it so; try shows a few pictures under each.",
            "--preprocess",
            panel=_MODEL,
            metavar="auto|none|unit|tf|torch|caffe|NAME|try",
        ),
    ] = "auto"
    channels: Annotated[
        Channels,
        _option(
            "The order in which training read a pixel's channels, before --preprocess: OpenCV's "
            "imread gives bgr; auto is rgb.",
            "--channels",
            panel=_MODEL,
        ),
    ] = Channels.auto
    mean: Annotated[
        str,
        _option(
            "Subtracted after --preprocess: one number, or one a channel.",
            "--mean",
            panel=_MODEL,
            metavar="R,G,B",
            show_default=False,
        ),
    ] = ""
    std: Annotated[
        str,
        _option(
            "Divided by after --mean: one number, or one a channel.",
            "--std",
            panel=_MODEL,
            metavar="R,G,B",
            show_default=False,
        ),
    ] = ""
    input_size: Annotated[
        str,
        _option(
            "The network's input, for models that take any size.",
            "--input-size",
            panel=_MODEL,
            metavar="HxW",
            show_default=False,
        ),
    ] = ""
    transpose: Annotated[
        bool,
        _option(
            "Give the network every picture with rows and columns exchanged, as text readers are "
            "often trained; maps are turned back.",
            "--transpose",
            panel=_MODEL,
        ),
    ] = False
    input: Annotated[
        tuple[str, ...],
        _option(
            "The value of a further input, the same for all pictures; repeatable.",
            "--input",
            panel=_MODEL,
            metavar="NAME=FILE.npy",
            show_default=False,
        ),
    ] = ()
    output: Annotated[
        str,
        _option(
            "The output with the classes, where a model has several.",
            "--output",
            panel=_MODEL,
            metavar="NAME",
            show_default=False,
        ),
    ] = ""
    architecture: Annotated[
        Path | None,
        _option(
            "The JSON file that belongs to a file with weights only.",
            "--architecture",
            panel=_MODEL,
            metavar="FILE.json",
            show_default=False,
        ),
    ] = None
    custom_objects: Annotated[
        Path | None,
        _option(
            "A Python file that defines or imports the model's own layers and functions; it runs.",
            "--custom-objects",
            panel=_MODEL,
            metavar="FILE.py",
            show_default=False,
        ),
    ] = None
    unsafe_load: Annotated[
        bool,
        _option(
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
        _option(
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
        _option(
            "predicted, topN, an index, a WordNet id, or a class name; repeatable.",
            "-c",
            "--class",
            panel=_WHAT,
            metavar="CLASS",
        ),
    ] = ("predicted",)
    layer: Annotated[
        str,
        _option(
            "The layer to look at (`gradcam layers MODEL`).",
            "-l",
            "--layer",
            panel=_WHAT,
            metavar="auto|NAME|PATH",
        ),
    ] = "auto"
    call: Annotated[
        int,
        _option(
            "Which call of a layer that is called several times; 0 is the last.",
            "--call",
            panel=_WHAT,
            min=0,
        ),
    ] = 0
    method: Annotated[
        str,
        _option("The method (`gradcam methods`).", "--method", panel=_WHAT, metavar="METHOD"),
    ] = "gradcam"
    score: Annotated[Score, _option("What the gradient is taken of.", "--score", panel=_WHAT)] = (
        Score.logit
    )
    precision: Annotated[
        Precision,
        _option(
            "bfloat16 is twice as fast on processors made for it; auto measures.",
            "--precision",
            panel=_RUN,
        ),
    ] = Precision.float32


@dataclass(frozen=True)
class DrawOptions:
    """What is written, and how it looks."""

    output_dir: Annotated[
        Path,
        _option(
            "Where heatmaps and the manifest go.",
            "-o",
            "--output-dir",
            panel=_PICTURE,
            metavar="DIR",
        ),
    ] = Path("gradcam_output")
    save: Annotated[
        str,
        _option(
            "What is written: overlay, heatmap (the bare colours), array (the raw float32 map); "
            "separated by commas.",
            "--save",
            panel=_PICTURE,
            metavar="KINDS",
        ),
    ] = "overlay"
    intensity: Annotated[
        float,
        _option(
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
        _option(
            "add: picture + i x heat; mix: (1 - i) x picture + i x heat.",
            "--blend",
            panel=_PICTURE,
        ),
    ] = Blend.add
    colormap: Annotated[
        str,
        _option(
            "The colours of the heat: jet, turbo, viridis, inferno and OpenCV's others.",
            "--colormap",
            panel=_PICTURE,
            metavar="NAME",
        ),
    ] = "jet"
    format: Annotated[
        Format, _option("The format of written pictures.", "--format", panel=_PICTURE)
    ] = Format.jpg
    quality: Annotated[
        int, _option("JPEG and WebP quality.", "--quality", panel=_PICTURE, min=1, max=100)
    ] = 95
    max_size: Annotated[
        int,
        _option(
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
        int, _option("How many predictions are shown.", "-k", "--top-k", panel=_WHAT, min=1)
    ] = 5
    resize: Annotated[
        Resize,
        _option(
            "How a picture becomes the network's input: squashed whole, its centre cropped, or "
            "padded.",
            "--resize",
            panel=_PICTURE,
        ),
    ] = Resize.squash
    interpolation: Annotated[
        Interpolation,
        _option(
            "How pixels are interpolated for the network; auto is what the model was trained "
            "with, or bilinear.",
            "--interpolation",
            panel=_PICTURE,
        ),
    ] = Interpolation.auto
    white: Annotated[
        int,
        _option(
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
        _option(
            "Pictures that go through the network at once; auto tries a few sizes first. One that "
            "does not fit into memory is halved.",
            "--batch-size",
            panel=_RUN,
            metavar="N|auto",
            callback=_checked_batch_size,
        ),
    ] = "16"
    json: Json = False
    quiet: Annotated[
        bool, _option("Print no tables, notes or progress.", "-q", "--quiet", panel=_RUN)
    ] = False


@dataclass(frozen=True)
class BatchOptions:
    """How a run treats what is there, and when it gives up."""

    overwrite: Annotated[
        bool, _option("Start anew instead of going on.", "--overwrite", panel=_RUN)
    ] = False
    no_resume: Annotated[
        bool,
        _option("Refuse an output folder that holds an earlier run.", "--no-resume", panel=_RUN),
    ] = False
    fail_on_empty: Annotated[
        bool, _option("Exit with 1 when a map is empty.", "--fail-on-empty", panel=_RUN)
    ] = False
    max_failures: Annotated[
        int,
        _option(
            "Stop after so many failed pictures; 0 never does.",
            "--max-failures",
            panel=_RUN,
            min=0,
        ),
    ] = 0


@dataclass(frozen=True)
class SelectOptions:
    """Which of the pictures."""

    include: Annotated[
        tuple[str, ...],
        _option(
            "Only pictures whose name (or path, with a slash) fits; repeatable.",
            "--include",
            panel=_CHOOSE,
            metavar="GLOB",
            show_default=False,
        ),
    ] = ()
    exclude: Annotated[
        tuple[str, ...],
        _option(
            "No pictures whose name or path fits; repeatable.",
            "--exclude",
            panel=_CHOOSE,
            metavar="GLOB",
            show_default=False,
        ),
    ] = ()
    limit: Annotated[
        int | None,
        _option("At most so many pictures.", "--limit", panel=_CHOOSE, min=1, show_default=False),
    ] = None
    shard: Annotated[
        str,
        _option(
            "Part K of N, by a hash of the path: the same for ever, as folders grow.",
            "--shard",
            panel=_CHOOSE,
            metavar="K/N",
            show_default=False,
        ),
    ] = ""
    strict_types: Annotated[
        bool,
        _option(
            "Pictures in folders whose type is not read (.heic, .cr2, .psd) fail, instead of being "
            "counted at the end.",
            "--strict-types",
            panel=_CHOOSE,
        ),
    ] = False
    nul: Annotated[
        bool, _option("Lists are separated by NUL, not by lines.", "-0", "--nul", panel=_CHOOSE)
    ] = False
