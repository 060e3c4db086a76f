"""One picture's outcome becomes one line of the manifest, and back."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from gradcam_cli.errors import GradcamError

__all__ = [
    "MANIFEST",
    "SCHEMA_VERSION",
    "ExplanationRecord",
    "Failure",
    "Manifest",
    "Prediction",
    "Record",
    "Settings",
    "read_manifest",
]

MANIFEST = "manifest.jsonl"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides a run's pixels and numbers; nothing that does not.

    Batch size, quietness and paths are left out on purpose: they change no result.
    """

    model: str
    weights: str
    scaling: str
    input_size: tuple[int, int]
    labels: str
    classes: tuple[str, ...]
    layer: str
    method: str
    score: str
    top_k: int
    resize: str
    interpolation: str
    intensity: float
    blend: str
    colormap: str
    format: str
    quality: int
    save: tuple[str, ...]

    def digest(self) -> str:
        """Return 16 hexadecimal digits that differ as soon as one setting does."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of a picture's top-k; ``probability`` in 0..1 or None, ``score`` is the logit."""

    rank: int
    index: int
    id: str
    name: str
    probability: float | None
    score: float


@dataclass(frozen=True, slots=True)
class ExplanationRecord:
    """One map of one picture; ``peak`` is its hottest pixel ``(x, y)`` in the picture, or None."""

    index: int
    id: str
    name: str
    probability: float | None
    score: float
    empty: bool
    empty_reason: str
    peak: tuple[int, int] | None
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a picture failed: ``kind`` for grouping, ``message`` for people."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one picture. File paths are relative to the output folder."""

    source: str
    status: str
    error: Failure | None = None
    width: int = 0
    height: int = 0
    sha256: str = ""
    warning: str = ""
    model: str = ""
    weights: str = ""
    layer: str = ""
    method: str = ""
    score_kind: str = ""
    settings: str = ""
    predictions: tuple[Prediction, ...] = ()
    explanations: tuple[ExplanationRecord, ...] = ()
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Tell whether the picture could not be finished."""
        return self.status == "failed"

    @property
    def empty(self) -> bool:
        """Tell whether any of the picture's maps has nothing to show."""
        return any(explanation.empty for explanation in self.explanations)

    def to_json(self) -> str:
        """Return the record as one line of JSON, without the line's end."""
        values = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        return json.dumps(values, ensure_ascii=True, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Return the record of one manifest line; raises ValueError when it is not whole."""
        values: dict[str, Any] = json.loads(line)
        try:
            if values.pop("schema_version") != SCHEMA_VERSION:
                raise ValueError("a manifest of another version")
            values["error"] = Failure(**values["error"]) if values["error"] else None
            values["predictions"] = tuple(Prediction(**row) for row in values["predictions"])
            values["explanations"] = tuple(
                ExplanationRecord(**{**row, "peak": tuple(row["peak"]) if row["peak"] else None})
                for row in values["explanations"]
            )
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a whole record: {error}") from error


class Manifest:
    """The manifest of one output folder, open for appending; a context manager.

    Raises GradcamError when the file cannot be opened or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def append(self, record: Record) -> None:
        """Write one record and hand it to the operating system at once."""
        try:
            self._file.write(record.to_json() + "\n")
            self._file.flush()
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _cannot_write(path: Path, error: OSError) -> GradcamError:
    return GradcamError(
        f"cannot write {path}: {error.strerror or error}",
        "check the disk's free space and the folder's permissions",
    )


def read_manifest(folder: Path) -> Iterator[Record]:
    """Yield the records of an output folder in order; a torn last line is left out.

    Raises GradcamError when there is no manifest, or a line in its middle is not a record.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for number, line in enumerate(file, 1):
                try:
                    yield Record.from_json(line.decode("utf-8"))
                except ValueError as error:
                    if file.tell() >= size and not line.endswith(b"\n"):
                        return
                    raise GradcamError(
                        f"line {number} of {path} is not a record: {error}",
                        "the file was changed by hand or made by another version",
                    ) from error
    except OSError as error:
        raise GradcamError(
            f"cannot read {path}: {error.strerror or error}", "name the output folder of a run"
        ) from error
