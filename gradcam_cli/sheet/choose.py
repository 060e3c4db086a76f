"""Of a run's records, the maps that a sheet shows, in its order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gradcam_cli.errors import GradcamError
from gradcam_cli.models.classes import resolve
from gradcam_cli.models.labels import Labels
from gradcam_cli.store.records import ExplanationRecord, Record

ORDERS = ("surest", "least-sure", "name")

Class = tuple[int, str, str]
"""Index, WordNet id and name."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A map that is shown: its class, and what it is drawn from: files, or the record's heat.

    ``sha256`` is of the image that was explained, ``cells`` say where the map lies in it.
    """

    source: str
    shown: Class
    probability: float | None
    score: float | None
    empty: bool
    overlay: str
    array: str
    heat: str = ""
    sha256: str = ""
    cells: tuple[float, ...] = ()
    method: str = ""
    layer: str = ""

    @property
    def name(self) -> str:
        """Return the class's name."""
        return self.shown[2]

    @property
    def sureness(self) -> float:
        """Return the number that orders by sureness; nothing is known of what is last."""
        known = self.score if self.probability is None else self.probability
        return known if known is not None and math.isfinite(known) else -math.inf


@dataclass(frozen=True, slots=True)
class Choice:
    """Which maps: of these classes (none: each picture's first map), by a method, at a layer.

    Maps by the methods that were ``asked`` for first come first.
    """

    classes: frozenset[int] | None = None
    method: str = ""
    layer: str = ""
    asked: tuple[str, ...] = ()

    def place(self, item: ExplanationRecord) -> int:
        """Return where a map stands by its method; the last place is that of all others."""
        return self.asked.index(item.method) if item.method in self.asked else len(self.asked)


def meant(terms: Sequence[str], seen: Iterable[Class]) -> frozenset[int]:
    """Return the indices of classes that are named by index, WordNet id or name.

    ``seen`` are the classes that the run explained. Raises GradcamError for a class that is not
    among them.
    """
    known = sorted(set(seen))
    labels = Labels(tuple(each[2] for each in known), tuple(each[1] for each in known))
    found = set()
    for term in terms:
        number = term.strip().removeprefix("index:")
        if number.isdecimal() and (indices := {each[0] for each in known} & {int(number)}):
            found |= indices
            continue
        try:
            if number.isdecimal() and number not in labels.names:
                raise GradcamError("no such index")
            named = number if number not in labels.names else f"name:{number}"
            found.add(known[resolve(named, labels, len(known))][0])
        except GradcamError as error:
            if "ambiguous" in error.message:
                raise
            raise GradcamError(f"no map shows the class {term!r}", _those(known)) from error
    return frozenset(found)


def _those(known: Sequence[Class]) -> str:
    few = ", ".join(each[2] for each in known[:8])
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return f"maps show {few}{more}" if known else "the run has no maps"


def chosen(records: Iterable[Record], choice: Choice) -> list[Shown]:
    """Return one map a picture and class that is asked for, in the order of the records.

    Where there are several for a class, by other methods or at other layers, it is the first.
    """
    found = []
    for record in records:
        taken: set[int] = set()
        for item in () if record.failed else sorted(record.explanations, key=choice.place):
            wanted = item.index in choice.classes if choice.classes is not None else not taken
            if wanted and item.index not in taken and _fits(item, choice):
                taken.add(item.index)
                found.append(_shown(record, item))
    return found


def _fits(item: ExplanationRecord, choice: Choice) -> bool:
    return choice.method in ("", item.method) and choice.layer in ("", item.layer)


def _shown(record: Record, item: ExplanationRecord) -> Shown:
    return Shown(
        record.source,
        (item.index, item.id, item.name),
        item.probability,
        item.score,
        item.empty,
        _inside(item.files.get("overlay", "")),
        _inside(item.files.get("array", "")),
        item.heat,
        record.sha256,
        item.cells,
        item.method,
        item.layer,
    )


def _inside(name: str) -> str:
    """Return a file's name if it stays inside the folder: a manifest is anybody's file."""
    path = PurePosixPath(name)
    return "" if path.is_absolute() or ".." in path.parts or "\\" in name else name


def ordered(maps: Iterable[Shown], order: str) -> list[Shown]:
    """Return maps by sureness or by the pictures' names."""
    if order == "name":
        return sorted(maps, key=lambda each: each.source)
    sign = 1 if order == "least-sure" else -1
    return sorted(maps, key=lambda each: (sign * each.sureness, each.source))


def grouped(maps: Iterable[Shown]) -> list[tuple[Class, list[Shown]]]:
    """Return maps by their class, those of the most pictures first."""
    groups: dict[Class, list[Shown]] = {}
    for each in maps:
        groups.setdefault(each.shown, []).append(each)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0][2], item[0]))
