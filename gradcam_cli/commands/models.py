"""``gradcam models``: the table of named models for people, and their weights fetched ahead."""

from __future__ import annotations

from typing import Annotated

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.options import Json
from gradcam_cli.models.catalog import Entry, find, names


def models(
    download: Annotated[
        list[str],
        typer.Option(
            "--download",
            help="Fetch this model's ImageNet weights into Keras's cache; repeatable.",
            metavar="NAME",
            show_default=False,
        ),
    ] = [],  # noqa: B006  Typer copies it
    json: Json = False,
) -> None:
    """List the named models, or fetch their weights ahead of time."""
    if download:
        from gradcam_cli.models.fetch import fetch

        for entry in [find(name) for name in download]:
            say.note(f"{entry.name}: {fetch(entry)}")
        return
    entries = [find(name) for name in names()]
    if json:
        for entry in entries:
            say.json_line(_row(entry))
        return
    rows = [
        (
            entry.name,
            f"{entry.parameters / 1e6:.1f} M",
            "{}x{}".format(*entry.input_size),
            entry.layer,
            _where(entry),
        )
        for entry in entries
    ]
    say.table(("name", "parameters#", "input", "default layer", "weights"), rows)


def _where(entry: Entry) -> str:
    from gradcam_cli.models.weights import cached_file, is_installed

    if is_installed(entry):
        return "installed"
    return "in the cache" if cached_file(entry) else "to download"


def _row(entry: Entry) -> dict[str, object]:
    from gradcam_cli.models.weights import cached_file

    path = cached_file(entry)
    return {
        "name": entry.name,
        "parameters": entry.parameters,
        "input_size": entry.input_size,
        "preprocess": entry.preprocess,
        "layer": entry.layer,
        "weights": _where(entry),
        "weights_file": str(path) if path else None,
    }
