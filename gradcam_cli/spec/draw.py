"""What is written, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradcam_cli.spec.parsers import several
from gradcam_cli.spec.setting import check, setting

OUTPUT = "Pictures and output"


@dataclass(frozen=True, slots=True)
class DrawSpec:
    """Which files are made of a map, and how they look."""

    save: tuple[str, ...] = setting(
        ("overlay",),
        "What is written, separated by commas: {artifacts}.",
        "--save",
        panel=OUTPUT,
        metavar="KINDS",
        parse=several,
    )
    intensity: float = setting(
        0.4,
        "How strong the heat is on the picture, 0 to 1.",
        *("-i", "--intensity"),
        panel=OUTPUT,
        least=0.0,
        most=1.0,
    )
    blend: Literal["add", "mix"] = setting(
        "add",
        "add: picture + i x heat; mix: (1 - i) x picture + i x heat.",
        "--blend",
        panel=OUTPUT,
    )
    colormap: str = setting(
        "jet",
        "The colours of the heat: jet, turbo, viridis, inferno and OpenCV's others.",
        "--colormap",
        panel=OUTPUT,
        metavar="NAME",
    )
    format: Literal["jpg", "png", "webp"] = setting(
        "jpg", "The format of written pictures.", "--format", panel=OUTPUT
    )
    quality: int = setting(
        95, "JPEG and WebP quality.", "--quality", panel=OUTPUT, least=1, most=100
    )
    max_size: int = setting(
        0,
        "The longer side of written pictures, in pixels; 0 keeps the picture's own size.",
        "--max-size",
        panel=OUTPUT,
        least=0,
    )
    panel_width: int = setting(
        480,
        "The width of panels in points, 72 to the inch, from 120 to 4000: 480 fills a page of A4, "
        "960 a slide; their files have three pixels a point.",
        "--panel-width",
        panel=OUTPUT,
        least=120,
        most=4000,
    )
    figure_format: Literal["png", "svg", "pdf"] = setting(
        "png", "The format of figures (--save figure).", "--figure-format", panel=OUTPUT
    )
    figure_colormap: str = setting(
        "viridis",
        "The colours of figures, by the names of --colormap.",
        "--figure-colormap",
        panel=OUTPUT,
        metavar="NAME",
    )

    def __post_init__(self) -> None:
        check(self)
