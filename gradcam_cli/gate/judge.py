"""Two entries of one picture become a verdict: what differs, and how far beyond its limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.baseline import Classes, ClassMapEntry, Entry, Named, Predicted
from gradcam_cli.gate.compare import Likeness, compared, same_frame
from gradcam_cli.gate.outcome import Status
from gradcam_cli.gate.packed import unpack
from gradcam_cli.gate.recorder import labels_digest
from gradcam_cli.models.classes import resolve
from gradcam_cli.models.labels import Labels
from gradcam_cli.spec.gate import GateSpec, Limit, limit_of

_FAINT = 0.02
"""Of a map's largest number: heat below it may come and go with the last bits."""

_FAR = 1000.0
"""How far beyond any limit that counts which is not a number: an empty map, another class."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One number and its limit; ``beyond`` is above 1 where the limit is passed."""

    name: str
    value: float
    limit: float | None
    beyond: float


@dataclass(frozen=True, slots=True)
class MapCase:
    """One explained class: its map in the baseline and now, None where there is none."""

    before: ClassMapEntry | None
    now: ClassMapEntry | None
    likeness: Likeness | None = None
    resampled: bool = False
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What became of one picture. ``reasons`` are sentences on what differs, worst first.

    ``beyond`` is how many times the worst limit is reached: above 1 the picture has changed.
    """

    picture: str
    status: Status
    reasons: tuple[str, ...] = ()
    beyond: float = 0.0
    before: Entry | None = None
    now: Entry | None = None
    maps: tuple[MapCase, ...] = ()
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def index_now(before: Classes, labels: Labels, count: int) -> Callable[[Named], int]:
    """Return what finds a class of the baseline among those of a model with ``count`` classes.

    Where all names are the same, or neither side has any, indices are; otherwise names are
    compared. Raises GradcamError at once, or when it is called, where that is not possible.
    """
    digest = labels_digest(labels)
    if before.count == count and (before.labels == digest or not (before.labels and digest)):
        return lambda named: named.index
    if not (before.labels and digest):
        raise GradcamError(
            f"the baseline's model has {before.count} classes and this one {count}, and there are "
            "no names to compare them by",
            "give the names of its classes with --labels, or make a new baseline",
        )

    def by_name(named: Named) -> int:
        places = [place for place, name in enumerate(labels.names) if name == named.name]
        if named.id and labels.ids and len(places) != 1:
            places = [place for place, each in enumerate(labels.ids) if each == named.id]
        if len(places) != 1:
            how = "none" if not places else f"{len(places)}"
            raise GradcamError(
                f"the baseline explains the class {named.name!r}, and {how} of the model's "
                f"{count} classes are called so",
                "check --labels, or make a new baseline for this model",
            )
        return places[0]

    return by_name


def matching(before: Entry, now: Entry, index: Callable[[Named], int]) -> list[MapCase]:
    """Return the maps of two entries in pairs: of one class, by one method, at one layer.

    Layers are paired by their order, for another architecture calls them otherwise. What has no
    partner is left out where the class was taken for its rank.
    """
    waiting: dict[tuple[int, str], list[ClassMapEntry]] = {}
    for item in now.maps:
        waiting.setdefault((item.index, item.method), []).append(item)
    pairs = []
    for item in before.maps:
        found = waiting.get((index(item), item.method))
        pairs.append(MapCase(item, found.pop(0) if found else None))
    return pairs


class Judge:
    """Compares entries with a baseline's: limits by class, classes by index or name."""

    def __init__(self, gate: GateSpec, before: Classes, labels: Labels, count: int) -> None:
        """Raise GradcamError for a limit of a class that is not there, or other classes."""
        self.index = index_now(before, labels, count)

        def limit(name: str) -> Limit:
            return limit_of(gate, name, lambda typed: resolve(typed, labels, count))

        self._least = {name: limit(f"min_{name}") for name in ("pearson", "spearman", "iou")}
        self._shift, self._change = limit("max_shift"), limit("max_probability_change")

    def __call__(self, picture: str, before: Entry, now: Entry) -> Case:
        """Return what differs between two entries of one picture.

        Raises GradcamError where a class of the baseline is not among the model's.
        """
        reasons: list[tuple[float, str]] = []
        notes: list[str] = []
        if before.sha256 != now.sha256:
            reasons.append((_FAR, "the picture is another one: its file has changed"))
        reasons += self._predicted(before.predictions[0], now)
        pairs = [self._compared(pair, now) for pair in matching(before, now, self.index)]
        for _, found, note in pairs:
            reasons += found
            notes += [note] if note else []
        reasons.sort(key=lambda each: -each[0])
        worst = max(
            [reason[0] for reason in reasons]
            + [number.beyond for pair, _, _ in pairs for number in pair.measured],
            default=0.0,
        )
        return Case(
            picture=picture,
            status="changed" if reasons else "same",
            reasons=tuple(text for _, text in reasons),
            beyond=worst,
            before=before,
            now=now,
            maps=tuple(pair for pair, _, _ in pairs),
            notes=tuple(dict.fromkeys(notes)),
        )

    def _predicted(self, before: Predicted, now: Entry) -> Iterable[tuple[float, str]]:
        """Yield what there is to say where another class is predicted, but for a tie."""
        first, old = now.predictions[0], self.index(before)
        if first.index == old:
            return
        still = _probability(now, old)
        if first.probability is not None and still is not None:
            lead = first.probability - still
            if lead <= (self._change(old) or 0.0):
                return
        yield _FAR, f"predicted {_with(first)}, was {_with(before)}"

    def _compared(self, pair: MapCase, now: Entry) -> tuple[MapCase, list[tuple[float, str]], str]:
        """Return a pair with its numbers, what passes a limit, and what else there is to say."""
        one, other = pair.before, pair.now
        assert one is not None  # noqa: S101  `matching` starts from the baseline's maps
        index, numbers = self.index(one), []
        name, note = one.name or f"class {index}", ""
        chance = other.probability if other else _probability(now, index)
        if chance is not None and one.probability is not None:
            change = abs(chance - one.probability)
            numbers.append(at_most("probability change", change, self._change(index)))
        reasons: list[tuple[float, str]] = []
        likeness, resampled = None, False
        if other is None:
            note = f"{name} is not among the explained classes any more"
            if chance is None:
                reasons.append((_FAR, note))
        else:
            reasons += _emptiness(name, one, other)
            likeness, resampled = _likeness(one, other, now)
            numbers += self._numbers(index, likeness)
            if likeness is None:
                reasons.append((_FAR, f"the map of {name} cannot be compared: not finite"))
        where = which(one, now.maps)
        passed = [number for number in numbers if number.beyond > 1]
        reasons += [(number.beyond, where + sentence(number)) for number in passed]
        done = MapCase(one, other, likeness, resampled, tuple(numbers))
        return done, reasons, note

    def _numbers(self, index: int, likeness: Likeness | None) -> list[Measured]:
        if likeness is None:
            return []
        found = [
            at_least("correlation", likeness.pearson, self._least["pearson"](index)),
            at_least("rank correlation", likeness.spearman, self._least["spearman"](index)),
        ]
        if likeness.iou is not None:
            found.append(
                at_least("IoU of the hottest cells", likeness.iou, self._least["iou"](index))
            )
        if likeness.shift is not None:
            found.append(at_most("shift of the centre", likeness.shift, self._shift(index)))
        return found


