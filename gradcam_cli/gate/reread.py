"""The result file of a check or an audit, read again: bounded, and checked to its last number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.baseline import ClassMapEntry, Named, Predicted
from gradcam_cli.gate.outcome import RESULT_VERSION, Status
from gradcam_cli.gate.packed import PackedMap, unpack
from gradcam_cli.regular import read_bounded

_MAKES = "`gradcam check BASELINE -o check.json` writes one"

_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_Sentences = tuple[Annotated[str, msgspec.Meta(max_length=20_000)], ...]
_Beyond = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Length = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


class ReadNumber(msgspec.Struct, frozen=True):
    """One number of a map, its limit, and how many times that is reached."""

    name: _Text
    value: float
    limit: float | None
    beyond: _Beyond


class ReadMap(msgspec.Struct, frozen=True):
    """One side of a pair; ``empty`` says why the map shows nothing, or is empty."""

    layer: _Text
    probability: float | None
    score: float | None
    empty: _Text
    map: PackedMap


class ReadPair(Named, frozen=True):
    """One explained class: its map in the baseline and now, None where there is none."""

    slot: _Text
    method: _Text
    numbers: tuple[ReadNumber, ...]
    before: ReadMap | None
    now: ReadMap | None

    def entry(self, side: ReadMap) -> ClassMapEntry:
        """Return one side as a baseline has it."""
        return ClassMapEntry(
            index=self.index,
            id=self.id,
            name=self.name,
            probability=side.probability,
            score=side.score,
            slot=self.slot,
            method=self.method,
            layer=side.layer,
            empty=side.empty,
            map=side.map,
        )


class ReadAnswer(msgspec.Struct, frozen=True):
    """What a model said of a picture with this content."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    predictions: tuple[Predicted, ...]


class ReadPicture(msgspec.Struct, frozen=True):
    """What became of one picture; ``width`` and ``height`` are 0 where they are not known."""

    picture: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    status: Status
    beyond: _Beyond
    reasons: _Sentences
    notes: _Sentences
    width: _Length
    height: _Length
    before: ReadAnswer | None
    now: ReadAnswer | None
    maps: tuple[ReadPair, ...]


class ReadPlace(msgspec.Struct, frozen=True):
    """Where the heat of a class lies, whatever the picture."""

    name: _Text
    pictures: int
    share: float
    chance: float | None
    one_place: bool


class Read(msgspec.Struct, frozen=True):
    """A whole result."""

    schema_version: int
    kind: Literal["check", "audit"]
    baseline: _Text
    changes: _Sentences
    limits: Mapping[str, Any]
    places: tuple[ReadPlace, ...]
    pictures: tuple[ReadPicture, ...]


class _Version(msgspec.Struct):
    schema_version: int
    kind: str


def read_result(path: Path) -> Read:
    """Read a result file.

    Raises GradcamError when it cannot be read, is not one, is of another version, or is damaged.
    """
    try:
        data = read_bounded(path, "CHECK")
    except OSError as error:
        raise GradcamError(f"cannot read {path}: {error.strerror}", _MAKES) from None
    _check_version(data, path)
    try:
        result = msgspec.json.decode(data, type=Read)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from None
    for picture in result.pictures:
        for pair in picture.maps:
            if pair.before is None and pair.now is None:
                raise _damaged(path, f"a class of {picture.picture} has no map at all")
            for side in filter(None, (pair.before, pair.now)):
                try:
                    unpack(side.map)
                except ValueError as error:
                    raise _damaged(path, f"a map of {picture.picture}: {error}") from None
    return result


def _check_version(data: bytes, path: Path) -> None:
    """Raise GradcamError for what is not a result, or one of another version."""
    try:
        version = msgspec.json.decode(data, type=_Version).schema_version
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise GradcamError(
            f"{path} is neither a run's folder nor the result of a check", _MAKES
        ) from None
    if version != RESULT_VERSION:
        raise GradcamError(
            f"{path} has format {version}, and this version of gradcam reads {RESULT_VERSION}",
            "use the version that made it, or check again",
        )


def _damaged(path: Path, why: object) -> GradcamError:
    said = " ".join(str(why).split())[:300]
    return GradcamError(f"the result {path} is damaged: {said}", "check again with -o")
