"""``--preprocess try``: a few pictures go through every scaling, for the user to compare."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import typer

from gradcam_cli.commands import say
from gradcam_cli.errors import ExitCode, GradcamError, ImageError

if TYPE_CHECKING:
    from gradcam_cli.commands.options import LookOptions
    from gradcam_cli.images.find import Found
    from gradcam_cli.models.choice import ModelChoice

__all__ = ["try_scalings"]

_PICTURES = 4
_SHOWN = 3


def try_scalings(pictures: Iterable[Found], choice: ModelChoice, look: LookOptions) -> None:
    """Print what a model says of the first pictures under each row of SCALINGS."""
    from gradcam_cli.explain import Explainer, Question
    from gradcam_cli.images.files import read_picture
    from gradcam_cli.images.fit import place, to_network
    from gradcam_cli.models.classes import ClassChoice, describe
    from gradcam_cli.models.load import load
    from gradcam_cli.models.scaling import SCALINGS

    if choice.mean or choice.std:
        raise GradcamError(
            "--preprocess try shows the named scalings only", "leave out --mean and --std"
        )
    model = load(replace(choice, preprocess="auto"), only_look=True)
    ports = model.ports
    found: list[Found] = []
    squares = []
    interpolation = look.interpolation.value
    if interpolation == "auto":
        interpolation = model.interpolation
    for each in islice(pictures, _PICTURES):
        try:
            picture = read_picture(each.path, each.source)
        except ImageError as error:
            say.warn(f"{each.source}: {error.message}")
            continue
        placement = place((picture.height, picture.width), ports.size, look.resize.value)
        squares.append(to_network(picture.pixels, placement, ports.channels, interpolation))
        found.append(each)
    if not found:
        raise typer.Exit(ExitCode.NO_PICTURE)
    rows: list[list[tuple[str, str, str]]] = [[] for _ in found]
    for name, scaling in SCALINGS.items():
        if ports.channels == 1 and (scaling.bgr or len(scaling.mean) > 1):
            continue
        explainer = Explainer(replace(model, scaling=scaling), Question(ClassChoice()), len(found))
        for row, answer in zip(rows, explainer.many(squares), strict=True):
            best = []
            for index in answer.ranked(min(look.top_k, _SHOWN)):
                value = answer.probability(index)
                number = answer.score(index) if value is None else value
                best.append(f"{describe(index, model.labels)[1]} {number:.3f}")
            row.append((name, scaling.says, ", ".join(best)))
    if look.json:
        for each, row in zip(found, rows, strict=True):
            for name, says, shown in row:
                values = {"source": each.source, "preprocess": name, "pixels": says, "best": shown}
                sys.stdout.write(jsonlib.dumps(values) + "\n")
        return
    for each, row in zip(found, rows, strict=True):
        say.table(("--preprocess", "pixels become", "predictions"), row, title=each.source)
    say.note(
        "the right scaling gives the right classes on most pictures, seldom the surest; "
        "give it with --preprocess"
    )
