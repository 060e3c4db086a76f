"""The sources of a command become the list of its images."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.options import SelectOptions
from gradcam_cli.commands.tally import counted
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.sources.endings import advice
from gradcam_cli.sources.find import Found, find_pictures
from gradcam_cli.sources.lists import piped
from gradcam_cli.sources.select import selected


class Listed(NamedTuple):
    """``every`` image that the sources name, those ``found`` that belong to this run.

    ``unread`` counts the images of types that are not read, by their endings.
    """

    every: list[Found]
    found: list[Found]
    unread: Counter[str]


def listed(sources: Sequence[str], select: SelectOptions, output: Path | None = None) -> Listed:
    """List the images that the sources name; ends the command when there is none."""
    stdin = piped(sys.stdin.buffer) if "-" in sources and sys.stdin else None  # None when closed
    every = list(find_pictures(sources, stdin, nul=select.nul, output_dir=output))
    unread: Counter[str] = Counter()
    aside = None if select.strict_types else unread
    found = list(selected(every, select.include, select.exclude, select.limit, select.shard, aside))
    if not found:
        say.error(_no_picture(", ".join(sources[:3]), unread))
        raise typer.Exit(ExitCode.NO_PICTURE)
    return Listed(every, found, unread)


def _no_picture(named: str, unread: Counter[str]) -> GradcamError:
    if unread:
        return GradcamError(f"no picture in {named} can be read: {counted(unread)}", advice(unread))
    return GradcamError(
        f"no picture in {named}",
        "jpg, png, webp, tif, bmp and gif are taken; --include, --exclude and --shard may "
        "have left none",
    )
