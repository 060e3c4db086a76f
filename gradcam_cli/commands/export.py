"""``gradcam export``: a finished run as a table, or as boxes round the heat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradcam_cli.commands import say
from gradcam_cli.errors import GradcamError

if TYPE_CHECKING:
    from gradcam_cli.store.reading import Damaged
    from gradcam_cli.store.records import Record


Tick = Callable[[], object]


class _Kind(str, Enum):
    CSV = "csv"
    PARQUET = "parquet"
    COCO = "coco"


_NAMES = {_Kind.CSV: "export.csv", _Kind.PARQUET: "export.parquet", _Kind.COCO: "export.json"}


def export(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The output folder of a run, finished or not.", metavar="DIR", show_default=False
        ),
    ],
    kind: Annotated[
        _Kind,
        typer.Option(
            "--to",
            help="csv or parquet: a table of predictions and maps. coco: a box round the largest "
            "component of each map.",
            show_default=False,
        ),
    ],
    output_file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output-file",
            help="The file to write; export.csv, .parquet or .json in the folder by default.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            help="With coco: the heat of a box's pixels at least, as a share of the map's maximum.",
            metavar="0..1",
        ),
    ] = 0.15,
) -> None:
    """Write a run's predictions, maps and peaks as CSV, Parquet, or COCO detections.

    No model is loaded. An earlier export of the same kind is replaced, any other file never.
    """
    from gradcam_cli.export.place import check_place
    from gradcam_cli.export.rows import rows
    from gradcam_cli.export.tables import as_csv, as_parquet
    from gradcam_cli.store.atomic import write_bytes
    from gradcam_cli.store.stream import count_lines

    if not 0 <= threshold <= 1:
        raise GradcamError(
            f"--threshold {threshold} is not a share of the maximum", "give a number from 0 to 1"
        )
    path = output_file or folder / _NAMES[kind]
    check_place(path, kind.value)
    damaged: dict[Path, list[Damaged]] = {}
    count: Counter[str] = Counter()
    with say.progress(count_lines(folder), 0, quiet=False) as tick:
        records = _records(folder, damaged, count)
        if kind is _Kind.COCO:
            _write_boxes(folder, path, records, threshold, count, tick)
        else:
            table = rows(_ticking(records, tick))
            write_bytes(path, as_csv(table) if kind is _Kind.CSV else as_parquet(table))
    for lines in damaged.values():
        say.warn(f"{_damage(lines)} and left out; the same run again does those pictures again")
    parts = [_images(count["images"])]
    parts += [f"{count[name]} {name}" for name in ("boxes", "failed") if count[name]]
    say.note(f"{', '.join(parts)}; the {kind.value} file is {path}")


def _write_boxes(
    folder: Path,
    path: Path,
    records: Iterator[Record],
    threshold: float,
    count: Counter[str],
    tick: Tick,
) -> None:
    """Write the boxes of a run, and say which maps have none or may have a wrong one."""
    from gradcam_cli.export.coco import Detections, resizes
    from gradcam_cli.store.atomic import write_bytes
    from gradcam_cli.store.stream import ahead

    found = Detections(folder, threshold, resizes(folder))
    settings: set[str] = set()
    for record, boxes in ahead(records, found.boxed):
        if found.add(record, boxes):
            settings |= {record.settings} if record.explanations else set()
        tick()
    count["boxes"] = found.boxes
    write_bytes(path, found.pieces())
    if len(settings) > 1:
        say.warn(f"the maps in {folder} were made with {len(settings)} different settings")
    if found.without:
        say.warn(
            f"{_images(found.without)} with maps that are neither in the record nor in an array, "
            "and have no box; run again into another folder"
        )
    if found.apart:
        say.warn(
            f"{_images(found.apart)} whose boxes may lie elsewhere: the peak is not where the map "
            "is hot when its cells tile the network's input"
        )


def _records(
    folder: Path, damaged: dict[Path, list[Damaged]], count: Counter[str]
) -> Iterator[Record]:
    """Yield a run's records; collects damaged lines, and counts images."""
    from gradcam_cli.store.reading import read_folder

    for record in read_folder(folder, lambda line: damaged.setdefault(line.path, []).append(line)):
        count["images"] += 1
        count["failed"] += record.failed
        yield record


def _ticking(records: Iterable[Record], tick: Tick) -> Iterator[Record]:
    for record in records:
        yield record
        tick()


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"


def _damage(lines: list[Damaged]) -> str:
    from gradcam_cli.store.reading import damage

    return damage(lines)
