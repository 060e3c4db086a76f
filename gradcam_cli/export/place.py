"""A file that is there already is replaced only by one of its own kind."""

from __future__ import annotations

from pathlib import Path

from gradcam_cli.export.coco import COCO_MARK
from gradcam_cli.export.tables import CSV_HEAD
from gradcam_cli.store.atomic import refuse_foreign

_TAIL = 65_536
_MARKS = {"csv": CSV_HEAD, "parquet": b"PAR1", "coco": COCO_MARK}


def check_place(path: Path, kind: str) -> None:
    """Raise GradcamError where a file lies that is not an earlier export of the same ``kind``."""
    refuse_foreign(path, lambda each: _is_ours(each, kind), f"{kind} file")


def _is_ours(path: Path, kind: str) -> bool:
    mark = _MARKS[kind]
    with path.open("rb") as file:
        if file.read(len(mark)) != mark:
            return False
        file.seek(max(0, path.stat().st_size - _TAIL))
        return kind != "parquet" or b"generator\x18\x07gradcam" in file.read()
