"""The options of a run over many pictures: which of them, and what is done about failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gradcam_cli.commands.options import RUN, option

__all__ = ["BatchOptions", "SelectOptions"]

_CHOOSE = "Which pictures"


@dataclass(frozen=True)
class BatchOptions:
    """How a run treats what is there, and when it gives up."""

    overwrite: Annotated[
        bool, option("Start anew instead of going on.", "--overwrite", panel=RUN)
    ] = False
    no_resume: Annotated[
        bool,
        option("Refuse an output folder that holds an earlier run.", "--no-resume", panel=RUN),
    ] = False
    fail_on_empty: Annotated[
        bool, option("Exit with 1 when a map is empty.", "--fail-on-empty", panel=RUN)
    ] = False
    max_failures: Annotated[
        int,
        option(
            "Stop after so many failed pictures; 0 never does.",
            "--max-failures",
            panel=RUN,
            min=0,
        ),
    ] = 0


@dataclass(frozen=True)
class SelectOptions:
    """Which of the pictures."""

    include: Annotated[
        tuple[str, ...],
        option(
            "Only pictures whose name (or path, with a slash) fits; repeatable.",
            "--include",
            panel=_CHOOSE,
            metavar="GLOB",
            show_default=False,
        ),
    ] = ()
    exclude: Annotated[
        tuple[str, ...],
        option(
            "No pictures whose name or path fits; repeatable.",
            "--exclude",
            panel=_CHOOSE,
            metavar="GLOB",
            show_default=False,
        ),
    ] = ()
    limit: Annotated[
        int | None,
        option("At most so many pictures.", "--limit", panel=_CHOOSE, min=1, show_default=False),
    ] = None
    shard: Annotated[
        str,
        option(
            "Part K of N, by a hash of the path: the same for ever, as folders grow.",
            "--shard",
            panel=_CHOOSE,
            metavar="K/N",
            show_default=False,
        ),
    ] = ""
    strict_types: Annotated[
        bool,
        option(
            "Pictures in folders whose type is not read (.heic, .cr2, .psd) fail, instead of being "
            "counted at the end.",
            "--strict-types",
            panel=_CHOOSE,
        ),
    ] = False
    nul: Annotated[
        bool, option("Lists are separated by NUL, not by lines.", "-0", "--nul", panel=_CHOOSE)
    ] = False
