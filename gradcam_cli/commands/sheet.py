"""``gradcam sheet``: the maps of a finished run, many pictures to a page."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.completion import shown_classes, shown_layers, shown_methods
from gradcam_cli.errors import GradcamError

if TYPE_CHECKING:
    from gradcam_cli.render.again import Look
    from gradcam_cli.render.sheet import Row
    from gradcam_cli.sheet.choose import Class
    from gradcam_cli.store.reading import Damaged
    from gradcam_cli.store.records import Record


_MOST_COLUMNS = 40
_FEW = 12


class _Order(str, Enum):
    SUREST = "surest"
    LEAST_SURE = "least-sure"
    NAME = "name"


class _By(str, Enum):
    PICTURE = "picture"
    CLASS = "class"


def sheet(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The output folder of a run, finished or not.", metavar="DIR", show_default=False
        ),
    ],
    classes: Annotated[
        list[str],
        typer.Option(
            "-c",
            "--class",
            help="The class whose maps are shown, by name, WordNet id or index; repeatable. "
            "Without any, each picture's first map is.",
            metavar="CLASS",
            show_default=False,
            autocompletion=shown_classes,
        ),
    ] = [],  # noqa: B006  Typer makes a new one
    output_file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output-file",
            help="The sheet: .png, .svg or .pdf; sheet.png in the folder by default.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        int, typer.Option("--columns", help="Pictures in a row.", min=1, max=_MOST_COLUMNS)
    ] = 5,
    order: Annotated[
        _Order, typer.Option("--order", help="Which pictures come first.")
    ] = _Order.SUREST,
    by: Annotated[
        _By, typer.Option("--by", help="class: a row a class, with its first pictures.")
    ] = _By.PICTURE,
    beside: Annotated[
        bool, typer.Option("--beside", help="Show each picture beside its overlay.")
    ] = False,
    title: Annotated[
        str | None,
        typer.Option("--title", help="The title; the class's name by default.", show_default=False),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="Only maps by this method.",
            show_default=False,
            autocompletion=shown_methods,
        ),
    ] = "",
    layer: Annotated[
        str,
        typer.Option(
            "--layer",
            help="Only maps at this layer.",
            show_default=False,
            autocompletion=shown_layers,
        ),
    ] = "",
) -> None:
    """Make a contact sheet of a run: one class over many pictures, or a row a class.

    No model is loaded: the run's own overlays are shown, so its --class decides what there is.
    Many pictures fill pages of A4: one PDF file, or numbered PNG or SVG files.
    """
    from gradcam_cli.render.lettering import complaints, plain_name
    from gradcam_cli.render.sheet import sheet_pages
    from gradcam_cli.sheet.choose import Choice, chosen, grouped, meant, ordered
    from gradcam_cli.sheet.naming import file_names, made_by
    from gradcam_cli.sheet.pages import (
        check_file,
        class_rows,
        grid_for,
        remove_older,
        rows,
        write_pages,
    )
    from gradcam_cli.sheet.thumbs import Thumbs, problems

    gc.enable()  # pages that are drawn hold each other
    path = output_file or folder / "sheet.png"
    check_file(path)
    records, run = _records(folder)
    wanted = meant(classes, run.classes) if classes else None
    look, asked = _made(folder)
    maps = ordered(chosen(records(), Choice(wanted, method, layer, asked)), order.value)
    if not maps:
        raise GradcamError(
            f"{folder} has no map to show" + _of(method, layer),
            _those(records(), wanted),
        )
    thumbs = Thumbs(folder, look, beside)
    groups = grouped(maps) if by is _By.CLASS else []
    used = max((len(each) for _, each in groups), default=len(maps))
    grid = grid_for(path, columns, beside, len(maps), used)
    names = file_names({each.source for each in maps})
    if groups:
        lines = class_rows(groups, order.value, thumbs, grid, names)
    else:
        lines = rows(maps, thumbs, grid, names, named=len({each.shown for each in maps}) > 1)
    shown = {each.shown[2] for each in maps}
    if title is None:
        title = plain_name(shown.pop()) if len(shown) == 1 and by is _By.PICTURE else ""
    kinds = made_by(maps) if len(run.kinds) > 1 else ""
    counts: list[int] = []
    lines = _counted(lines, counts)
    first = next(lines, None)
    if first is None:
        raise GradcamError(
            f"no map in {folder} can be shown: neither overlays nor pictures are where they were",
            "call it from the folder that the run was started in, or run again",
        )
    pages = sheet_pages(chain([first], lines), grid, title, thumbs.look.colormap, kinds)
    files = write_pages(pages, path, grid)
    older = remove_older(path, files)
    for sentence in (*problems(thumbs), *complaints()):
        say.warn(sentence)
    number = sum(counts)
    more = f" to {files[-1].name}" if len(files) > 1 else ""
    of = f" ({kinds})" if kinds else ""
    say.note(f"{_many(number, 'map')}{of} on {files[0]}{more}")
    asked_for = bool(classes or method or layer)
    if lacking := _lacking(run, len({each.source for each in maps}), asked_for):
        say.note(lacking)
    if older:
        say.note(f"removed {_many(len(older), 'page')} of an earlier sheet of that name")


@dataclass(slots=True)
class _Run:
    """What a run's records have: images, classes that are explained, pairs of method and layer."""

    images: int = 0
    failed: int = 0
    classes: set[Class] = field(default_factory=set)
    kinds: set[tuple[str, str]] = field(default_factory=set)


