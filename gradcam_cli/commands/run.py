"""``gradcam run`` and ``gradcam predict``: images become predictions, heatmaps, a manifest."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.costs import costs, say_cautions, say_passes
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.interrupts import heeding, stopping
from gradcam_cli.commands.listing import listed
from gradcam_cli.commands.options import (
    BatchOptions,
    OutputOptions,
    PrintOptions,
    SelectOptions,
    Sources,
)
from gradcam_cli.commands.report import page_after, report_after
from gradcam_cli.commands.scalings import try_scalings
from gradcam_cli.commands.show import check_shown, show
from gradcam_cli.commands.tally import Tally
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec, digest
from gradcam_cli.spec.setting import typed

if TYPE_CHECKING:
    from gradcam_cli.engine.files import Recorder
    from gradcam_cli.explainer import Explainer
    from gradcam_cli.models.load import Model
    from gradcam_cli.store.manifest import Manifest
    from gradcam_cli.store.records import Done, Record
    from gradcam_cli.store.runfile import Classes


_MOST_WORDS = 1000
_DAILY = (
    *("model", "labels", "preprocess"),
    *("classes", "layers", "methods"),
    *("output_dir", "save", "intensity", "report"),
)


@partial(flat, daily=_DAILY)
def run(
    sources: Sources,
    model: ModelSpec,
    explain: ExplainSpec,
    output: OutputOptions,
    draw: DrawSpec,
    images: ImageSpec,
    printing: PrintOptions,
    batch: BatchOptions,
    select: SelectOptions,
) -> None:
    """Print predictions, and write heatmaps and a manifest.

    Every picture is predicted and explained with Grad-CAM: the heatmap shows where the network
    found its evidence for the class. Heatmaps and manifest.jsonl go to the output folder; a run
    that was interrupted goes on where it stopped.
    """
    from gradcam_cli.explaining.methods import check_methods
    from gradcam_cli.render.artifacts import check_kinds, shows_all_maps
    from gradcam_cli.render.colours import colour_table
    from gradcam_cli.store.folder import open_manifest
    from gradcam_cli.store.names import check_output, stems

    check_kinds(draw.save)
    colour_table(draw.colormap)
    check_methods(explain)
    colour_table(draw.figure_colormap)
    if output.show:
        check_shown(draw.save)
    folder = output.output_dir
    page = page_after(folder) if output.report or output.open else None
    every, found, unread = listed(sources, select, folder)
    tally = Tally(folder, unread=unread)
    if model.preprocess == "try":
        try_scalings(found, model, images, printing)
        return
    made, names = not folder.exists(), stems(every)
    if made or batch.overwrite:  # nothing is done, so the network will be needed
        _import_beside_hashing(model)
    spec = RunSpec(model, images, explain, draw)
    settings = _settings(spec)
    check_output(sources, found, names, folder)  # makes the folder
    with open_manifest(
        folder,
        settings,
        names,
        methods=tuple(dict.fromkeys(explain.methods)),
        command=_command(sources, spec, select, folder),
        shard=select.shard,
        overwrite=batch.overwrite,
        resume=not batch.no_resume,
        made=made,
    ) as store:
        _say_changes(store, printing.quiet)
        if not shows_all_maps(draw.save):  # of those, each shows all methods' maps
            spec = replace(spec, explain=replace(explain, methods=store.missing(found)))
        shown = folder if output.show else None
        _go(spec, map(store.place, found), len(found), store, printing, batch, tally, shown)
        _say_displaced(store)
    _say_letters(draw)
    code = tally.end(printing.quiet, batch.fail_on_empty, shown=page is not None)
    if page and not tally.interrupted:
        report_after(folder, page, printing.quiet, output.open)
    raise typer.Exit(code)


@flat
def predict(
    sources: Sources,
    model: ModelSpec,
    images: ImageSpec,
    printing: PrintOptions,
    select: SelectOptions,
) -> None:
    """Print predictions only; nothing is written."""
    _, found, unread = listed(sources, select)
    tally = Tally(None, unread=unread)
    if model.preprocess == "try":
        try_scalings(found, model, images, printing)
        return
    _import_beside_hashing(model)
    spec = RunSpec(model, images, explain=None)
    _go(spec, found, len(found), None, printing, BatchOptions(), tally)
    raise typer.Exit(tally.end(printing.quiet))


def _command(
    sources: Iterable[str], spec: RunSpec, select: SelectOptions, folder: Path
) -> list[str]:
    """Return what has to be typed for a run, its folder last; nothing where that is too much."""
    named = [f"./{each}" if each.startswith("-") and each != "-" else each for each in sources]
    groups = (spec.model, spec.explain, spec.draw, spec.images, select)
    options = [word for group in groups for word in typed(group)]
    words = ["gradcam", "run", *named, *options, "-o", str(folder)]
    return words if len(words) <= _MOST_WORDS else []


def _settings(spec: RunSpec) -> dict[str, object]:
    """Return all that decides a run's results, files by their content."""
    from gradcam_cli.models.choice import deciding_settings
    from gradcam_cli.render.artifacts import shows_all_maps

    settings = deciding_settings(spec)
    if spec.explain and shows_all_maps(spec.draw.save):
        settings["methods"] = sorted(spec.explain.methods)
    return settings


