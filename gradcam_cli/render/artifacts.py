"""The kinds of files that can be made of an answer: the ARTIFACTS table."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradcam_cli.errors import GradcamError
from gradcam_cli.spelling import suggestion

if TYPE_CHECKING:
    from gradcam_cli.render.drawing import Drawing


@dataclass(frozen=True, slots=True)
class Artifact:
    """One row of ARTIFACTS: what it shows, how its files' names end, and what draws it.

    ``ending`` may hold ``{format}`` and ``{figure_format}``. ``draw`` is ``module:function``,
    imported when it is needed: the function takes a Drawing and returns the file's bytes. There is
    a file for every ``map``, or one for the whole ``image``.
    """

    shows: str
    ending: str
    draw: str
    per: Literal["map", "image"] = "map"


ARTIFACTS: dict[str, Artifact] = {
    "overlay": Artifact("heat on the picture", ".{format}", "gradcam_cli.render.drawing:overlay"),
    "heatmap": Artifact(
        "the bare colours", ".heatmap.{format}", "gradcam_cli.render.drawing:heatmap"
    ),
    "array": Artifact("the raw float32 map", ".npy", "gradcam_cli.render.drawing:array"),
    "panel": Artifact(
        "picture and all its overlays side by side, with names and a colour bar",
        ".panel.{format}",
        "gradcam_cli.render.panel:panel",
        per="image",
    ),
    "figure": Artifact(
        "the map's cells as a plot with axes and a colour bar",
        ".figure.{figure_format}",
        "gradcam_cli.render.figure:figure",
    ),
}


def artifacts_help() -> str:
    """Return all kinds for people: ``overlay (heat on the picture), ...``."""
    return ", ".join(f"{kind} ({row.shows})" for kind, row in ARTIFACTS.items())


def check_kinds(kinds: Iterable[str]) -> None:
    """Raise GradcamError for a kind that is not in the table, and for none at all."""
    kinds = list(kinds)
    if not kinds:
        raise GradcamError("--save names nothing to save", f"one or more of {', '.join(ARTIFACTS)}")
    for kind in kinds:
        if kind not in ARTIFACTS:
            raise GradcamError(
                f"--save does not know {kind!r}", suggestion(kind, ARTIFACTS, ", ".join(ARTIFACTS))
            )


def shows_all_maps(kinds: Iterable[str]) -> bool:
    """Return whether one of the kinds shows all maps of an image at once."""
    return any(ARTIFACTS[kind].per == "image" for kind in kinds)


def drawn(drawing: Drawing, kinds: Iterable[str], per: str) -> Iterator[tuple[str, str, bytes]]:
    """Yield the kinds of files that are made ``per`` map or image: kind, ending of name, bytes."""
    asked = set(kinds)
    for kind, row in ARTIFACTS.items():
        if kind in asked and row.per == per:
            draw: Callable[[Drawing], bytes] = pkgutil.resolve_name(row.draw)
            spec = drawing.spec
            ending = row.ending.format(format=spec.format, figure_format=spec.figure_format)
            yield kind, ending, draw(drawing)
