"""What the pictures really show, as folders or a file say, is held against the predictions."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gradcam_cli.errors import GradcamError
from gradcam_cli.regular import read_bounded
from gradcam_cli.store.records import Prediction, Record
from gradcam_cli.text import NotTextError, decoded

BY_FOLDER = "folder"
"""What is typed for: the folder that a picture lies in is named after its class."""

_PICTURE = ("file", "filename", "file_name", "path", "image", "picture", "source", "name", "id")
_CLASS = ("class", "label", "truth", "target", "category", "class_name", "y")
_GAP = re.compile(r"[\s_\-]+")
_HINT = "a line a picture: its file, a comma, its class by name, WordNet id or index"


class Truth:
    """The true class of each picture, as somebody wrote it.

    Without ``rows`` it is the name of the folder that a picture lies in. Otherwise a picture's row
    is the one whose path ends as the picture's does, or the other way round; the longer match wins.
    A row counts for one picture only: that which ``meet`` found to fit it best.

    ``foreign`` counts the labels that are no class of the model, where ``among`` has told which
    there are: such a picture's class is not known.
    """

    def __init__(self, rows: Iterable[tuple[str, str]] | None = None) -> None:
        self.foreign: Counter[str] = Counter()
        self._spellings: set[str] | None = None
        self._rows: dict[str, list[_Row]] | None = None
        if rows is not None:
            self._rows = {}
            for path, label in rows:
                row = _Row(path, _parts(path), label)
                self._rows.setdefault(row.parts[-1], []).append(row)

    def meet(self, sources: Iterable[str]) -> None:
        """Find out which rows fit which of all pictures, before any is asked for its label."""
        for source in sources if self._rows is not None else ():
            parts = _parts(source)
            for row in self._fitting(parts):
                row.offer(parts)

    def among(self, classes: Iterable[tuple[int, str, str]]) -> None:
        """Take the index, id and name of each class that the model has."""
        self._spellings = {each for known in classes for each in _spellings(*known)}

    @property
    def knows(self) -> bool:
        """Return whether it is known which classes the model has."""
        return self._spellings is not None

    def label(self, source: str) -> str:
        """Return what a picture shows, '' where nothing says so, or not clearly."""
        label = self._label(source)
        if label and self._spellings is not None and _spelt(label) not in self._spellings:
            self.foreign[label] += 1
            return ""
        return label

    def _label(self, source: str) -> str:
        parts = _parts(source)
        if self._rows is None:
            return parts[-2] if len(parts) > 1 and parts[-2] not in ("..", "/") else ""
        found = [row for row in self._fitting(parts) if row.best in ((), parts)]
        if len({row.label for row in found}) != 1:
            for row in found:
                row.disputed = len(found) > 1
            return ""
        if any(row.tied for row in found):
            return ""
        return found[0].label

    def unused(self) -> list[str]:
        """Return the paths of rows that no picture was found for."""
        return self._paths(lambda row: not row.best)

    def shared(self) -> list[str]:
        """Return the paths of rows that fit several pictures equally well."""
        return self._paths(lambda row: row.tied)

    def disputed(self) -> list[str]:
        """Return the paths of rows that say different classes of one picture."""
        return self._paths(lambda row: row.disputed)

    def _fitting(self, parts: tuple[str, ...]) -> list[_Row]:
        """Return the rows that fit a picture best."""
        rows = (self._rows or {}).get(parts[-1], ())
        fits = [(row.fit(parts), row) for row in rows]
        longest = max((fit for fit, _ in fits), default=0)
        return [row for fit, row in fits if fit == longest > 0]

    def _paths(self, wanted: Callable[[_Row], bool]) -> list[str]:
        every = (row for group in (self._rows or {}).values() for row in group)
        return list(dict.fromkeys(row.path for row in every if wanted(row)))


@dataclass(slots=True)
class _Row:
    """A row of a file: ``best`` is the picture that it fits best, ``tied`` says that others do so.

    ``disputed`` says that another row fits that picture as well, with another class.
    """

    path: str
    parts: tuple[str, ...]
    label: str
    best: tuple[str, ...] = ()
    tied: bool = False
    disputed: bool = False

    def fit(self, parts: tuple[str, ...]) -> int:
        """Return how many parts of a picture's path are the row's too, 0 where it does not fit."""
        common = min(len(self.parts), len(parts))
        return common if self.parts[-common:] == parts[-common:] else 0

    def offer(self, parts: tuple[str, ...]) -> None:
        """Take a picture that fits, unless another one fits better: a whole path does best."""
        new = self.fit(parts), parts == self.parts
        old = (self.fit(self.best), self.best == self.parts) if self.best else (0, False)
        if new > old:
            self.best, self.tied = parts, False
        elif new == old:
            self.tied = True


def read_truth(asked: str) -> Truth:
    """Return the truth that ``--truth`` asks for; raises GradcamError for a file that has none."""
    if asked == BY_FOLDER:
        return Truth()
    try:
        text = decoded(read_bounded(Path(asked), "--truth", piped=True))
    except OSError as error:
        raise GradcamError(
            f"cannot read {asked}: {error.strerror or error}",
            f"name a CSV file, or say --truth {BY_FOLDER}",
        ) from error
    except NotTextError as error:
        raise GradcamError(f"{asked} is {error.reason}", "save it as UTF-8") from error
    return Truth(_rows(asked, text))


def _rows(name: str, text: str) -> list[tuple[str, str]]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        lines = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise GradcamError(f"{name} is not a CSV file: {error}", _HINT) from error
    picture, label, start = _columns(lines[0] if lines else [])
    rows = []
    for number, row in enumerate(lines[start:], start + 1):
        if len(row) <= max(picture, label) or not row[picture].strip():
            raise GradcamError(f"row {number} of {name} does not name a file and a class", _HINT)
        rows.append((row[picture].strip(), row[label].strip()))
    if not rows:
        raise GradcamError(f"{name} has no rows", _HINT)
    return rows


def _columns(first: Sequence[str]) -> tuple[int, int, int]:
    """Return the columns of pictures and classes, and the first row that has any."""
    names = [cell.strip().casefold() for cell in first]
    picture = next((names.index(name) for name in _PICTURE if name in names), None)
    label = next((names.index(name) for name in _CLASS if name in names), None)
    if picture is None and label is None:
        return 0, 1, 0
    if picture is None:
        picture = 1 if label == 0 else 0
    if label is None:
        label = 1 if picture == 0 else 0
    return picture, label, 1


def _parts(path: str) -> tuple[str, ...]:
    return PurePosixPath(path.replace("\\", "/")).parts or ("",)


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture's truth: the number of its label, and whether the likeliest class is that."""

    label: int
    right: bool