def _likeness(one: ClassMapEntry, other: ClassMapEntry, now: Entry) -> tuple[Likeness | None, bool]:
    """Return how alike two maps are, and whether they had to be brought to one grid."""
    before, after = unpack(one.map), unpack(other.map)
    if before is None or after is None:
        return None, False
    frames = one.map.frame, other.map.frame
    found = compared(before, after, frames, (now.height, now.width))
    return found, one.map.grid != other.map.grid or not same_frame(*frames)


def _emptiness(name: str, one: ClassMapEntry, other: ClassMapEntry) -> Iterable[tuple[float, str]]:
    """Yield what there is to say where just one of two maps has heat, more than a breath of it."""
    if bool(one.empty) == bool(other.empty) or _faint(other if one.empty else one):
        return
    if other.empty:
        yield _FAR, f"the map of {name} is empty now ({other.empty})"
    else:
        yield _FAR, f"the map of {name} is not empty any more (it was {one.empty})"


def _faint(item: ClassMapEntry) -> bool:
    values = unpack(item.map)
    return values is not None and bool(values.max() <= _FAINT * np.abs(values).max())


def at_least(name: str, value: float, limit: float | None) -> Measured:
    """Return a number that may not be smaller; how far 1 is missed is what counts."""
    if limit is None:
        return Measured(name, value, None, 0.0)
    return Measured(name, value, limit, _times(1 - value, 1 - limit))


def at_most(name: str, value: float, limit: float | None) -> Measured:
    """Return a number that may not be larger."""
    if limit is None:
        return Measured(name, value, None, 0.0)
    return Measured(name, value, limit, _times(value, limit))


def _times(value: float, limit: float) -> float:
    """Return how many times a limit is reached, bounded; rounding does not pass it."""
    if value <= limit + 1e-9:
        return min(value / limit, 1.0) if limit > 0 else 0.0
    return min(value / limit, _FAR) if limit > 0 else _FAR


def which(item: ClassMapEntry, among: Sequence[ClassMapEntry]) -> str:
    """Return what tells a map from others of its image, to begin a sentence with."""
    if len(among) < 2:
        return ""
    differ = [part for part in ("method", "layer") if len({getattr(m, part) for m in among}) > 1]
    parts = [item.name or f"class {item.index}", *(getattr(item, part) for part in differ)]
    return f"{', '.join(parts)}: "


def sentence(number: Measured) -> str:
    """Return a number that passes its limit as words."""
    return f"{number.name} {number.value:.4g}, limit {number.limit:g}"


def _probability(now: Entry, index: int) -> float | None:
    for row in (*now.maps, *now.predictions):
        if row.index == index:
            return row.probability
    return None


def _with(row: Predicted) -> str:
    name = row.name or f"class {row.index}"
    return name if row.probability is None else f"{name} ({row.probability:.3f})"
