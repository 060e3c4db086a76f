"""For teams whose gate is pytest: a baseline becomes one assertion."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.asked import spec_of
from gradcam_cli.gate.baseline import read_baseline
from gradcam_cli.gate.result import Result
from gradcam_cli.gate.session import Checking, places_of
from gradcam_cli.models.load import Model
from gradcam_cli.sources.find import find_pictures
from gradcam_cli.spec.gate import AuditSpec, GateSpec

__all__ = ["assert_matches_baseline", "check_baseline"]

_SHOWN = 20

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def assert_matches_baseline(
    baseline: str | os.PathLike[str],
    model: Model | str | os.PathLike[str] | None = None,
    sources: Sources | None = None,
    **limits: Any,
) -> Result:
    """Fail with a table of what changed unless a model explains pictures as a baseline says.

    ``baseline`` is a file of ``gradcam baseline``. ``model`` is a file, a name or what ``load``
    returns; without one the baseline's own is loaded again. ``sources`` are pictures or folders;
    without any, all of the baseline's. ``limits`` are the options of ``gradcam check``:
    ``min_pearson=0.99``, or by class ``min_iou=["0.6", "tabby=0.4"]``, ``allow_new=True``,
    ``max_border_heat=0.5``.

    Raises AssertionError where anything differs or is not read, GradcamError for what cannot be
    compared.
    """
    __tracebackhide__ = True
    result = check_baseline(baseline, model, sources, **limits)
    if not result.passed:
        lines = [
            f"{case.status} {case.picture}: {'; '.join(case.reasons)}" for case in result.wrong()
        ]
        more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise AssertionError("\n".join([result.sentence(), *lines[:_SHOWN], *more]))
    return result


def check_baseline(
    baseline: str | os.PathLike[str],
    model: Model | str | os.PathLike[str] | None = None,
    sources: Sources | None = None,
    **limits: Any,
) -> Result:
    """Return what ``gradcam check`` would find, whether or not anything differs.

    Raises GradcamError for what cannot be compared, and for limits that are not valid.
    """
    path = Path(baseline)
    gate, audit = _limits(limits)
    known, folder = read_baseline(path), path.parent
    named = {"model": os.fspath(model)} if isinstance(model, str | os.PathLike) else {}
    spec = spec_of(known.head.asked, folder, {"model": named})
    found = places_of(known, folder)
    if sources is not None:
        one = isinstance(sources, str | os.PathLike)
        every = [sources] if one else list(sources)  # type: ignore[arg-type]
        found = [each for each in find_pictures(list(map(os.fspath, every))) if not each.unread]  # type: ignore[arg-type]
    loaded = model if isinstance(model, Model) else None
    checking = Checking(known, folder, spec, gate, found, found, audit, loaded)
    explainer = checking.explainer()
    cases = list(checking.run(explainer))
    if not any(case.before and case.now for case in cases):
        raise GradcamError(
            f"nothing could be compared: none of the pictures of {path} is there",
            "pictures are named by their paths from the baseline's folder; give sources",
        )
    return checking.result(path, explainer, cases)


def _limits(given: dict[str, Any]) -> tuple[GateSpec, AuditSpec]:
    """Return limits as their specs have them: texts for numbers."""
    groups = [{each.name for each in fields(kind)} for kind in (GateSpec, AuditSpec)]
    unknown = sorted(given.keys() - groups[0] - groups[1])
    if unknown:
        raise GradcamError(f"{unknown[0]!r} is not a valid limit", "see `gradcam check --help`")

    def typed(name: str, value: Any) -> Any:
        if name == "regions" and isinstance(value, str):
            return Path(value)
        if name.startswith(("min_", "max_")):
            return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
        return value

    values = {name: typed(name, value) for name, value in given.items()}
    return (
        GateSpec(**{name: value for name, value in values.items() if name in groups[0]}),
        AuditSpec(**{name: value for name, value in values.items() if name in groups[1]}),
    )
