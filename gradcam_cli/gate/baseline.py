"""The baseline file: a head that says how it was made, then a picture a line.

It is JSON with sorted keys and rounded numbers, small enough to commit, and laid out so that ``git
diff`` shows which pictures changed. Whoever reads it may have it from somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.packed import PackedMap, unpack
from gradcam_cli.regular import read_bounded
from gradcam_cli.store.atomic import write_bytes

SCHEMA_VERSION = 1

_AGAIN = "make it again with `gradcam baseline`, or get it from version control"

_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_Index = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
_Probability = Annotated[float, msgspec.Meta(ge=0, le=1.001)]
_Length = Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]


class Named(msgspec.Struct, frozen=True):
    """A class by its index and its names."""

    index: _Index
    id: _Text
    name: _Text


class Predicted(Named, frozen=True):
    """A class of the top-k; ``probability`` is None where the model has none."""

    probability: _Probability | None
    score: float | None


class ClassMapEntry(Predicted, frozen=True):
    """One explained class; ``empty`` says why its map shows nothing, or is empty."""

    slot: _Text
    method: _Text
    layer: _Text
    empty: _Text
    map: PackedMap


class Entry(msgspec.Struct, frozen=True):
    """One picture: what the model said of it. ``picture`` is its path from the baseline's folder.

    ``sha256`` is of the file, ``width`` and ``height`` are the upright picture's.
    """

    picture: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    width: _Length
    height: _Length
    predictions: Annotated[tuple[Predicted, ...], msgspec.Meta(min_length=1)]
    maps: Annotated[tuple[ClassMapEntry, ...], msgspec.Meta(min_length=1)]


class Classes(msgspec.Struct, frozen=True):
    """The model's classes, and which are explained: the ``top`` likeliest, and some ``fixed``.

    ``labels`` is a digest of all their names, empty where they have none.
    """

    count: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
    labels: _Text
    top: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    fixed: tuple[Named, ...]


class Head(msgspec.Struct, frozen=True):
    """How a baseline was made.

    ``asked`` are the settings of model, images and explanations by group, files by their path from
    the baseline's folder; ``model`` is the model's fingerprint; ``decided`` was left to the
    machine; ``versions`` are those of the program and its libraries.
    """

    asked: Mapping[str, Mapping[str, Any]]
    model: Mapping[str, Any]
    classes: Classes
    decided: Mapping[str, Any]
    versions: Mapping[str, str]


class Baseline(msgspec.Struct, frozen=True):
    """A whole baseline: its head, and its pictures by path."""

    head: Head
    entries: dict[str, Entry]


class _File(Head, frozen=True, kw_only=True):
    gradcam_baseline: int
    pictures: list[Entry]


class _Version(msgspec.Struct):
    gradcam_baseline: int


def read_baseline(path: Path) -> Baseline:
    """Read a baseline, bounded and checked to its last number.

    Raises GradcamError when it cannot be read, is not one, is of another version, or is damaged.
    """
    try:
        data = read_bounded(path, "BASELINE")
    except OSError as error:
        hint = "`gradcam baseline SOURCES -o FILE` makes one"
        raise GradcamError(f"cannot read the baseline {path}: {error.strerror}", hint) from None
    _check_version(data, path)
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from None
    entries = {entry.picture: entry for entry in file.pictures}
    if not entries:
        raise GradcamError(f"the baseline {path} holds no picture", _AGAIN)
    if len(entries) != len(file.pictures):
        raise _damaged(path, "a picture is in it twice")
    for entry in file.pictures:
        for item in entry.maps:
            try:
                values = unpack(item.map)
            except ValueError as error:
                raise _damaged(path, f"a map of {entry.picture}: {error}") from None
            if values is None and not item.empty:
                raise _damaged(path, f"a map of {entry.picture} has no numbers")
    head = Head(file.asked, file.model, file.classes, file.decided, file.versions)
    return Baseline(head, entries)


def _check_version(data: bytes, path: Path) -> None:
    """Raise GradcamError for what is not a baseline, or one of another version."""
    try:
        version = msgspec.json.decode(data, type=_Version).gradcam_baseline
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise GradcamError(
            f"{path} is not a baseline, or is damaged", "`gradcam baseline` makes one"
        ) from None
    if version != SCHEMA_VERSION:
        raise GradcamError(
            f"the baseline {path} has format {version}, and this version of gradcam reads "
            f"{SCHEMA_VERSION}",
            "use the version that made it, or make it again with `gradcam baseline`",
        )


def write_baseline(path: Path, head: Head, entries: Iterable[Entry]) -> None:
    """Write a baseline whole or not at all; the pictures are sorted by their paths."""
    write_bytes(path, _pieces(head, sorted(entries, key=lambda entry: entry.picture)))


def _pieces(head: Head, entries: Iterable[Entry]) -> Iterator[bytes]:
    values = {"gradcam_baseline": SCHEMA_VERSION, **msgspec.to_builtins(head)}
    text = msgspec.json.format(msgspec.json.encode(values, order="sorted"), indent=1)
    yield text.removesuffix(b"\n}") + b',\n "pictures": [\n'
    before = b""
    for entry in entries:
        yield before + msgspec.json.encode(entry, order="sorted")
        before = b",\n"
    yield b"\n ]\n}\n"


def _damaged(path: Path, why: object) -> GradcamError:
    said = str(why).replace("\n", " ")[:300]
    return GradcamError(f"the baseline {path} is damaged: {said}", _AGAIN)
