"""``gradcam audit``: maps are searched for heat in the border, a corner, a watermark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
from gradcam_cli.commands.options import PrintOptions, SelectOptions, Sources
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.gate import AuditSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.text import encodable

if TYPE_CHECKING:
    from gradcam_cli.gate.audit import Place
    from gradcam_cli.gate.judge import Case


_CLASSES = 20
_PICTURES = 3


@flat
def audit(
    sources: Sources,
    audit: AuditSpec,
    result: ResultOptions,
    model: ModelSpec,
    explain: ExplainSpec,
    images: ImageSpec,
    printing: PrintOptions,
    select: SelectOptions,
) -> None:
    """Search maps for shortcuts: heat in the border, outside given regions, always in one place.

    Exits with 1 where a limit that was given is passed.
    """
    every, found, _ = listed(sources, select)
    result.check()
    draw = drawer(result.diff_dir, sources, every, images.white)
    spec = RunSpec(model, images, explain)
    loaded = opened(model, printing.quiet)
    from gradcam_cli.engine.decide import decided
    from gradcam_cli.gate.result import Result
    from gradcam_cli.gate.session import Auditing

    auditing = Auditing(decided(loaded, spec, len(found)), spec, audit, found)
    cases = gone_through(auditing.run, draw, len(found), printing.quiet)
    whole = Result("audit", cases, auditing.places, model={"name": encodable(loaded.name)})
    published(whole, result)
    if not (printing.json or printing.quiet):
        _print(cases, auditing.places)
    raise typer.Exit(ended(whole, printing.json, printing.quiet))


def _print(cases: Sequence[Case], places: Sequence[Place]) -> None:
    """Print a row a class, and the pictures whose heat lies most in a place that was found."""
    from gradcam_cli.gate.markdown import place_in_words

    numbers: dict[int, dict[str, list[float]]] = {}
    for case in cases:
        for pair in case.maps:
            for each in pair.measured:
                assert pair.now is not None  # noqa: S101  only maps of now are measured
                numbers.setdefault(pair.now.index, {}).setdefault(each.name, []).append(each.value)
    names = sorted({name for by_name in numbers.values() for name in by_name})
    rows = []
    for place in places[:_CLASSES]:
        own = numbers.get(place.index, {})
        means = [f"{sum(own[name]) / len(own[name]):.3f}" if name in own else "" for name in names]
        chance = "" if place.chance is None else f"{place.chance:.3f}"
        where = place_in_words(place.centre) if place.found else ""
        rows.append((place.name, place.pictures, *means, f"{place.share:.2f}", chance, where))
    columns = [f"{name}#" for name in names]
    say.table(("class~", "pictures#", *columns, "in one place#", "by chance#", "where"), rows)
    for place in places:
        if place.found:
            shown = ", ".join(f"{name} {share:.2f}" for name, share in place.ranked[:_PICTURES])
            say.warn(
                f"{place.name}: one place lights up whatever the picture "
                f"({place_in_words(place.centre)}); most in {shown}"
            )
