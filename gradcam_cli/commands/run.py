"""``gradcam run`` and ``gradcam predict``: pictures become predictions, heatmaps, a manifest."""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.interrupts import heeding, stopping
from gradcam_cli.commands.options import (
    AskOptions,
    DrawOptions,
    LookOptions,
    ModelOption,
    OpenOptions,
    Sources,
)
from gradcam_cli.commands.request import kinds, model_choice, settings, shard
from gradcam_cli.commands.selection import BatchOptions, SelectOptions
from gradcam_cli.commands.tally import Tally, counted
from gradcam_cli.commands.tryout import try_scalings
from gradcam_cli.commands.values import Precision
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.images.endings import advice

if TYPE_CHECKING:
    from gradcam_cli.batch.manifest import Manifest
    from gradcam_cli.batch.pipeline import Stages
    from gradcam_cli.batch.records import Kept, Record, Settings
    from gradcam_cli.explain import Explainer, Question
    from gradcam_cli.images.find import Found
    from gradcam_cli.models.choice import ModelChoice
    from gradcam_cli.models.load import Model

__all__ = ["predict", "run"]

_USUAL = 16
_ENOUGH = 256
"""Pictures that are worth trying a few batch sizes first."""


@flat
def run(
    sources: Sources,
    which: ModelOption,
    opening: OpenOptions,
    ask: AskOptions,
    draw: DrawOptions,
    look: LookOptions,
    batch: BatchOptions,
    select: SelectOptions,
) -> None:
    """Print predictions, and write heatmaps and a manifest.

    Every picture is predicted and explained with Grad-CAM: the heatmap shows where the network
    found its evidence for the class. Heatmaps and manifest.jsonl go to the output folder; a run
    that was interrupted goes on where it stopped.
    """
    from gradcam_cli.batch.manifest import open_manifest
    from gradcam_cli.batch.reading import manifest_name
    from gradcam_cli.images.find import check_output
    from gradcam_cli.images.render import colour_table

    colour_table(draw.colormap)
    kinds(draw.save)
    part = shard(select.shard)
    choice = model_choice(which.model, opening)
    tally = Tally(draw.output_dir)
    pictures = _some(_walk(sources, select, draw.output_dir, tally.unread), sources, tally)
    if opening.preprocess == "try":
        try_scalings(pictures, choice, look)
        return
    made = not draw.output_dir.exists()
    check_output(sources, draw.output_dir)
    if made or batch.overwrite:  # nothing is done, so the network will be needed
        _import_beside_hashing(choice)
    wanted = settings(choice, look, ask, draw)
    name = manifest_name(part)
    if batch.no_resume:
        _check_unused(draw.output_dir, name)
    opened = open_manifest(
        draw.output_dir, wanted.digest(), name=name, overwrite=batch.overwrite, made=made
    )
    with opened as manifest:
        for sentence in manifest.warnings:
            say.warn(sentence)
        rest = _not_done(pictures, manifest, tally)
        before, first = _first_left(rest)
        if first is not None:
            count = partial(_count, sources, select, draw.output_dir)
            left = chain(before, [first], rest)
            _go(left, count, choice, wanted, look, ask, manifest, tally, batch)
        else:
            for kept in before:
                _show_again(kept, look, manifest)
    raise typer.Exit(tally.end(look.quiet, batch.fail_on_empty))


@flat
def predict(
    sources: Sources,
    which: ModelOption,
    opening: OpenOptions,
    look: LookOptions,
    select: SelectOptions,
) -> None:
    """Print predictions only; nothing is written."""
    choice = model_choice(which.model, opening)
    tally = Tally(None)
    pictures = _some(_walk(sources, select, None, tally.unread), sources, tally)
    if opening.preprocess == "try":
        try_scalings(pictures, choice, look)
        return
    _import_beside_hashing(choice)
    wanted = settings(choice, look, None, None)
    count = partial(_count, sources, select)
    _go(pictures, count, choice, wanted, look, None, None, tally, BatchOptions())
    raise typer.Exit(tally.end(look.quiet))


def _walk(
    sources: Sequence[str], select: SelectOptions, output: Path | None, unread: Counter[str]
) -> Iterator[Found]:
    from gradcam_cli.batch.select import selected
    from gradcam_cli.images.find import find_pictures
    from gradcam_cli.images.lists import piped

    stdin = piped(sys.stdin.buffer) if "-" in sources and sys.stdin else None  # None when closed
    found = find_pictures(sources, stdin, nul=select.nul, output_dir=output)
    aside = None if select.strict_types else unread
    part = shard(select.shard)
    return selected(found, select.include, select.exclude, select.limit, part, aside)


