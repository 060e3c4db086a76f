"""All that came out of a check or an audit, as one JSON file, and in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from gradcam_cli.gate.audit import Place
from gradcam_cli.gate.baseline import ClassMapEntry, Entry
from gradcam_cli.gate.judge import Case, MapCase
from gradcam_cli.gate.outcome import FINE, ORDER, RESULT_VERSION, counted, word_of
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.text import encodable


@dataclass(frozen=True, slots=True)
class Result:
    """What a ``check`` or an ``audit`` found, worst first.

    ``baseline`` is the file's path, empty for an audit. ``changes`` say in words what differs in
    model and settings from how the baseline was made; ``limits`` are those asked for.
    """

    kind: str
    cases: Sequence[Case]
    places: Sequence[Place] = ()
    baseline: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    changes: Sequence[str] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """Return how many pictures ended how."""
        return Counter(case.status for case in self.cases)

    @property
    def shortcuts(self) -> list[Place]:
        """Return the classes whose heat lies too much in one place, by a limit that was given."""
        return [each for each in self.places if each.measured and each.measured.beyond > 1]

    @property
    def differs(self) -> bool:
        """Return whether anything differs, or passes a limit."""
        counts = self.counts
        return bool(counts["changed"] or counts["missing"] or counts["new"] or self.shortcuts)

    @property
    def passed(self) -> bool:
        """Return whether every picture was looked at, and nothing differs."""
        return not self.differs and not self.counts["failed"]

    @property
    def compared(self) -> bool:
        """Return whether any picture was looked at."""
        return any(case.now is not None for case in self.cases)

    def word(self, case: Case) -> str:
        """Return how a picture ended, for people."""
        return word_of(self.kind, case.status)

    def wrong(self) -> list[Case]:
        """Return the cases that keep the result from passing, worst first."""
        return [case for case in self.worst_first() if case.status not in FINE]

    def worst_first(self) -> list[Case]:
        """Return the cases, those that changed most first."""
        place = {status: number for number, status in enumerate(ORDER)}
        return sorted(self.cases, key=lambda case: (place[case.status], -case.beyond, case.picture))

    def sentence(self) -> str:
        """Return the counts as one line."""
        names = [place.name for place in self.shortcuts]
        return counted(self.kind, [case.status for case in self.cases], names)


def write_result(path: Path, result: Result) -> None:
    """Write a result whole or not at all: a head, then a picture a line, worst first."""
    write_bytes(path, _pieces(result))


def _pieces(result: Result) -> Iterator[bytes]:
    head = {
        "schema_version": RESULT_VERSION,
        "kind": result.kind,
        "passed": result.passed,
        "counts": dict(result.counts),
        "baseline": encodable(result.baseline),
        "model": result.model,
        "changes": list(result.changes),
        "limits": result.limits,
        "places": [place_values(each) for each in result.places],
    }
    text = msgspec.json.format(msgspec.json.encode(head, order="sorted"), indent=1)
    yield text.removesuffix(b"\n}") + b',\n "pictures": [\n'
    before = b""
    for case in result.worst_first():
        yield before + msgspec.json.encode(case_values(case), order="sorted")
        before = b",\n"
    yield b"\n ]\n}\n"


def case_values(case: Case) -> dict[str, Any]:
    """Return what became of a picture as JSON values."""
    shown = case.now or case.before
    return {
        "picture": encodable(case.picture),
        "status": case.status,
        "beyond": round(case.beyond, 4),
        "reasons": list(map(encodable, case.reasons)),
        "notes": list(map(encodable, case.notes)),
        "width": shown.width if shown else 0,
        "height": shown.height if shown else 0,
        "before": _entry(case.before),
        "now": _entry(case.now),
        "maps": [_pair(pair) for pair in case.maps],
        "files": {kind: encodable(name) for kind, name in case.files.items()},
    }


def place_values(place: Place) -> dict[str, Any]:
    """Return where the heat of a class lies as JSON values."""
    return {
        "index": place.index,
        "name": place.name,
        "pictures": place.pictures,
        "share": round(place.share, 4),
        "sameness": place.sameness and round(place.sameness, 4),
        "chance": place.chance,
        "one_place": place.found,
        "centre": [round(each, 4) for each in place.centre],
        "mean": [[round(float(cell), 6) for cell in row] for row in place.mean],
        "ranked": [[encodable(name), round(share, 4)] for name, share in place.ranked[:100]],
    }


def _entry(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"sha256": entry.sha256, "predictions": msgspec.to_builtins(entry.predictions)}


def _pair(pair: MapCase) -> dict[str, Any]:
    shown = pair.before or pair.now
    assert shown is not None  # noqa: S101  there is one at least
    return {
        "index": shown.index,
        "id": shown.id,
        "name": shown.name,
        "slot": shown.slot,
        "method": shown.method,
        "resampled": pair.resampled,
        "numbers": [
            {
                "name": number.name,
                "value": round(number.value, 6),
                "limit": number.limit,
                "beyond": round(number.beyond, 4),
            }
            for number in pair.measured
        ],
        "before": _map(pair.before),
        "now": _map(pair.now),
    }


def _map(item: ClassMapEntry | None) -> dict[str, Any] | None:
    if item is None:
        return None
    return {
        "layer": item.layer,
        "probability": item.probability,
        "score": item.score,
        "empty": item.empty,
        "map": msgspec.to_builtins(item.map),
    }
