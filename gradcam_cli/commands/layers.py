"""``gradcam layers``: the layers of a model that can be explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.commands import say
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.options import Json, ModelArgument
from gradcam_cli.spec.model import ModelSpec

if TYPE_CHECKING:
    from gradcam_cli.models.load import Model
    from gradcam_cli.network.survey import LayerRow, Survey


@flat
def layers(model: ModelArgument, spec: ModelSpec, json: Json = False) -> None:  # noqa: ARG001
    """List the layers that can be explained; the default is marked."""
    loaded, found = inspected(spec)
    default = loaded.layer or found.default
    last = max((row.call for row in found.layers if row.path == default), default=0)
    if json:
        for row in found.layers:
            values = {
                "path": row.path,
                "kind": row.kind,
                "call": row.call,
                "grid": row.grid,
                "channels": row.channels,
                "first": [place and round(place.first, 2) for place in row.places],
                "step": [place and round(place.step, 2) for place in row.places],
                "default": (row.path, row.call) == (default, last),
            }
            say.json_line(values)
        return
    rows = [
        (
            "*" if (row.path, row.call) == (default, last) else "",
            row.path if row.call == 1 else f"{row.path} (call {row.call})",
            row.kind,
            f"{row.grid[0]}x{row.grid[1]}",
            row.channels,
            _cells(row),
        )
        for row in found.layers
    ]
    say.table(("", "layer", "kind", "grid", "channels#", "centres in the input"), rows)
    say.note(f"* is the default ({found.reason})" if default else found.reason)


def _cells(row: LayerRow) -> str:
    """Say where a layer's cells lie: rows x columns, of which only one where they are alike."""
    said = [
        f"{place.first:g}..{place.first + place.step * (count - 1):g}" if place else "not known"
        for place, count in zip(row.places, row.grid, strict=True)
    ]
    return said[0] if said[0] == said[1] else " x ".join(said)


def inspected(spec: ModelSpec) -> tuple[Model, Survey]:
    """Load a model to be shown rather than used, and return it with what one trace shows."""
    from gradcam_cli.models.load import load

    loaded = load(spec, only_shown=True)
    return loaded, loaded.surveyed()
