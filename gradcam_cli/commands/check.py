"""``gradcam check``: a model explains a baseline's pictures again; what differs is a failure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.gating import (
    ResultOptions,
    drawer,
    ended,
    gone_through,
    opened,
    published,
)
from gradcam_cli.commands.listing import listed
from gradcam_cli.commands.options import PrintOptions, SelectOptions
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.spec.gate import AgainSpec, AuditSpec, GateSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.setting import settings

if TYPE_CHECKING:
    from gradcam_cli.gate.asked import Given
    from gradcam_cli.gate.baseline import Baseline
    from gradcam_cli.gate.judge import Case
    from gradcam_cli.sources.find import Found


_SAID = ("COMMANDLINE", "DEFAULT_MAP", "ENVIRONMENT")
"""Where a value comes from that the user gave: typed, or from gradcam.toml."""

BaselineArgument = Annotated[
    Path,
    typer.Argument(help="A file of `gradcam baseline`.", metavar="BASELINE", show_default=False),
]
OptionalSources = Annotated[
    list[str] | None,
    typer.Argument(
        help="Pictures, folders, globs or lists to look at; all of the baseline's otherwise.",
        show_default=False,
    ),
]


@flat
def check(
    context: typer.Context,
    baseline: BaselineArgument,
    gate: GateSpec,
    audit: AuditSpec,
    result: ResultOptions,
    model: ModelSpec,
    again: AgainSpec,
    printing: PrintOptions,
    select: SelectOptions,
    sources: OptionalSources = None,
) -> None:
    """Explain a baseline's pictures again, and exit with 1 where anything differs.

    The baseline says how; what is given here or in gradcam.toml takes its place, a new model most
    of all. Nothing is written unless it is asked for.
    """
    from gradcam_cli.gate.asked import spec_of
    from gradcam_cli.gate.baseline import read_baseline
    from gradcam_cli.gate.session import Checking

    known, folder = read_baseline(baseline), baseline.parent
    spec = spec_of(known.head.asked, folder, given_of(context, model, again))
    every, found = _listed(known, folder, sources or [], select)
    result.check()
    draw = drawer(result.diff_dir, sources or [], every, spec.images.white)
    loaded = opened(spec.model, printing.quiet)
    checking = Checking(known, folder, spec, gate, every, found, audit, loaded)
    explainer = checking.explainer()
    cases = gone_through(
        lambda *how: checking.run(explainer, *how), draw, len(found), printing.quiet
    )
    _check_compared(cases, baseline)
    whole = checking.result(baseline, explainer, cases)
    if not printing.quiet:
        for change in whole.changes:
            say.note(change)
    published(whole, result)
    raise typer.Exit(ended(whole, printing.json, printing.quiet))


def given_of(context: typer.Context, model: ModelSpec, again: AgainSpec) -> Given:
    """Return the settings that the user gave, by group and name; defaults are not among them."""

    def given(group: Any, names: Iterable[str]) -> dict[str, Any]:
        return {name: getattr(group, name) for name in names if _is_given(context, name)}

    return {
        "model": given(model, settings(ModelSpec)),
        "images": given(again, ("resize", "interpolation", "white", "batch_size")),
        "explain": given(again, ("precision",)),
    }


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name in _SAID


def _listed(
    known: Baseline, folder: Path, sources: list[str], select: SelectOptions
) -> tuple[list[Found], list[Found]]:
    """Return all pictures that are named, by the user or the baseline, and those of this run."""
    from gradcam_cli.gate.session import places_of
    from gradcam_cli.sources.select import selected

    if sources:
        every, found, _ = listed(sources, select)
        return every, found
    every = places_of(known, folder)
    found = list(selected(every, select.include, select.exclude, select.limit, select.shard))
    if not found:
        say.error(
            GradcamError(
                "no picture of the baseline is left",
                "--include, --exclude and --shard may have left none",
            )
        )
        raise typer.Exit(ExitCode.NO_PICTURE)
    return every, found


def _check_compared(cases: list[Case], baseline: Path) -> None:
    """Raise GradcamError where nothing at all was compared, though nothing failed."""
    if any(case.before and case.now for case in cases):
        return
    if any(case.status == "failed" for case in cases):
        return
    raise GradcamError(
        f"nothing could be compared: none of the pictures of {baseline} is there",
        "pictures are named by their paths from the baseline's folder; name them, or their folder, "
        "behind it",
    )
