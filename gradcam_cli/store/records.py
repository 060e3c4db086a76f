"""One picture's outcome becomes one line of JSON, and back."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar

SCHEMA_VERSION = 2
OTHER_VERSION = "a record of another version of gradcam"
"""Version 0.1 wrote 1; its records are read, but not added to."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of a picture's top-k; ``probability`` in 0..1, ``score`` is the logit.

    None where the head has no probabilities, and where the network's number is not finite.
    """

    rank: int
    index: int
    id: str
    name: str
    probability: float | None
    score: float | None


@dataclass(frozen=True, slots=True)
class ExplanationRecord:
    """One map of one picture; ``peak`` is its hottest pixel ``(x, y)`` in the picture, or None.

    ``slot`` says why the class was chosen: ``top1``, ``class281``. ``files`` are the written files
    by kind, ``sizes`` their bytes. ``heat`` is the map itself on its grid, scaled to 0..1, as
    ``cam.compact`` writes it; '' for empty maps and in older records. ``cells`` say where that lies
    in the network's input, as ``cam.location`` does.
    """

    index: int
    id: str
    name: str
    probability: float | None
    score: float | None
    empty: bool
    empty_reason: str
    peak: tuple[int, int] | None
    files: Mapping[str, str]
    sizes: Mapping[str, int]
    slot: str = ""
    method: str = ""
    layer: str = ""
    heat: str = ""
    cells: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a picture failed: ``kind`` for grouping, ``message`` for people."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one picture. File paths are relative to the output folder.

    ``warning`` concerns the picture; ``notes`` say what was found out about the model.
    ``files`` are those that show the whole picture, by kind, and ``sizes`` their bytes.
    ``digests`` tell, by name, what is in all of the picture's files, and ``written_ns`` when they
    were in place. ``batch_size`` is how many pictures went through the network at once: numbers
    depend on it in their last bits.
    """

    source: str
    status: str
    error: Failure | None = None
    width: int = 0
    height: int = 0
    sha256: str = ""
    size: int = 0
    mtime_ns: int = 0
    warning: str = ""
    notes: tuple[str, ...] = ()
    model: str = ""
    weights: str = ""
    score_kind: str = ""
    precision: str = ""
    batch_size: int = 0
    settings: str = ""
    predictions: tuple[Prediction, ...] = ()
    explanations: tuple[ExplanationRecord, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    written_ns: int = 0
    version: int = SCHEMA_VERSION
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Return whether the picture could not be finished."""
        return self.status == "failed"

    @property
    def empty(self) -> bool:
        """Return whether any of the picture's maps has nothing to show."""
        return any(explanation.empty for explanation in self.explanations)

    def every_file(self) -> list[tuple[str, int]]:
        """Return the names and sizes of all files that show the picture."""
        groups = [(self.files, self.sizes), *((e.files, e.sizes) for e in self.explanations)]
        return [(name, sizes[kind]) for files, sizes in groups for kind, name in files.items()]

    def to_json(self) -> str:
        """Return the record as one line of JSON, without the line's end."""
        values = _values(self)
        values = {"schema_version": values.pop("version"), **values}
        return json.dumps(values, default=_values, ensure_ascii=True, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Return the record of one manifest line; raises ValueError when it is not whole."""
        try:
            values: dict[str, Any] = json.loads(line, parse_constant=_no_number)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        try:
            values["version"] = values.pop("schema_version")
            if values["version"] not in (1, SCHEMA_VERSION):
                raise ValueError(OTHER_VERSION)
            bytes.fromhex(values["sha256"])
            values["error"] = _sound(Failure(**values["error"])) if values["error"] else None
            values["predictions"] = tuple(
                _sound(Prediction(**row)) for row in values["predictions"]
            )
            of_all: dict[str, Any] = {
                name: values.pop(name) for name in ("method", "layer") if name in values
            }
            values["explanations"] = tuple(
                _explanation({**of_all, **row}) for row in values["explanations"]
            )
            _check_files(values.get("files", {}), values.get("sizes", {}))
            values["digests"] = _digests(values.get("digests", {}))
            values["notes"] = tuple(map(str, values["notes"]))
            return _sound(cls(**values))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a whole record: {error}") from error


@dataclass(frozen=True, slots=True)
class Done:
    """A picture that an earlier run has done; it keeps its place in the list.

    Its record is the line of ``manifest`` that starts at byte ``start``.
    """

    source: str
    empty: bool
    manifest: str = ""
    start: int = 0


def _digests(values: Any) -> Mapping[str, str]:
    if not all(isinstance(each, str) for each in (*values.keys(), *values.values())):
        raise TypeError("a file's digest is not text")
    return dict(values)


def content_digest(data: bytes) -> str:
    """Return 16 hexadecimal digits of what is in a file."""
    return hashlib.sha256(data).hexdigest()[:16]


def _no_number(word: str) -> float:
    raise ValueError(f"not JSON: {word} is not a number")


def _check_files(files: Mapping[str, Any], sizes: Mapping[str, Any]) -> None:
    if files.keys() != sizes.keys():
        raise KeyError("a file without a size")
    for name in files.values():
        if not isinstance(name, str) or b"\0" in os.fsencode(name):
            raise TypeError(f"a file's name is {name!r:.40}")


def _explanation(row: Mapping[str, Any]) -> ExplanationRecord:
    _check_files(row["files"], row["sizes"])
    peak = tuple(row["peak"]) if row["peak"] else None
    if peak and [type(place) for place in peak] != [int, int]:
        raise TypeError("a peak is not a pixel")
    cells = tuple(row.get("cells", ()))
    if not {int, float}.issuperset(map(type, cells)):
        raise TypeError("the place of its cells is not numbers")
    return _sound(ExplanationRecord(**{**row, "peak": peak, "cells": cells}))


_KINDS: Mapping[object, Any] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": (int, float),
    "float | None": (int, float, type(None)),
}
_PLAIN = {
    part: {field.name: _KINDS[field.type] for field in fields(part) if field.type in _KINDS}
    for part in (Record, ExplanationRecord, Prediction, Failure)
}
"""What the plain values of a record's parts may be: a manifest is a file that anybody can write."""

_VALUES = {part: attrgetter(*plain) for part, plain in _PLAIN.items()}
_FOUND_SOUND: set[tuple[type, ...]] = set()
_Part = TypeVar("_Part", Record, ExplanationRecord, Prediction, Failure)


def _sound(part: _Part) -> _Part:
    """Return a part of a record whose values are what they should be; raises TypeError."""
    values: tuple[object, ...] = _VALUES[type(part)](part)
    found = (type(part), *map(type, values))
    if found not in _FOUND_SOUND:  # nearly all are like one before
        for value, (name, kinds) in zip(values, _PLAIN[type(part)].items(), strict=True):
            if not isinstance(value, kinds):
                raise TypeError(f"its {name} is {value!r:.40}")
        _FOUND_SOUND.add(found)
    return part


def _values(part: Any) -> dict[str, Any]:
    """Return a dataclass's values by name; ``asdict`` would copy each, at the cost of the JSON."""
    return {field.name: getattr(part, field.name) for field in fields(part)}