def _some(pictures: Iterator[Found], sources: Sequence[str], tally: Tally) -> Iterator[Found]:
    """Return the pictures, having looked for the first; ends the command when there is none."""
    first = next(pictures, None)
    if first is None:
        say.error(_no_picture(", ".join(sources[:3]), tally.unread))
        raise typer.Exit(ExitCode.NO_PICTURE)
    return chain([first], pictures)


def _no_picture(named: str, unread: Counter[str]) -> GradcamError:
    if unread:
        return GradcamError(f"no picture in {named} can be read: {counted(unread)}", advice(unread))
    return GradcamError(
        f"no picture in {named}",
        "jpg, png, webp, tif, bmp and gif are looked for; --include, --exclude and --shard may "
        "have left none",
    )


def _count(sources: Sequence[str], select: SelectOptions, output: Path | None = None) -> int:
    """Count the pictures for the bar; 0 with a list that can be read only once."""
    for source in sources:
        if source == "-" or (source.startswith("@") and not Path(source[1:]).is_file()):
            return 0
    return sum(1 for _ in _walk(sources, select, output, Counter()))


def _check_unused(folder: Path, name: str) -> None:
    """Refuse a folder that anything but other shards of this run has written to."""
    from gradcam_cli.batch.reading import MANIFEST

    theirs = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if (folder / name).exists() or (theirs and name == MANIFEST):
        raise GradcamError(
            f"{folder} is not empty",
            "leave out --no-resume to go on with an earlier run, or give --overwrite to start anew",
        )


def _not_done(
    pictures: Iterator[Found], manifest: Manifest, tally: Tally
) -> Iterator[Found | Kept]:
    for found in pictures:
        kept = manifest.done(found)
        if kept is not None:
            tally.resumed += 1
            tally.empty += kept.empty
        yield kept or found


def _first_left(rest: Iterator[Found | Kept]) -> tuple[list[Kept], Found | None]:
    """Return the first picture that has to be done, and all that are done before it."""
    from gradcam_cli.batch.records import Kept

    before: list[Kept] = []
    for item in rest:
        if not isinstance(item, Kept):
            return before, item
        before.append(item)
    return before, None


def _go(
    pictures: Iterator[Found | Kept],
    count: Callable[[], int],
    choice: ModelChoice,
    wanted: Settings,
    look: LookOptions,
    ask: AskOptions | None,
    manifest: Manifest | None,
    tally: Tally,
    batch: BatchOptions,
) -> None:
    _hash_ahead(choice)
    with heeding():
        from gradcam_cli.batch.pipeline import Stages, stream
        from gradcam_cli.batch.records import Kept
        from gradcam_cli.batch.steps import plan_for
        from gradcam_cli.images.room import reuse_memory
        from gradcam_cli.models.load import load

        model = load(choice)
    reuse_memory()
    gc.freeze()
    gc.enable()
    _tell(model, look.quiet)
    long, pictures = _is_long(pictures)
    trace = _tracer(model, ask, long)
    plan = plan_for(model, wanted, manifest.folder if manifest else None)
    told = set(plan.notes)
    size, trace, pictures = _sized(look, manifest, trace, pictures)
    stages = Stages()
    with ExitStack() as stack:
        stop = stack.enter_context(stopping())
        tick = stack.enter_context(say.progress(count, tally.resumed, look.quiet))
        stack.enter_context(_counted(tally))
        stack.callback(_tell_memory, stages)
        order: deque[Found | Kept] = deque()
        records = stream(_noted(pictures, order), plan, trace, size, stop, stages)
        for record in _in_order(stack.enter_context(closing(records)), order):
            if isinstance(record, Kept):
                _show_again(record, look, manifest)
                continue
            if manifest:
                manifest.append(record)
            tally.add(record)
            _show(record, look)
            _tell_once(record, told)
            tick()
            if batch.max_failures and tally.failures >= batch.max_failures:
                stop.set()
                tally.gave_up = True
    tally.slowest = stages.slowest()
    tally.interrupted = 0 if tally.gave_up else stop.number


def _sized(
    look: LookOptions,
    manifest: Manifest | None,
    trace: Callable[[int], Explainer],
    pictures: Iterator[Found | Kept],
) -> tuple[int, Callable[[int], Explainer], Iterator[Found | Kept]]:
    """Return the batch size, and what traces for it.

    ``auto`` goes on with the size that most pictures were done with before, so that the numbers
    are those of one uninterrupted run, and tries sizes only where there is enough work to gain by
    it.
    """
    if look.batch_size != "auto":
        return int(look.batch_size), trace, pictures
    from gradcam_cli.batch.records import Kept
    from gradcam_cli.batch.sizing import try_sizes

    for before, count in manifest.batch_sizes.most_common(1) if manifest else ():
        if before and count >= _ENOUGH:
            return before, trace, pictures
    ahead = list(islice(pictures, _ENOUGH))
    pictures = chain(ahead, pictures)
    left = sum(not isinstance(item, Kept) for item in ahead)
    tried = try_sizes(trace) if left == _ENOUGH else None
    if tried is None:
        return _USUAL, trace, pictures
    size = tried.batch_size
    if not look.quiet:
        say.note(f"batches of up to {size}")
    return size, lambda wanted: tried if wanted == size else trace(wanted), pictures


