"""Records become compact JSON: only what the page shows, and nothing that breaks out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gradcam_cli.cam.empty import CAUSES
from gradcam_cli.report.addresses import address
from gradcam_cli.report.summary import finite
from gradcam_cli.report.thumbnails import Shown
from gradcam_cli.store.records import ExplanationRecord, Prediction, Record

ClassKey = tuple[int, str, str]
"""A class's index, id and name."""

_PLACES = 6
_FEW_PLACES = 4
_MARKUP = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


@dataclass(frozen=True, slots=True)
class Compared:
    """The same picture in the other run, and how far its map is away, 0..1 or None."""

    record: Record
    shown: Shown
    difference: float | None


@dataclass(slots=True)
class Rows:
    """The records of a page, each as one piece of JSON; data.js reads them again.

    A record is ``[source, width, height, predictions, maps, warning, failure, original, image,
    truth, other]``, a prediction ``[class, probability, score]``, a map
    ``[class, probability, score, peak, reason, overlay, heatmap, small, border, heat, maker]``, a
    failure ``[kind, message]``, ``other`` is ``[predictions, maps, difference]``. Classes, reasons
    and makers (a method and a layer) are numbers of rows in lists, since they come again and again;
    what is absent at a row's end is left out.
    """

    base: str = ""
    _classes: dict[ClassKey, int] = field(default_factory=dict)
    _reasons: dict[str, int] = field(default_factory=dict)
    _makers: dict[tuple[str, str], int] = field(default_factory=dict)
    _sources: list[str] = field(default_factory=list)
    _rows: list[bytes] = field(default_factory=list)

    @property
    def classes(self) -> list[ClassKey]:
        """Return all classes that were met, in the order of their numbers."""
        return list(self._classes)

    def add(
        self,
        record: Record,
        shown: Shown | None = None,
        borders: Iterable[float | None] = (),
        truth: int | None = None,
        other: Compared | None = None,
    ) -> None:
        """Take one record in; ``borders`` says of each map which part of its heat is there."""
        shown = shown or Shown()
        failure = None
        if record.failed:
            failure = [record.error.kind, record.error.message] if record.error else ["", ""]
        answers, compared = self._answers(record, shown, borders), None
        if other is not None:
            compared = [
                *self._answers(other.record, other.shown, ()),
                _rounded(other.difference, _FEW_PLACES),
            ]
        row = [
            record.width,
            record.height,
            *answers,
            record.warning,
            failure,
            shown.original,
            shown.image,
            truth,
            compared,
        ]
        self._sources.append(record.source)
        self._rows.append(safe_json(_cut(row)).encode())

    def class_number(self, key: ClassKey) -> int:
        """Return the number of a class."""
        return self._classes.setdefault(key, len(self._classes))

    def maker_number(self, key: tuple[str, str]) -> int:
        """Return the number of a method at a layer."""
        return self._makers.setdefault(key, len(self._makers))

    def pieces(self, more: Mapping[str, object], private: bool = False) -> Iterator[bytes]:
        """Yield the JSON that the page reads, piece by piece; ``more`` are further members.

        ``private`` leaves out where images lie on this machine.
        """
        sources = below_common(self._sources) if private else self._sources
        yield b'{"base":' + safe_json(self.base).encode() + b',"records":[\n'
        for place, (source, row) in enumerate(zip(sources, self._rows, strict=True)):
            start = b",\n[" if place else b"["
            rest_of_row = row[1:] if row == b"[]" else b"," + row[1:]
            yield start + safe_json(source).encode() + rest_of_row
        rest = {
            "classes": list(self._classes),
            "reasons": [[reason, CAUSES.get(reason, "")] for reason in self._reasons],
            "makers": list(self._makers),
            **more,
        }
        yield b"\n]," + safe_json(rest).encode()[1:]

    def _answers(
        self, record: Record, shown: Shown, borders: Iterable[float | None]
    ) -> list[list[object]]:
        small, share = iter(shown.maps), iter(borders)
        return [
            [self._prediction(item) for item in record.predictions],
            [self._map(item, next(small, ""), next(share, None)) for item in record.explanations],
        ]

    def _prediction(self, item: Prediction) -> list[object]:
        number = self.class_number((item.index, item.id, item.name))
        score = _rounded(item.score, _FEW_PLACES)
        return _cut([number, _rounded(item.probability), score])

    def _map(self, item: ExplanationRecord, small: str, border: float | None) -> list[object]:
        reason = None
        if item.empty:
            reason = self._reasons.setdefault(item.empty_reason, len(self._reasons))
        return _cut(
            [
                self.class_number((item.index, item.id, item.name)),
                _rounded(item.probability),
                _rounded(item.score),
                item.peak,
                reason,
                address(item.files.get("overlay", "")),
                address(item.files.get("heatmap", "")),
                small,
                _rounded(border, _FEW_PLACES),
                item.heat,
                self.maker_number((item.method, item.layer)) or None,
            ]
        )


def below_common(sources: Sequence[str]) -> list[str]:
    """Return paths as they were typed, but absolute ones from the folder on that has them all."""
    folders = {os.path.dirname(source) for source in sources if os.path.isabs(source)}  # noqa: PTH117, PTH120
    common = os.path.commonpath(folders) if folders else ""
    return [
        os.path.relpath(source, common) if os.path.isabs(source) else source  # noqa: PTH117
        for source in sources
    ]


def safe_json(value: object) -> str:
    """Return JSON that is plain ASCII and holds nothing that ends or opens a tag."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_MARKUP)


def _cut(row: Sequence[object]) -> list[object]:
    """Return a row without what is absent at its end."""
    end = len(row)
    while end and row[end - 1] in (None, "", []):
        end -= 1
    return list(row[:end])


def _rounded(number: float | None, places: int = _PLACES) -> float | None:
    known = finite(number)
    return None if known is None else round(known, places)
