"""A run's records become numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gradcam_cli.store.records import Prediction, Record

USED = ("model", "weights", "layer", "method", "score_kind", "precision")
"""What of a record says how its maps were made."""

_ENDLESS = 1e300
_Key = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class ClassCount:
    """The images whose likeliest class is this one.

    ``probability`` is the mean over those that have one, None without any. ``maps`` are all maps
    that explain this class, of whatever image, ``empty`` those with nothing to show.
    """

    index: int
    id: str
    name: str
    pictures: int
    probability: float | None
    maps: int
    empty: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers; all counts by name have the most frequent first.

    ``failed`` counts images by kind, ``empty`` maps by reason, ``used`` images by each of
    ``USED``, ``settings`` images by their digest.
    """

    pictures: int
    done: int
    failed: Mapping[str, int]
    with_empty: int
    with_warning: int
    maps: int
    empty: Mapping[str, int]
    used: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, int]
    notes: tuple[str, ...]
    classes: tuple[ClassCount, ...]


def summarise(records: Iterable[Record]) -> Summary:
    """Count records, one after the other; none stays in memory."""
    count = _Count()
    for record in records:
        count.add(record)
    failures = sum(count.failed.values())
    return Summary(
        pictures=count.pictures,
        done=count.pictures - failures,
        failed=_ordered(count.failed),
        with_empty=count.with_empty,
        with_warning=count.with_warning,
        maps=count.maps,
        empty=_ordered(count.empty),
        used={name: _ordered(values) for name, values in count.used.items()},
        settings=_ordered(count.settings),
        notes=tuple(count.notes),
        classes=tuple(count.ordered_classes()),
    )


def finite(number: float | None) -> float | None:
    """Return a number that can be summed and written, or None: a manifest may hold any."""
    return float(number) if number is not None and abs(number) < _ENDLESS else None


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())


@dataclass(slots=True)
class _Class:
    pictures: int = 0
    known: int = 0
    total: float = 0.0


@dataclass(slots=True)
class _Count:
    """What ``summarise`` has counted so far."""

    pictures: int = 0
    with_empty: int = 0
    with_warning: int = 0
    maps: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    used: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in USED}
    )
    settings: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)
    classes: dict[_Key, _Class] = field(default_factory=dict)
    class_maps: Counter[_Key] = field(default_factory=Counter)
    class_empty: Counter[_Key] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        self.pictures += 1
        for name, values in self.used.items():
            parts = record.explanations if name in ("layer", "method") else (record,)
            values.update({getattr(part, name): 1 for part in parts if getattr(part, name)})
        self.settings[record.settings] += 1
        self.with_warning += bool(record.warning)
        self.notes.update(dict.fromkeys(record.notes))
        if record.failed:
            self.failed[record.error.kind if record.error else ""] += 1
            return
        reasons = [item.empty_reason for item in record.explanations if item.empty]
        self.empty.update(reasons)
        self.with_empty += bool(reasons)
        self.maps += len(record.explanations)
        for item in record.explanations:
            key = item.index, item.id, item.name
            self.class_maps[key] += 1
            self.class_empty[key] += item.empty
        if record.predictions:
            self._add_class(record.predictions[0])

    def _add_class(self, first: Prediction) -> None:
        count = self.classes.setdefault((first.index, first.id, first.name), _Class())
        count.pictures += 1
        if (known := finite(first.probability)) is not None:
            count.known += 1
            count.total += known

    def ordered_classes(self) -> Iterable[ClassCount]:
        """Yield the classes, that of most images first, equals in the order of their indices."""
        by_size = sorted(self.classes.items(), key=lambda item: (-item[1].pictures, item[0]))
        for key, count in by_size:
            mean = count.total / count.known if count.known else None
            maps, empty = self.class_maps[key], self.class_empty[key]
            yield ClassCount(*key, count.pictures, mean, maps, empty)
