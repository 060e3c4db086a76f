"""``gradcam run`` and ``gradcam predict``: pictures become predictions, heatmaps, a manifest."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.options import (
    AskOptions,
    DrawOptions,
    LookOptions,
    ModelOption,
    OpenOptions,
    Sources,
    flat,
)
from gradcam_cli.commands.request import kinds, model_choice, settings
from gradcam_cli.errors import ExitCode, GradcamError

if TYPE_CHECKING:
    from gradcam_cli.batch.records import Record
    from gradcam_cli.explain import Question
    from gradcam_cli.images.find import Found
    from gradcam_cli.models.load import Model

__all__ = ["predict", "run"]


@flat
def run(
    sources: Sources,
    which: ModelOption,
    opening: OpenOptions,
    ask: AskOptions,
    draw: DrawOptions,
    look: LookOptions,
) -> None:
    """Print predictions, and write heatmaps and a manifest.

    Every picture is predicted and explained with Grad-CAM: the heatmap shows where the network
    found its evidence for the class. Heatmaps and manifest.jsonl go to the output folder.
    """
    from gradcam_cli.images.find import check_output
    from gradcam_cli.images.render import colour_table

    colour_table(draw.colormap)
    kinds(draw.save)
    pictures = _pictures(sources)
    check_output(sources, draw.output_dir)
    _go(pictures, sources, which, opening, look, ask, draw)


@flat
def predict(sources: Sources, which: ModelOption, opening: OpenOptions, look: LookOptions) -> None:
    """Print predictions only; nothing is written."""
    _go(_pictures(sources), sources, which, opening, look, None, None)


def _pictures(sources: Sequence[str]) -> Iterator[Found]:
    """Return the pictures, having looked for the first; raises GradcamError when there is none."""
    pictures = _walk(sources)
    first = next(pictures, None)
    if first is None:
        named = ", ".join(sources[:3])
        say.error(
            GradcamError(f"no picture in {named}", "jpg, png, webp, tif, bmp, gif are looked for")
        )
        raise typer.Exit(ExitCode.NO_PICTURE)
    return chain([first], pictures)


def _walk(sources: Sequence[str]) -> Iterator[Found]:
    from gradcam_cli.images.find import find_pictures

    return find_pictures(sources, sys.stdin.buffer if "-" in sources else None)


def _go(
    pictures: Iterator[Found],
    sources: Sequence[str],
    which: ModelOption,
    opening: OpenOptions,
    look: LookOptions,
    ask: AskOptions | None,
    draw: DrawOptions | None,
) -> None:
    from gradcam_cli.batch.pipeline import stream
    from gradcam_cli.batch.records import Manifest
    from gradcam_cli.batch.steps import Plan
    from gradcam_cli.explain import Explainer
    from gradcam_cli.models.load import load

    model = load(model_choice(which.model, opening))
    _tell(model, look.quiet)
    question = _question(model, ask)
    output = draw.output_dir if draw else None
    plan = Plan(settings(model, look, ask, draw), model.labels, model.ports.channels, output=output)
    tally = Tally()
    with ExitStack() as stack:
        manifest = stack.enter_context(Manifest(output)) if output else None
        tick = stack.enter_context(say.progress(_counter(sources), look.quiet))
        for record in stream(pictures, plan, partial(Explainer, model, question), look.batch_size):
            if manifest:
                manifest.append(record)
            _show(record, look)
            tally.add(record)
            tick()
    if not look.quiet:
        say.note(tally.sentence(output))
    raise typer.Exit(tally.exit_code())


def _tell(model: Model, quiet: bool) -> None:
    for sentence in model.warnings:
        say.warn(sentence)
    if not quiet:
        for sentence in model.notes:
            say.note(sentence)


def _question(model: Model, ask: AskOptions | None) -> Question:
    from gradcam_cli.explain import Question
    from gradcam_cli.models.classes import ClassChoice, parse_classes

    if ask is None:
        return Question(ClassChoice(0, ()))
    classes = parse_classes(ask.classes, model.labels, max(model.classes, 2))
    return Question(classes, ask.layer, ask.method, ask.score.value)


def _counter(sources: Sequence[str]) -> Callable[[], int]:
    """Return what counts the pictures; a list on standard input can be read only once."""
    return lambda: 0 if "-" in sources else sum(1 for _ in _walk(sources))


def _show(record: Record, look: LookOptions) -> None:
    if look.json:
        sys.stdout.write(record.to_json() + "\n")
        sys.stdout.flush()
    elif not look.quiet or record.failed:
        say.predictions(record)


@dataclass
class Tally:
    """How many pictures ended how; decides the exit code."""

    done: int = 0
    empty: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count one record."""
        if record.error is not None:
            self.failed[record.error.kind] += 1
        else:
            self.done += 1
            self.empty += record.empty

    def exit_code(self) -> ExitCode:
        """Return how the run ended."""
        if not self.failed:
            return ExitCode.DONE
        return ExitCode.SOME_FAILED if self.done else ExitCode.NO_PICTURE

    def sentence(self, output: Path | None) -> str:
        """Return the counts as one line for people."""
        parts = [f"{self.done} picture{'s' * (self.done != 1)} done"]
        if self.failed:
            kinds = ", ".join(f"{kind} {count}" for kind, count in self.failed.most_common())
            parts.append(f"{self.failed.total()} failed ({kinds})")
        if self.empty:
            parts.append(f"{self.empty} with an empty map")
        return ", ".join(parts) + (f"; heatmaps in {output}" if output else "")
