"""``gradcam classes``: a query becomes the labels that fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.options import Json
from gradcam_cli.errors import GradcamError
from gradcam_cli.spelling import suggestion


def classes(
    query: Annotated[
        str, typer.Argument(help="Words of a name, a WordNet id, or nothing for all classes.")
    ] = "",
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Search these labels instead of ImageNet's.", metavar="FILE"),
    ] = None,
    json: Json = False,
) -> None:
    """Search the names of classes."""
    from gradcam_cli.models.classes import describe, search
    from gradcam_cli.models.labels import imagenet_labels, read_labels

    known = read_labels(labels) if labels else imagenet_labels()
    found = search(query, known)
    if not found:
        raise GradcamError(
            f"no class is called anything like {query!r}",
            suggestion(query, known.names, "`gradcam classes` lists all"),
        )
    rows = [(index, *describe(index, known)) for index in found]
    if json:
        for index, synset, name in rows:
            say.json_line({"index": index, "id": synset, "name": name})
    else:
        say.table(("index#", "id", "name~"), rows)
