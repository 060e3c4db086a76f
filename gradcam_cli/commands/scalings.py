"""``gradcam scalings``: a few images go through every scaling, for the user to compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.options import PrintOptions, SelectOptions, Sources
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec

if TYPE_CHECKING:
    from gradcam_cli.engine.steps import Prepared
    from gradcam_cli.models.load import Model
    from gradcam_cli.sources.find import Found

_IMAGES = 4
_SHOWN = 3
_ALSO_BGR = ("none", "unit", "tf", "torch")
"""Scalings that go with images read by OpenCV."""


@flat
def scalings(
    sources: Sources,
    model: ModelSpec,
    images: ImageSpec,
    printing: PrintOptions,
    select: SelectOptions,
) -> None:
    """Show a few images' predictions under every scaling of pixels, to find a model's own."""
    from gradcam_cli.commands.listing import listed

    try_scalings(listed(sources, select).found, model, images, printing)


def try_scalings(
    found: Iterable[Found], model: ModelSpec, images: ImageSpec, printing: PrintOptions
) -> None:
    """Print what a model says of the first images under each row of SCALINGS.

    Where they would fit the network's input only if they were transposed, under each row so, too.
    """
    from gradcam_cli.engine.files import does_not_fit
    from gradcam_cli.models.load import load

    if model.mean or model.std:
        raise GradcamError("the named scalings alone are shown", "leave out --mean and --std")
    loaded = load(replace(model, preprocess="auto", channels="auto"), only_shown=True)
    prepared = []
    for item in _prepared(islice(found, _IMAGES), loaded, images):
        if isinstance(item, tuple):
            say.warn(f"{item[0]}: {item[1]}")
        else:
            prepared.append(item)
    if not prepared:
        raise typer.Exit(ExitCode.NO_PICTURE)
    shown = min(images.top_k, _SHOWN)
    rows = _rows(loaded, prepared, shown)
    for row, more in zip(rows, _transposed(loaded, prepared, images, shown), strict=False):
        row += [(f"{name} --transpose", says, best) for name, says, best in more]
    for item, row in zip(prepared, rows, strict=True):
        _show(item.source.source, row, printing.json)
    said = (each for item in prepared for each in does_not_fit(item, loaded, images.resize))
    for sentence in dict.fromkeys(said):
        say.warn(sentence)
    if not printing.json:
        say.note(
            "the right scaling gives the right classes on most pictures, seldom the surest; "
            "give it with --preprocess (and --channels, where it says so)"
        )


def _prepared(
    found: Iterable[Found], model: Model, images: ImageSpec
) -> Iterator[Prepared | tuple[str, str]]:
    """Yield images fitted to a network, or their sources and what is wrong with them."""
    from gradcam_cli.engine.steps import Failed, Held, prepare

    held = Held()
    for each in found:
        item = prepare(each, model, images, held)
        if isinstance(item, Failed):
            yield each.source, item.error.message
        else:
            yield item


def _transposed(
    model: Model, prepared: Sequence[Prepared], images: ImageSpec, shown: int
) -> list[list[tuple[str, str, str]]]:
    """Return each image's rows when transposed; none where that is done, or gains nothing."""
    from gradcam_cli.engine.files import does_not_fit

    fit = [not does_not_fit(item, model, images.resize) for item in prepared]
    if model.ports.transposed or all(fit):
        return []
    model = replace(model, ports=model.ports.turned(), found=None)
    again = [
        item
        for item in _prepared((each.source for each in prepared), model, images)
        if not isinstance(item, tuple) and not does_not_fit(item, model, images.resize)
    ]
    return _rows(model, again, shown) if len(again) == len(prepared) else []


def _rows(
    model: Model, prepared: Sequence[Prepared], shown: int
) -> list[list[tuple[str, str, str]]]:
    """Return each image's rows: a scaling, what it does, the likeliest classes."""
    from gradcam_cli.explainer import traced
    from gradcam_cli.models.classes import describe
    from gradcam_cli.models.scaling import SCALINGS, of_bgr

    rows: list[list[tuple[str, str, str]]] = [[] for _ in prepared]
    ways = [(name, scaling) for name, scaling in SCALINGS.items()]
    ways += [(f"{name} --channels bgr", of_bgr(SCALINGS[name])) for name in _ALSO_BGR]
    for name, scaling in ways:
        if model.ports.channels == 1 and (scaling.bgr or len(scaling.mean) > 1):
            continue
        explainer = traced(replace(model, scaling=scaling), None, len(prepared))
        answers = explainer.many([item.input for item in prepared])
        for row, answer in zip(rows, answers, strict=True):
            best = []
            for index in answer.ranked(shown):
                value = answer.probability(index)
                number = answer.score(index) if value is None else value
                best.append(f"{describe(index, model.labels)[1]} {number:.3f}")
            row.append((name, scaling.says, ", ".join(best)))
    return rows


def _show(source: str, rows: Sequence[tuple[str, str, str]], json: bool) -> None:
    if not json:
        say.table(("--preprocess", "pixels become", "predictions~"), rows, title=source)
        return
    for name, says, best in rows:
        name, _, channels = name.partition(" --channels ")
        values = {
            "source": source,
            "preprocess": name,
            "channels": channels or "rgb",
            "pixels": says,
            "best": best,
        }
        say.json_line(values)
