"""A file that is there already is replaced only by one of its own kind."""

from __future__ import annotations

import os
from pathlib import Path

from gradcam_cli.errors import GradcamError
from gradcam_cli.export.coco import COCO_MARK
from gradcam_cli.export.tables import CSV_HEAD

_TAIL = 65_536
_MARKS = {"csv": CSV_HEAD, "parquet": b"PAR1", "coco": COCO_MARK}


def check_place(path: Path, kind: str) -> None:
    """Raise GradcamError where a file lies that is not an earlier export of the same ``kind``."""
    if not os.path.lexists(path):
        return
    try:
        ours = path.is_file() and _is_ours(path, kind)
    except OSError as error:
        raise GradcamError(
            f"cannot read {path}: {error.strerror or error}", "choose another file with -o"
        ) from error
    if not ours:
        raise GradcamError(
            f"{path} is there and is not a {kind} file of gradcam's",
            "choose another file with -o, or remove it",
        )


def _is_ours(path: Path, kind: str) -> bool:
    mark = _MARKS[kind]
    with path.open("rb") as file:
        if file.read(len(mark)) != mark:
            return False
        file.seek(max(0, path.stat().st_size - _TAIL))
        return kind != "parquet" or b"generator\x18\x07gradcam" in file.read()