def _tell_once(record: Record, told: set[str]) -> None:
    """Warn of what a record's notes say and no record before it said; all of them carry it."""
    from gradcam_cli.batch.steps import UNPLACED

    for sentence in record.notes:
        if sentence not in told:
            told.add(sentence)
            say.warn(sentence if sentence == UNPLACED else f"{record.source}: {sentence}")


def _tell_memory(stages: Stages) -> None:
    if stages.too_large:
        say.warn(f"batches of {stages.too_large} do not fit into memory; smaller ones were tried")


@contextmanager
def _counted(tally: Tally) -> Iterator[None]:
    """Say how far a run came that an error ends."""
    try:
        yield
    except Exception:
        if tally.done or tally.failed:
            say.note(tally.sentence())
        raise


def _import_beside_hashing(choice: ModelChoice) -> None:
    """Import TensorFlow while the user's weights file is hashed, if that takes long."""
    from gradcam_cli.models.digest import hash_ahead

    choice.check()
    path = choice.own_file()
    if path is not None and hash_ahead(path):
        with heeding():
            import gradcam_cli.explain  # noqa: F401


def _hash_ahead(choice: ModelChoice) -> None:
    """Check the weights while TensorFlow is being imported."""
    from gradcam_cli.models.catalog import find
    from gradcam_cli.models.choice import is_file, is_preset
    from gradcam_cli.models.weights import hash_ahead

    named = not is_file(choice.model) and not is_preset(choice.model)
    if choice.weights == "imagenet" and named:
        hash_ahead(find(choice.model))


def _tell(model: Model, quiet: bool) -> None:
    for sentence in model.warnings:
        say.warn(sentence)
    if not quiet:
        for sentence in model.notes:
            say.note(sentence)


def _is_long(pictures: Iterator[Found | Kept]) -> tuple[bool, Iterator[Found | Kept]]:
    """Tell whether freezing the network pays, and return the pictures again, all of them.

    The list alone decides, those done before included: a run that goes on gives the numbers of an
    uninterrupted one.
    """
    from gradcam_cli.explain import WORTH_FREEZING

    ahead = list(islice(pictures, WORTH_FREEZING))
    return len(ahead) == WORTH_FREEZING, chain(ahead, pictures)


def _tracer(model: Model, ask: AskOptions | None, freeze: bool) -> Callable[[int], Explainer]:
    from gradcam_cli.explain import Explainer
    from gradcam_cli.network.precision import has_bfloat16

    question = _question(model, ask)
    precision = ask.precision if ask else Precision.float32
    if precision is Precision.bfloat16 and not has_bfloat16():
        say.warn("this processor has no bfloat16; the network computes in float32")
    return partial(Explainer, model, question, precision=precision.value, freeze=freeze)


def _question(model: Model, ask: AskOptions | None) -> Question:
    from gradcam_cli.explain import Question
    from gradcam_cli.models.classes import ClassChoice, parse_classes

    if ask is None:
        return Question(ClassChoice(0, ()))
    classes = parse_classes(ask.classes, model.labels, max(model.classes, 2))
    return Question(classes, ask.layer, ask.call, ask.method, ask.score.value)


def _noted(pictures: Iterator[Found | Kept], order: deque[Found | Kept]) -> Iterator[Found | Kept]:
    for item in pictures:
        order.append(item)
        yield item


def _in_order(records: Iterator[Record], order: deque[Found | Kept]) -> Iterator[Record | Kept]:
    """Put the pictures that were done before back between the records of the others."""
    from gradcam_cli.batch.records import Kept

    for record in records:
        while isinstance(first := order[0], Kept):
            order.popleft()
            yield first
        order.popleft()
        yield record
    for item in order:
        if isinstance(item, Kept):
            yield item


def _show(record: Record, look: LookOptions) -> None:
    if look.json:
        _print(record.to_json())
    elif not look.quiet or record.failed:
        say.predictions(record)


def _show_again(kept: Kept, look: LookOptions, manifest: Manifest | None) -> None:
    """Print the record of an earlier run: as JSON, all of them belong together."""
    if look.json and manifest:
        _print(manifest.line(kept))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
