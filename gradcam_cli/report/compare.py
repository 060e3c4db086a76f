"""Two runs over the same pictures, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gradcam_cli.store.records import ExplanationRecord, Record


@dataclass(slots=True)
class Others:
    """The records of the other run, found by a picture's path and content.

    Another path with the same content is the same picture sooner than another content at its path.
    ``left`` are those that no picture was found for.
    """

    _by_source: dict[str, Record] = field(default_factory=dict)
    _by_content: dict[str, Record] = field(default_factory=dict)
    _found: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, records: Iterable[Record]) -> Others:
        """Return the other run's records, to be found."""
        made = cls()
        for record in records:
            made._by_source[record.source] = record
            if record.sha256:
                made._by_content.setdefault(record.sha256, record)
        return made

    def find(self, record: Record) -> Record | None:
        """Return the other run's record of the same picture."""
        other = self._by_source.get(record.source)
        if other is None or other.sha256 != record.sha256:
            other = self._by_content.get(record.sha256) or other
        if other is not None:
            self._found.add(other.source)
        return other

    @property
    def left(self) -> int:
        """Return how many of the other run's pictures were never asked for."""
        return len(self._by_source) - len(self._found)


def counterpart(
    item: ExplanationRecord, others: Iterable[ExplanationRecord]
) -> ExplanationRecord | None:
    """Return the other run's map to hold a map against: of the same class, or else its first.

    Of several of a class it is the one by the same method at the same layer, if there is one, or by
    the same method. Empty maps have nothing to be held against.
    """
    filled = [other for other in others if not other.empty]
    same = [other for other in filled if (other.index, other.name) == (item.index, item.name)]

    def unlike(other: ExplanationRecord) -> tuple[bool, bool]:
        return other.method != item.method, other.layer != item.layer

    return min(same, key=unlike) if same else next(iter(filled), None)
