"""How an image becomes the network's input, and how much is shown of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradcam_cli.spec.draw import OUTPUT
from gradcam_cli.spec.explain import EXPLAINED, RUNNING
from gradcam_cli.spec.parsers import batch_size
from gradcam_cli.spec.setting import check, setting


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How images go through the network.

    ``batch_size`` is the number that goes through at once; it decides the last bits only.
    """

    top_k: int = setting(
        5, "How many predictions are shown.", *("-k", "--top-k"), panel=EXPLAINED, least=1
    )
    resize: Literal["squash", "crop", "pad"] = setting(
        "squash",
        "How a picture becomes the network's input: squashed whole, its centre cropped, or padded.",
        "--resize",
        panel=OUTPUT,
    )
    interpolation: Literal["auto", "bilinear", "bicubic", "area", "nearest", "lanczos"] = setting(
        "auto",
        "How pixels are interpolated for the network; auto is what the model was trained "
        "with, or bilinear.",
        "--interpolation",
        panel=OUTPUT,
    )
    white: int = setting(
        0,
        "The level that is white in 16-bit pictures that do not state it, such as 4095 for "
        "12-bit data in 16-bit TIFF or PNG; 0 is 65535.",
        "--white",
        panel=OUTPUT,
        metavar="LEVEL",
        least=0,
        most=65535,
    )
    batch_size: int | Literal["auto"] = setting(
        16,
        "Pictures that go through the network at once; auto tries a few sizes first. One that "
        "does not fit into memory is halved.",
        "--batch-size",
        panel=RUNNING,
        metavar="N|auto",
        least=1,
        parse=batch_size,
        decides=False,
    )

    def __post_init__(self) -> None:
        check(self)
