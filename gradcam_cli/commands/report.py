"""``gradcam report``: a run's output folder becomes one page to look through."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradcam_cli.commands import say

if TYPE_CHECKING:
    from gradcam_cli.report.summary import Summary


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The output folder of a run, finished or not.", metavar="DIR", show_default=False
        ),
    ],
    output_file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output-file",
            help="The page to write, instead of report.html in the folder.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the page's numbers as one JSON object.")
    ] = False,
) -> None:
    """Write one HTML page of a run's pictures, to look through, filter and pass on.

    It needs neither a network nor the model; heatmaps are linked, not copied, so the page belongs
    beside its folder. A report that is there already is replaced, any other file never.
    """
    from gradcam_cli.report.page import check_place, write_page
    from gradcam_cli.store.reading import Damaged, damage, read_folder

    path = output_file or folder / "report.html"
    check_place(path)
    damaged: dict[Path, list[Damaged]] = {}
    records = read_folder(folder, lambda line: damaged.setdefault(line.path, []).append(line))
    summary = write_page(records, folder, path)
    for lines in damaged.values():
        say.warn(f"{damage(lines)} and left out; the same run again does those pictures again")
    if json:
        say.json_line({"report": str(path), **asdict(summary)})
    else:
        say.note(f"{_sentence(summary)}; the report is {path}")


def _sentence(summary: Summary) -> str:
    parts = [f"{summary.pictures} picture{'s' * (summary.pictures != 1)}"]
    if summary.failed:
        parts.append(f"{sum(summary.failed.values())} failed")
    if summary.with_empty:
        parts.append(f"{summary.with_empty} with an empty map")
    return ", ".join(parts)
