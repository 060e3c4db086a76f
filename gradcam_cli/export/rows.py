"""Records become the rows of a table: one for each prediction with each of its maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradcam_cli.store.records import ExplanationRecord, Prediction, Record
from gradcam_cli.text import encodable

Cell = str | int | float | bool | None

FILE_KINDS = ("overlay", "heatmap", "array", "figure", "panel")

COLUMNS: dict[str, type] = {
    "source": str,
    "sha256": str,
    "width": int,
    "height": int,
    "status": str,
    "failure": str,
    "failure_message": str,
    "warning": str,
    "model": str,
    "weights": str,
    "settings": str,
    "rank": int,
    "class_index": int,
    "class_id": str,
    "class_name": str,
    "probability": float,
    "score": float,
    "slot": str,
    "method": str,
    "layer": str,
    "empty": bool,
    "empty_reason": str,
    "peak_x": int,
    "peak_y": int,
    **{f"{kind}_file": str for kind in FILE_KINDS},
}
"""The columns of a table, in order, with the type of their values; any may be missing."""


def rows(records: Iterable[Record]) -> Iterator[list[Cell]]:
    """Yield the rows of all images, failed ones included, each with a value for every column.

    A prediction has a row for each map of its class, or one without a map; a map of a class that is
    not among the predictions has a row without a rank; a failed image has one row. Missing values
    are None, and texts are such as UTF-8 can hold.
    """
    for record in records:
        for prediction, item in _pairs(record):
            values = {**_of_image(record), **_of_class(prediction, item), **_of_map(record, item)}
            yield [_cell(values.get(name)) for name in COLUMNS]


def _pairs(record: Record) -> Iterator[tuple[Prediction | None, ExplanationRecord | None]]:
    ranked = {each.index for each in record.predictions}
    for prediction in record.predictions:
        own = [item for item in record.explanations if item.index == prediction.index]
        yield from ((prediction, item) for item in own)
        if not own:
            yield prediction, None
    others = [item for item in record.explanations if item.index not in ranked]
    yield from ((None, item) for item in others)
    if not ranked and not others:
        yield None, None


def _of_image(record: Record) -> dict[str, Cell]:
    return {
        "source": record.source,
        "sha256": record.sha256 or None,
        "width": record.width or None,
        "height": record.height or None,
        "status": record.status,
        "failure": record.error.kind if record.error else None,
        "failure_message": record.error.message if record.error else None,
        "warning": record.warning or None,
        "model": record.model or None,
        "weights": record.weights or None,
        "settings": record.settings or None,
    }


def _of_class(prediction: Prediction | None, item: ExplanationRecord | None) -> dict[str, Cell]:
    known = prediction or item
    if known is None:
        return {}
    return {
        "rank": prediction.rank if prediction else None,
        "class_index": known.index,
        "class_id": known.id or None,
        "class_name": known.name,
        "probability": known.probability,
        "score": known.score,
    }


def _of_map(record: Record, item: ExplanationRecord | None) -> dict[str, Cell]:
    if item is None:
        return {}
    x, y = item.peak or (None, None)
    files = {**record.files, **item.files}
    return {
        "slot": item.slot or None,
        "method": item.method or None,
        "layer": item.layer or None,
        "empty": item.empty,
        "empty_reason": item.empty_reason or None,
        "peak_x": x,
        "peak_y": y,
        **{f"{kind}_file": files.get(kind) for kind in FILE_KINDS},
    }


def _cell(value: Cell) -> Cell:
    return encodable(value).replace("\0", "\\x00") if isinstance(value, str) else value
