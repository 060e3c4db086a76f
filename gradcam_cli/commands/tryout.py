"""``--preprocess try``: a few pictures go through every scaling, for the user to compare."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.request import settings
from gradcam_cli.errors import ExitCode, GradcamError

if TYPE_CHECKING:
    from gradcam_cli.batch.steps import Job, Plan
    from gradcam_cli.commands.options import LookOptions
    from gradcam_cli.images.find import Found
    from gradcam_cli.models.choice import ModelChoice
    from gradcam_cli.models.load import Model

__all__ = ["try_scalings"]

_PICTURES = 4
_SHOWN = 3
_ALSO_BGR = ("none", "unit", "tf", "torch")
"""Scalings that go with images read by OpenCV."""


def try_scalings(pictures: Iterable[Found], choice: ModelChoice, look: LookOptions) -> None:
    """Print what a model says of the first pictures under each row of SCALINGS.

    Where they would fit the network's input only if they were transposed, under each row so, too.
    """
    from gradcam_cli.batch.steps import Job, off, plan_for, prepare
    from gradcam_cli.models.load import load

    if choice.mean or choice.std:
        raise GradcamError(
            "--preprocess try shows the named scalings only", "leave out --mean and --std"
        )
    model = load(replace(choice, preprocess="auto", channels="auto"), only_look=True)
    plan = plan_for(model, settings(choice, look, None, None))
    jobs: list[Job] = []
    for item in (prepare(found, plan) for found in islice(pictures, _PICTURES)):
        if isinstance(item, Job):
            jobs.append(item)
        else:
            say.predictions(item)
    if not jobs:
        raise typer.Exit(ExitCode.NO_PICTURE)
    shown = min(look.top_k, _SHOWN)
    rows = _rows(model, jobs, shown)
    for row, more in zip(rows, _transposed(model, jobs, plan, shown), strict=False):
        row += [(f"{name} --transpose", says, best) for name, says, best in more]
    for job, row in zip(jobs, rows, strict=True):
        _show(job.found.source, row, look.json)
    for sentence in dict.fromkeys(sentence for job in jobs for sentence in off(job, plan)):
        say.warn(sentence)
    if not look.json:
        say.note(
            "the right scaling gives the right classes on most pictures, seldom the surest; "
            "give it with --preprocess (and --channels, where it says so)"
        )


def _transposed(
    model: Model, jobs: Sequence[Job], plan: Plan, shown: int
) -> list[list[tuple[str, str, str]]]:
    """Return each picture's rows when transposed; none where that is done, or gains nothing."""
    from gradcam_cli.batch.steps import Job, off, plan_for, prepare

    if plan.transposed or not any(off(job, plan) for job in jobs):
        return []
    model = replace(model, ports=model.ports.turned())
    plan = plan_for(model, plan.settings)
    again = [prepare(job.found, plan) for job in jobs]
    fitting = [item for item in again if isinstance(item, Job) and not off(item, plan)]
    return _rows(model, fitting, shown) if len(fitting) == len(jobs) else []


def _rows(model: Model, jobs: Sequence[Job], shown: int) -> list[list[tuple[str, str, str]]]:
    """Return each picture's rows: a scaling, what it does, the likeliest classes."""
    from gradcam_cli.explain import Explainer, Question
    from gradcam_cli.models.classes import ClassChoice, describe
    from gradcam_cli.models.scaling import SCALINGS, of_bgr

    rows: list[list[tuple[str, str, str]]] = [[] for _ in jobs]
    ways = [(name, scaling) for name, scaling in SCALINGS.items()]
    ways += [(f"{name} --channels bgr", of_bgr(SCALINGS[name])) for name in _ALSO_BGR]
    for name, scaling in ways:
        if model.ports.channels == 1 and (scaling.bgr or len(scaling.mean) > 1):
            continue
        explainer = Explainer(replace(model, scaling=scaling), Question(ClassChoice()), len(jobs))
        answers = explainer.many([job.square for job in jobs])
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
        say.table(("--preprocess", "pixels become", "predictions"), rows, title=source)
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
        sys.stdout.write(jsonlib.dumps(values) + "\n")
