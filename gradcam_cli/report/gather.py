"""The records of a run, alone or beside another's, become all that a page shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gradcam_cli.cam.methods import METHODS
from gradcam_cli.images.proportions import is_far_off
from gradcam_cli.render.again import Look
from gradcam_cli.report.addresses import way_to
from gradcam_cli.report.compare import Others, counterpart
from gradcam_cli.report.maps import Means, border, colours, difference, heat_of
from gradcam_cli.report.rows import ClassKey, Compared, Rows
from gradcam_cli.report.settings import white_level
from gradcam_cli.report.summary import Summary, summarise
from gradcam_cli.report.thumbnails import Shown, Thumbnails
from gradcam_cli.report.truth import Truth, Verdicts
from gradcam_cli.store.records import Record
from gradcam_cli.store.runfile import RunFile
from gradcam_cli.store.stream import ahead

_MOST_SOURCES = 100_000  # whose common folder is looked for


@dataclass(frozen=True, slots=True)
class Run:
    """A run to report on: its folder, its records, and what its ``run.json`` says."""

    folder: Path
    records: Iterable[Record]
    settings: RunFile | None = None
    title: str = ""

    @property
    def name(self) -> str:
        """Return the run's title, or the folder's own name."""
        return self.title or self.folder.resolve().name


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of one picture.

    ``word`` is how it ended, ``fine`` whether that counts for nothing, ``beyond`` how many times
    the worst limit is reached. ``numbers`` are those of its maps: class, name, value, limit or
    None, and how many times the limit is reached.
    """

    word: str
    fine: bool
    beyond: float
    reasons: Sequence[str] = ()
    notes: Sequence[str] = ()
    numbers: Sequence[tuple[ClassKey, str, float, float | None, float]] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check says of all pictures: ``verdicts`` has one for each, in their order.

    ``said`` are sentences, ``limits`` names and values; ``squashed`` says whether all maps cover
    their whole pictures.
    """

    title: str
    sentence: str
    verdicts: Sequence[Verdict]
    said: Sequence[str] = ()
    limits: Sequence[tuple[str, str]] = ()
    squashed: bool = True


@dataclass(slots=True)
class Gathered:
    """All that a page shows, filled record by record.

    ``missing`` counts the maps that no picture shows, ``redrawn`` the overlays that were drawn
    again from their maps, ``guessed`` those of them whose cells may lie elsewhere, ``originals``
    the pictures that were found, ``alone`` those that the other run lacks, ``left`` the other's
    that this one lacks; ``fault`` says why no small pictures could be written. ``checked`` is
    there where the runs are the two sides of a check. ``embed`` says that the page will
    be passed on, and so does not say where images lie on this machine.
    """

    run: Run
    page: Path
    other: Run | None = None
    truth: Truth | None = None
    verdicts: Verdicts | None = None
    rows: Rows = field(default_factory=Rows)
    means: Means[tuple[ClassKey, tuple[str, str]]] = field(default_factory=Means)
    summary: Summary = field(default_factory=lambda: summarise(()))
    sources: list[str] = field(default_factory=list)
    missing: int = 0
    redrawn: int = 0
    guessed: int = 0
    originals: int = 0
    alone: int = 0
    left: int = 0
    fault: str = ""
    checked: Checked | None = None
    embed: bool = False

    @property
    def names(self) -> list[str]:
        """Return what the runs are called, one or two different names."""
        if self.other is None:
            return [self.run.name]
        if self.run.name != self.other.name:
            return [self.run.name, self.other.name]
        return [str(self.run.folder), str(self.other.folder)]

    def add(self, record: Record, shown: Shown, compared: Compared | None) -> None:
        """Take one record in."""
        borders: list[float | None] = []
        for item in record.explanations:
            heat = heat_of(item, self.run.folder)
            borders.append(None if heat is None else border(heat))
            if heat is not None:
                self.means.add(((item.index, item.id, item.name), (item.method, item.layer)), heat)
        judged = None
        if self.verdicts is not None and self.truth is not None:
            judged = self.verdicts.add(record, self.truth.label(record.source))
        self.rows.add(record, shown, borders, judged.label if judged else None, compared)
        for each in (shown, *([compared.shown] if compared else [])):
            self.missing += each.missing
            self.redrawn += each.redrawn
            self.guessed += each.guessed
        self.originals += bool(shown.original or shown.image)
        self.alone += self.other is not None and compared is None
        if len(self.sources) < _MOST_SOURCES:
            self.sources.append(record.source)

    def pieces(self) -> Iterator[bytes]:
        """Yield the JSON of the page, piece by piece."""
        settings = self.run.settings.settings if self.run.settings else {}
        more: dict[str, object] = {
            "colours": colours(settings),
            "titles": {name: each.title for name, each in METHODS.items()},
            "squashed": settings.get("resize", "squash") == "squash",
            "means": [
                [self.rows.class_number(key), self.rows.maker_number(maker), count, heat]
                for (key, maker), count, heat in self.means.written()
            ],
        }
        if self.verdicts is not None:
            meant = self.verdicts.classes_of(self.rows.classes)
            more["truths"] = list(zip(self.verdicts.labels, meant, strict=True))
            more["pairs"] = [
                [label, self.rows.class_number(key), count]
                for (label, key), count in self.verdicts.pairs.items()
            ]
        if self.checked is not None:
            more["squashed"] = self.checked.squashed
            more["checks"] = [self._verdict(each) for each in self.checked.verdicts]
        if self.other is not None:
            more["runs"] = self.names
            more["otherBase"] = base_of(self.other.folder, self.page)
        return self.rows.pieces(more, private=self.embed)

    def _verdict(self, verdict: Verdict) -> list[object]:
        """Return a verdict as data.js reads it."""
        numbers = [[self.rows.class_number(key), *rest] for key, *rest in verdict.numbers]
        reasons, notes = list(verdict.reasons), list(verdict.notes)
        return [verdict.word, verdict.fine, verdict.beyond, reasons, notes, numbers]


def gather(
    run: Run,
    page: Path,
    *,
    other: Run | None = None,
    truth: Truth | None = None,
    embed: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> Gathered:
    """Go through a run's records once, and return all that its page shows.

    ``page`` is where it will lie, ``tick`` is called for every picture. Small pictures are made in
    the folders of the runs, or with ``embed`` in memory.
    """
    found = Gathered(run, page, other, truth, Verdicts() if truth else None, embed=embed)
    found.rows.base = base_of(run.folder, page)
    small = _thumbnails(run, page, embed)
    beside = None
    if other is not None:
        others = Others.of(other.records)
        beside = _Beside(other, others, _thumbnails(other, page, embed), run.folder)

    def work(record: Record) -> tuple[Shown, Compared | None]:
        return small(record), beside(record) if beside else None

    fill(found, work, tick)
    found.fault = small.fault or (beside.small.fault if beside else "")
    found.left = beside.others.left if beside else 0
    return found


def fill(
    found: Gathered,
    work: Callable[[Record], tuple[Shown, Compared | None]],
    tick: Callable[[], object] = lambda: None,
) -> None:
    """Take all records of the run in; ``work`` is called in threads for what is shown of each."""

    def records() -> Iterator[Record]:
        for record, (shown, compared) in ahead(found.run.records, work):
            warned = _warned(record)
            found.add(warned, shown, compared)
            tick()
            yield warned

    found.summary = summarise(records())


def base_of(folder: Path, page: Path) -> str:
    """Return the URL that addresses in a folder begin with, as seen from the page."""
    way = way_to(folder, page)
    return "" if way in (".", "") else way + "/"


def apart(record: Record, folder: Path, other: Record, other_folder: Path) -> float | None:
    """Return how far a picture's first map is from the other run's, 0..1; None without a pair."""
    first = next((item for item in record.explanations if not item.empty), None)
    against = first and counterpart(first, other.explanations)
    if not first or not against:
        return None
    one, two = heat_of(first, folder), heat_of(against, other_folder)
    return None if one is None or two is None else difference(one, two)


def _warned(record: Record) -> Record:
    """Return a record whose notes concern the model: those on the image become its warning."""
    own = [note for note in record.notes if is_far_off(note)]
    if not own:
        return record
    warning = "; ".join([record.warning, *own] if record.warning else own)
    return replace(
        record, warning=warning, notes=tuple(note for note in record.notes if note not in own)
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """The other run, asked for one picture at a time."""

    run: Run
    others: Others
    small: Thumbnails
    folder: Path

    def __call__(self, record: Record) -> Compared | None:
        other = self.others.find(record)
        if other is None:
            return None
        distance = apart(record, self.folder, other, self.run.folder)
        return Compared(other, self.small(other), distance)


def _thumbnails(run: Run, page: Path, embed: bool) -> Thumbnails:
    look = Look.of(run.settings.settings if run.settings else {})
    look = replace(look, white=white_level(run.settings))
    return Thumbnails(run.folder, page, look, embed)