@dataclass(slots=True)
class Verdicts:
    """Predictions held against the truth, one picture after the other.

    ``labels`` are all that were met, in the order of their numbers. ``pairs`` counts pictures by
    label and predicted class, right ones too. ``known`` counts the pictures with both, ``right``
    those whose likeliest class it is, ``among`` those with it among all predictions that were
    written, ``without`` those whose truth nothing says.
    """

    labels: list[str] = field(default_factory=list)
    pairs: Counter[tuple[int, tuple[int, str, str]]] = field(default_factory=Counter)
    known: int = 0
    right: int = 0
    among: int = 0
    without: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, record: Record, label: str) -> Judged | None:
        """Take one picture in; None where its class is not known, or not predicted."""
        if not label:
            self.without += 1
            return None
        spelt = _spelt(label)
        number = self._numbers.setdefault(spelt, len(self._numbers))
        if number == len(self.labels):
            self.labels.append(label)
        if not record.predictions:
            return Judged(number, False)
        first = record.predictions[0]
        right = _is(first, spelt)
        self.known += 1
        self.right += right
        self.among += any(_is(item, spelt) for item in record.predictions)
        self.pairs[number, (first.index, first.id, first.name)] += 1
        return Judged(number, right)

    @property
    def accuracy(self) -> float | None:
        """Return which share of the pictures is right, in 0..1."""
        return self.right / self.known if self.known else None

    def confused(self) -> list[tuple[str, str, int]]:
        """Return what was taken for what, and how often, most often first."""
        wrong = [
            (self.labels[label], name or f"class {index}", count)
            for (label, (index, identity, name)), count in self.pairs.items()
            if not _is_class(index, identity, name, _spelt(self.labels[label]))
        ]
        return sorted(wrong, key=lambda row: (-row[2], row[0], row[1]))

    def classes_of(self, classes: Iterable[tuple[int, str, str]]) -> list[list[int]]:
        """Return, for each label, the numbers of the classes that it may mean."""
        spellings: dict[str, list[int]] = {}
        for number, (index, identity, name) in enumerate(classes):
            for spelling in _spellings(index, identity, name):
                spellings.setdefault(spelling, []).append(number)
        return [spellings.get(_spelt(label), []) for label in self.labels]

    def numbers(self) -> Mapping[str, object]:
        """Return all as JSON values."""
        return {
            "known": self.known,
            "right": self.right,
            "accuracy": self.accuracy,
            "among": self.among,
            "without": self.without,
            "confused": [
                {"truth": truth, "predicted": predicted, "pictures": count}
                for truth, predicted, count in self.confused()
            ],
        }


def _is(item: Prediction, spelt: str) -> bool:
    return _is_class(item.index, item.id, item.name, spelt)


def _is_class(index: int, identity: str, name: str, spelt: str) -> bool:
    return spelt in _spellings(index, identity, name)


def _spellings(index: int, identity: str, name: str) -> set[str]:
    """Return what a class is called: its index only where names are no numbers themselves.

    Folders 1, 2 and 10 are the classes 0, 2 and 1, as they are sorted for training.
    """
    called = {_spelt(name), _spelt(identity)} - {""}
    return called if _spelt(name).isdecimal() else {*called, str(index)}


def _spelt(text: str) -> str:
    """Return a class's name as all ways to write it have in common."""
    return _GAP.sub(" ", text.strip()).casefold()
