"""Records become compact JSON: only what the page shows, and nothing that breaks out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import quote

from gradcam_cli.cam.empty import CAUSES
from gradcam_cli.report.summary import finite
from gradcam_cli.store.records import ExplanationRecord, Prediction, Record

_PLACES = 6
_MARKUP = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


class Rows:
    """The records of a page, each as one piece of JSON; page.js reads them again.

    A record is ``[source, width, height, predictions, maps, warning, failure]``, a prediction
    ``[class, probability]`` or ``[class, null, score]``, a map ``[class, probability, score, peak,
    reason, address]``, a failure ``[kind, message]``. Classes and reasons are numbers of rows in
    two lists, since they come again and again; what is absent at a row's end is left out.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._classes: dict[tuple[int, str, str], int] = {}
        self._reasons: dict[str, int] = {}
        self._rows: list[bytes] = []

    def add(self, record: Record) -> None:
        """Take one record in."""
        failure = None
        if record.failed:
            failure = [record.error.kind, record.error.message] if record.error else ["", ""]
        row = [
            record.source,
            record.width,
            record.height,
            [self._prediction(item) for item in record.predictions],
            [self._map(item) for item in record.explanations],
            record.warning,
            failure,
        ]
        self._rows.append(safe_json(_cut(row)).encode())

    def pieces(self) -> Iterator[bytes]:
        """Yield the JSON that page.js reads, piece by piece."""
        yield b'{"base":' + safe_json(self._base).encode() + b',"records":[\n'
        for place, row in enumerate(self._rows):
            yield b",\n" + row if place else row
        reasons = [[reason, CAUSES.get(reason, "")] for reason in self._reasons]
        rest = f'\n],"classes":{safe_json(list(self._classes))},"reasons":{safe_json(reasons)}}}'
        yield rest.encode()

    def _prediction(self, item: Prediction) -> list[object]:
        known = _rounded(item.probability)
        number = self._class(item.index, item.id, item.name)
        return [number, known] if known is not None else _cut([number, None, _rounded(item.score)])

    def _map(self, item: ExplanationRecord) -> list[object]:
        picture = address(item.files.get("overlay", "")) or address(item.files.get("heatmap", ""))
        reason = None
        if item.empty:
            reason = self._reasons.setdefault(item.empty_reason, len(self._reasons))
        return _cut(
            [
                self._class(item.index, item.id, item.name),
                _rounded(item.probability),
                _rounded(item.score),
                item.peak,
                reason,
                picture,
            ]
        )

    def _class(self, index: int, identity: str, name: str) -> int:
        return self._classes.setdefault((index, identity, name), len(self._classes))


def address(name: str) -> str:
    """Return the relative URL of a file in the output folder, '' for what may not be linked.

    A manifest is a file that anybody can write: only names that stay inside the folder are
    believed, read as POSIX or as Windows would. Names of any bytes are percent-encoded.
    """
    path = PurePosixPath(name)
    strange = any(sign in name for sign in "\\:\0")
    if not path.name or path.is_absolute() or ".." in path.parts or strange:
        return ""
    try:
        return quote(os.fsencode(path.as_posix()))
    except UnicodeEncodeError:  # half of a surrogate pair, which no file's name is
        return ""


def safe_json(value: object) -> str:
    """Return JSON that is plain ASCII and holds nothing that ends or opens a tag."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_MARKUP)


def _cut(row: list[object]) -> list[object]:
    """Return a row without what is absent at its end."""
    while row and row[-1] in (None, "", []):
        row.pop()
    return row


def _rounded(number: float | None) -> float | None:
    known = finite(number)
    return None if known is None else round(known, _PLACES)