def _lacking(run: _Run, shown: int, chosen: bool) -> str:
    """Return how many images have no map on the sheet, and why; '' if all have one.

    Where maps were ``chosen``, nobody expects one of every image.
    """
    without = 0 if chosen else run.images - run.failed - shown
    parts = [
        f"{run.failed:,} failed" if run.failed else "",
        f"{without:,} {'has' if without == 1 else 'have'} no map" if without > 0 else "",
    ]
    said = " and ".join(filter(None, parts))
    return f"of {_many(run.images, 'picture')}, {said}" if said else ""


def _counted(rows: Iterator[Row], counts: list[int]) -> Iterator[Row]:
    """Yield rows, and note how many maps each has."""
    for row in rows:
        counts.append(len(row.places))
        yield row


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _records(folder: Path) -> tuple[Callable[[], Iterator[Record]], _Run]:
    """Return what reads a run's records once more, and what they have.

    Damaged lines, and records of other settings, are warned of.
    """
    from gradcam_cli.store.reading import damage, read_folder

    damaged: dict[Path, list[Damaged]] = {}
    run = _Run()
    settings: set[str] = set()
    for record in read_folder(folder, lambda line: damaged.setdefault(line.path, []).append(line)):
        run.images += 1
        run.failed += record.failed
        run.classes |= {(item.index, item.id, item.name) for item in record.explanations}
        run.kinds |= {(item.method, item.layer) for item in record.explanations}
        settings |= {record.settings} if record.explanations else set()
    for lines in damaged.values():
        say.warn(f"{damage(lines)} and left out; the same run again does those pictures again")
    if len(settings) > 1:
        say.warn(f"the maps in {folder} were made with {len(settings)} different settings")
    return lambda: read_folder(folder), run


def _made(folder: Path) -> tuple[Look, tuple[str, ...]]:
    """Return how the run drew its overlays, and its methods, the one asked for first at first."""
    from gradcam_cli.render.again import Look
    from gradcam_cli.store.reading import manifests
    from gradcam_cli.store.runfile import read_run, run_name

    runs = (read_run(folder / run_name(each.name)) for each in manifests(folder))
    return next(((Look.of(run.settings), run.methods) for run in runs if run), (Look(), ()))


def _those(records: Iterator[Record], wanted: frozenset[int] | None) -> str:
    """Return by which methods and at which layers there are maps of the classes."""
    items = [
        item
        for record in records
        for item in record.explanations
        if wanted is None or item.index in wanted
    ]
    if not items:
        return "run with --class CLASS first"
    methods, layers = ({getattr(item, part) for item in items} for part in ("method", "layer"))
    return f"there are maps by {_few(methods)}, at {_few(layers)}"


def _few(names: set[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(sorted(names)[:_FEW]) + more


def _of(method: str, layer: str) -> str:
    parts = [f"by {method}" if method else "", f"at {layer}" if layer else ""]
    return "".join(f" {part}" for part in parts if part)
