"""The options that belong to the command line alone; all others are settings of ``spec``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gradcam_cli.commands.completion import model_names
from gradcam_cli.spec.draw import OUTPUT
from gradcam_cli.spec.explain import RUNNING
from gradcam_cli.spec.parsers import part
from gradcam_cli.spec.setting import setting

_CHOOSE = "Which pictures"

Sources = Annotated[
    list[str],
    typer.Argument(
        help="Pictures, folders (walked recursively), globs, @list.txt, or - for a list on "
        "standard input.",
        show_default=False,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A model's name or a .keras or .h5 file.",
        metavar="MODEL",
        show_default=False,
        autocompletion=model_names,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print JSON, one value a line, instead of tables.", rich_help_panel=RUNNING
    ),
]


@dataclass(frozen=True)
class OutputOptions:
    """Where files go."""

    output_dir: Path = setting(
        Path("gradcam_output"),
        "Where heatmaps and the manifest go.",
        *("-o", "--output-dir"),
        panel=OUTPUT,
        metavar="DIR",
    )
    show: bool = setting(
        False,
        "Show the overlay beside the predictions in the terminal.",
        "--show",
        panel=OUTPUT,
    )
    report: bool = setting(
        False,
        "Write report.html into the folder at the end, as `gradcam report` does.",
        "--report",
        panel=OUTPUT,
    )
    open: bool = setting(
        False, "Write report.html, and open it in the browser.", "--open", panel=OUTPUT
    )


@dataclass(frozen=True)
class PrintOptions:
    """What is printed."""

    json: bool = setting(
        False, "Print JSON, one value a line, instead of tables.", "--json", panel=RUNNING
    )
    quiet: bool = setting(
        False, "Print no tables, notes or progress.", *("-q", "--quiet"), panel=RUNNING
    )


@dataclass(frozen=True)
class BatchOptions:
    """How a run treats what is there, and when it gives up."""

    overwrite: bool = setting(
        False, "Start anew instead of going on.", "--overwrite", panel=RUNNING
    )
    no_resume: bool = setting(
        False, "Refuse an output folder that holds an earlier run.", "--no-resume", panel=RUNNING
    )
    fail_on_empty: bool = setting(
        False, "Exit with 1 when a map is empty.", "--fail-on-empty", panel=RUNNING
    )
    max_failures: int = setting(
        0,
        "Stop after so many failed pictures; 0 never does.",
        "--max-failures",
        panel=RUNNING,
        least=0,
    )


@dataclass(frozen=True)
class SelectOptions:
    """Which of the images."""

    include: tuple[str, ...] = setting(
        (),
        "Only pictures whose name (or path, with a slash) fits; repeatable.",
        "--include",
        panel=_CHOOSE,
        metavar="GLOB",
        repeatable=True,
    )
    exclude: tuple[str, ...] = setting(
        (),
        "No pictures whose name or path fits; repeatable.",
        "--exclude",
        panel=_CHOOSE,
        metavar="GLOB",
        repeatable=True,
    )
    limit: int | None = setting(
        None, "At most so many pictures.", "--limit", panel=_CHOOSE, least=1
    )
    shard: tuple[int, int] | None = setting(
        None,
        "Part K of N, by a hash of the path: the same for ever, as folders grow.",
        "--shard",
        panel=_CHOOSE,
        metavar="K/N",
        parse=part,
    )
    strict_types: bool = setting(
        False,
        "Pictures in folders whose type is not read (.heic, .cr2, .psd) fail, instead of being "
        "counted at the end.",
        "--strict-types",
        panel=_CHOOSE,
    )
    nul: bool = setting(
        False, "Lists are separated by NUL, not by lines.", *("-0", "--nul"), panel=_CHOOSE
    )