def _go(
    spec: RunSpec,
    places: Iterable[Found | Done],
    count: int,
    store: Manifest | None,
    printing: PrintOptions,
    batch: BatchOptions,
    tally: Tally,
    shown: Path | None = None,
) -> None:
    """Take every place of the list to its end, and print and count it.

    ``shown`` is the folder whose overlays are shown in the terminal.
    """
    from gradcam_cli.store.records import Done

    before, rest = _first_left(iter(places), tally)
    for done in before:
        _print_again(done, printing, store, shown)
    if rest is None:
        return
    explainer, recorder = _ready(spec, count, store, printing.quiet)
    with ExitStack() as stack:
        from gradcam_cli.engine.local import Stages, stream
        from gradcam_cli.engine.steps import Failed

        stages, stop = Stages(), stack.enter_context(stopping())
        tick = stack.enter_context(say.progress(count, len(before), printing.quiet))
        stack.enter_context(_counted(tally))
        told = {*explainer.model.notes, *explainer.model.warnings}
        behind = chain(before, rest) if before else rest  # the list alone decides the blocks
        passes = stack.enter_context(costs(count - len(before), printing.quiet))
        outcomes = stream(behind, explainer, spec.images, recorder, stop, stages, passes)
        for place, outcome in enumerate(stack.enter_context(closing(outcomes))):
            if isinstance(outcome, Done):
                if place >= len(before):
                    tally.before(outcome)
                    _print_again(outcome, printing, store, shown)
                    tick()
                continue
            record = recorder.failed(outcome) if isinstance(outcome, Failed) else outcome
            if store:
                record = store.append(record)
            tally.add(record)
            _print(record, printing, told, shown)
            tick()
            if batch.max_failures and tally.failures >= batch.max_failures:
                stop.set()
                tally.gave_up = True
    tally.slowest = stages.slowest()
    tally.interrupted = 0 if tally.gave_up else stop.number


def _first_left(
    places: Iterator[Found | Done], tally: Tally
) -> tuple[list[Done], Iterator[Found | Done] | None]:
    """Return all that is done before the first image with work left, and the rest, if any."""
    from gradcam_cli.store.records import Done

    before: list[Done] = []
    for place in places:
        if not isinstance(place, Done):
            return before, chain([place], places)
        before.append(place)
        tally.before(place)
    return before, None


def _ready(
    spec: RunSpec, count: int, store: Manifest | None, quiet: bool
) -> tuple[Explainer, Recorder]:
    """Load the model, decide how it computes, and return what explains and what records."""
    _hash_ahead(spec.model)
    with heeding():
        from gradcam_cli.engine.decide import decided
        from gradcam_cli.engine.files import Recorder
        from gradcam_cli.models.load import load
        from gradcam_cli.process.memory import reuse_memory

        model = load(spec.model)
    reuse_memory()
    gc.freeze()
    gc.enable()
    _say_notes(model, quiet)
    earlier = store.batch_size if store else 0
    if store and store.precision:
        spec = _as_before(spec, store.precision)
    explainer = decided(model, spec, count, earlier)
    _say_precision(spec)
    if not quiet:
        say_passes(explainer.facts)
        say_cautions(explainer.facts, explainer.request.methods)
    _say_batch_size(spec, count, explainer, quiet or bool(earlier))
    if store is None:
        return explainer, Recorder(explainer.model, spec, digest(_settings(spec)))
    store.decided(
        batch_size=explainer.facts.batch_size,
        precision=explainer.facts.precision,
        classes=_classes(model),
    )
    return explainer, Recorder(explainer.model, spec, store.settings, store.folder, store.stem)


def _classes(model: Model) -> Classes:
    """Return the model's own classes; None for those of ImageNet, which are known."""
    from gradcam_cli.models.labels import imagenet_labels

    names, ids = model.labels.names, model.labels.ids
    if names == imagenet_labels().names:
        return None
    return tuple(zip(ids or [""] * len(names), names, strict=True)) or model.classes


def _as_before(spec: RunSpec, precision: str) -> RunSpec:
    """Return what is asked with the precision that ``auto`` found before: no part differs."""
    if spec.explain is None or spec.explain.precision != "auto":
        return spec
    found: Literal["bfloat16", "float32"] = "bfloat16" if precision == "bfloat16" else "float32"
    return replace(spec, explain=replace(spec.explain, precision=found))


def _say_notes(model: Model, quiet: bool) -> None:
    for sentence in model.warnings:
        say.warn(sentence)
    if not quiet:
        for sentence in model.notes:
            say.note(sentence)


def _say_changes(store: Manifest, quiet: bool) -> None:
    for sentence in store.warnings:
        say.warn(sentence)
    if store.changed and not quiet:
        say.note(f"what was made with other settings is done again: {'; '.join(store.changed)}")


def _say_displaced(store: Manifest) -> None:
    if store.displaced:
        count, first = len(store.displaced), store.displaced[0]
        more = f" and {count - 1} more" if count > 1 else ""
        say.warn(f"files of the same name were replaced, which showed {first}{more} before")


def _say_letters(draw: DrawSpec) -> None:
    """Say which letters of class names could not be drawn."""
    if "panel" in draw.save:
        from gradcam_cli.render.lettering import complaints

        for sentence in complaints():
            say.warn(sentence)


def _say_precision(spec: RunSpec) -> None:
    from gradcam_cli.network.precision import has_bfloat16

    if spec.explain and spec.explain.precision == "bfloat16" and not has_bfloat16():
        say.warn("this processor has no bfloat16; the network computes in float32")


def _say_batch_size(spec: RunSpec, count: int, explainer: Explainer, quiet: bool) -> None:
    from gradcam_cli.cam.methods import has_passes
    from gradcam_cli.engine.decide import WORTH_TRYING

    if has_passes(explainer.request.methods):  # they take one image at a time
        return
    size, asked = explainer.facts.batch_size, spec.images.batch_size
    if asked == "auto":
        if not quiet and count >= WORTH_TRYING:
            say.note(f"batches of up to {size}")
    elif size < min(int(asked), count) and not explainer.model.ports.batch:
        say.warn(f"batches of {asked} do not fit into memory: they have {size} pictures")


@contextmanager
def _counted(tally: Tally) -> Iterator[None]:
    """Say how far a run came that an error ends."""
    try:
        yield
    except Exception:
        if tally.done or tally.failed:
            say.note(tally.sentence())
        raise


def _import_beside_hashing(spec: ModelSpec) -> None:
    """Import TensorFlow while the user's weights file is hashed, if that takes long."""
    from gradcam_cli.models.choice import check_files, own_file
    from gradcam_cli.models.digest import hash_ahead

    check_files(spec)
    path = own_file(spec)
    if path is not None and hash_ahead(path):
        with heeding():
            import gradcam_cli.explainer  # noqa: F401


def _hash_ahead(spec: ModelSpec) -> None:
    """Check the weights while TensorFlow is being imported."""
    from gradcam_cli.models.catalog import find
    from gradcam_cli.models.choice import is_file, is_preset
    from gradcam_cli.models.weights import hash_ahead

    named = not is_file(spec.model) and not is_preset(spec.model)
    if spec.weights == "imagenet" and named:
        hash_ahead(find(spec.model))


def _print(
    record: Record, printing: PrintOptions, told: set[str], shown: Path | None = None
) -> None:
    """Print a record, and warn of what no record before it said."""
    from gradcam_cli.engine.files import UNPLACED

    if printing.json:
        say.line(record.to_json())
    elif not printing.quiet or record.failed:
        say.predictions(record, table=not (shown and show(record, shown)))
    for sentence in record.notes:
        if sentence not in told:
            told.add(sentence)
            say.warn(sentence if sentence == UNPLACED else f"{record.source}: {sentence}")


def _print_again(
    done: Done, printing: PrintOptions, store: Manifest | None, shown: Path | None
) -> None:
    """Print the record of an earlier run: as JSON, all of them belong together."""
    from gradcam_cli.store.records import Record

    if printing.json and store:
        say.line(store.line(done))
    elif shown and store and not printing.quiet:
        show(Record.from_json(store.line(done)), shown)
