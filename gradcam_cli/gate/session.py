"""Images stream through a model, and come out as entries, verdicts or audits: nothing is written.

The sinks of ``gradcam baseline``, ``check`` and ``audit`` meet the stream here.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import msgspec

from gradcam_cli.cam.answer import Answer
from gradcam_cli.engine.decide import decided
from gradcam_cli.engine.local import stream
from gradcam_cli.engine.reference import reference
from gradcam_cli.engine.steps import Failed, Prepared, Sink
from gradcam_cli.errors import FailureKind
from gradcam_cli.explainer import Explainer
from gradcam_cli.gate.asked import from_folder, to_folder
from gradcam_cli.gate.audit import Auditor, Place
from gradcam_cli.gate.baseline import Baseline, Entry
from gradcam_cli.gate.judge import Case, Judge, MapCase, sentence, which
from gradcam_cli.gate.recorder import EntryMaker, changes, head_of
from gradcam_cli.gate.result import Result
from gradcam_cli.models.load import Model
from gradcam_cli.models.load import load as load_model
from gradcam_cli.regular import pieces
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.gate import AuditSpec, GateSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.spec.setting import deciding
from gradcam_cli.store.records import Done

R = TypeVar("R")
Drawn = Callable[[Case, Prepared], Case]
"""What draws a case that has changed, and notes the files."""
Sunk = tuple[Case, Found]

_NEW = "it is not in the baseline"
_GONE = "it is in the baseline, and not among the pictures"


def places_of(baseline: Baseline, folder: Path) -> list[Found]:
    """Return the pictures of a baseline that lies in ``folder``, in its order."""
    paths = [(name, from_folder(name, folder)) for name in baseline.entries]
    return [Found(path, str(path), below=name) for name, path in paths]


def entries(
    explainer: Explainer, spec: RunSpec, found: Sequence[Found], folder: Path, stop: Event
) -> Generator[Entry | Failed, None, None]:
    """Yield an entry of every image, in order; those that cannot be used as Failed."""
    maker = EntryMaker(explainer.model.labels, spec.images.top_k, folder)
    yield from _streamed(explainer, spec, found, maker, stop)


@dataclass
class Auditing:
    """One search for shortcuts; ``places`` is filled when all images have been gone through."""

    explainer: Explainer
    spec: RunSpec
    audit: AuditSpec
    found: Sequence[Found]
    places: list[Place] = field(default_factory=list)

    def run(
        self, draw: Drawn | None = None, stop: Event | None = None
    ) -> Generator[Case, None, None]:
        """Yield a case for every image, in order; it has changed where a limit is passed.

        Raises GradcamError for limits of classes that are not there, and regions that cannot be
        used.
        """
        model, stop = self.explainer.model, stop or Event()
        auditor = Auditor(self.audit, model.labels, max(model.classes, 2), self.found)
        maker = EntryMaker(model.labels, self.spec.images.top_k, Path())

        def sink(prepared: Prepared, answer: Answer) -> Sunk:
            start = time.perf_counter()
            now = maker(prepared, answer)
            maps = tuple(MapCase(None, item) for item in now.maps)
            case = Case(prepared.source.source, "same", now=now, maps=maps)
            case = _audited(case, prepared.source, auditor)
            return _drawn(case, prepared, draw, start), prepared.source

        for outcome in _streamed(self.explainer, self.spec, self.found, sink, stop):
            if isinstance(outcome, Failed):
                yield _unusable(outcome)
                continue
            case, source = outcome
            assert case.now is not None  # noqa: S101  the sink made it
            auditor.remember(case.now, source)
            yield case
        self.places += auditor.places()


@dataclass
class Checking:
    """One comparison with a baseline that lies in ``folder``.

    ``every`` are all images that the user named, of which ``found`` are looked at. ``model`` may be
    loaded already. ``places`` is filled when all images have been gone through.
    """

    baseline: Baseline
    folder: Path
    spec: RunSpec
    gate: GateSpec
    every: Sequence[Found]
    found: Sequence[Found]
    audit: AuditSpec = field(default_factory=AuditSpec)
    model: Model | None = None
    places: list[Place] = field(default_factory=list)

    def ready(self) -> Model:
        """Load the model, and find the baseline's classes among its own.

        Raises GradcamError for a model that cannot be had or whose classes are others, and for
        limits of classes that are not there.
        """
        self.model, _ = reference(self.model or load_model(self.spec.model), self.spec)
        count, classes = max(self.model.classes, 2), self.baseline.head.classes
        self._judge = Judge(self.gate, classes, self.model.labels, count)
        for entry in self.baseline.entries.values():
            for named in (entry.predictions[0], *entry.maps):
                self._judge.index(named)
        asked = self.audit != AuditSpec(border=self.audit.border)
        self._auditor = Auditor(self.audit, self.model.labels, count, self.found) if asked else None
        return self.model

    def explainer(self) -> Explainer:
        """Make ready, and trace the model for the baseline's classes.

        One more of the likeliest is explained than the baseline has, so that a class that another
        one just overtakes is still compared.
        """
        model, classes, explain = self.ready(), self.baseline.head.classes, self.spec.explain
        assert explain is not None  # noqa: S101  a baseline always explains
        if explain.target is not None or explain.like is not None:  # a similarity has no classes
            return decided(model, self.spec, len(self.found))
        top = min(classes.top + 1, max(model.classes, 2))
        terms = [f"top{top}"] if classes.top else []
        terms += [f"index:{self._judge.index(named)}" for named in classes.fixed]
        spec = replace(self.spec, explain=replace(explain, classes=tuple(terms)))
        return decided(model, spec, len(self.found))

    def run(
        self, explainer: Explainer, draw: Drawn | None = None, stop: Event | None = None
    ) -> Generator[Case, None, None]:
        """Yield a case for every image, in order, then one for each that is missing.

        ``draw`` is called in threads with every case that has changed.
        """
        stop, known = stop or Event(), self.baseline.entries
        maker = EntryMaker(explainer.model.labels, self.spec.images.top_k, self.folder)
        by_content: dict[str, list[Entry]] = {}
        for entry in known.values():
            by_content.setdefault(entry.sha256, []).append(entry)
        seen = self._named(by_content)

        def sink(prepared: Prepared, answer: Answer) -> Sunk:
            start = time.perf_counter()
            now = maker(prepared, answer)
            before = known.get(now.picture) or next(iter(by_content.get(now.sha256, ())), None)
            picture = prepared.source.source
            if before is None:
                case = Case(picture, "new", (_NEW,), now=now, maps=self._asked(now))
                case = _but(case, self.gate.allow_new)
            else:
                case = self._judge(picture, before, now)
            case = _audited(case, prepared.source, self._auditor) if self._auditor else case
            return _drawn(case, prepared, draw, start), prepared.source

        for outcome in _streamed(explainer, self.spec, self.found, sink, stop):
            if isinstance(outcome, Failed):
                yield self._unusable(outcome)
                continue
            case, source = outcome
            if case.now is not None:
                seen |= _those(case.now, known, by_content)
            if self._auditor is not None and case.now is not None:
                maps = tuple(pair.now for pair in case.maps if pair.now)
                self._auditor.remember(msgspec.structs.replace(case.now, maps=maps), source)
            yield case
        if not stop.is_set():
            yield from (self._gone(name) for name in known if name not in seen)
            self.places += self._auditor.places() if self._auditor else []

    def result(self, path: Path, explainer: Explainer, cases: Sequence[Case]) -> Result:
        """Return all that came out, with what differs in model and settings from the baseline."""
        now = head_of(self.spec, explainer, self.folder)
        said = changes(self.baseline.head, now)
        count = sum(any(pair.resampled for pair in case.maps) for case in cases)
        if count:
            said.append(f"maps of other grids were resampled to be compared: {count} pictures'")
        limits = {**_plain(self.gate), **_plain(self.audit)}
        return Result(
            kind="check",
            cases=cases,
            places=self.places,
            baseline=str(path),
            model=now.model,
            changes=said,
            limits=limits,
        )

    def _asked(self, now: Entry) -> tuple[MapCase, ...]:
        """Return a new image's maps, but for that of the one more class that is explained."""
        more = f"top{self.baseline.head.classes.top + 1}"
        return tuple(MapCase(None, item) for item in now.maps if item.slot != more)

    def _named(self, by_content: Mapping[str, list[Entry]]) -> set[str]:
        """Return the entries of all images that the user named, looked at or not.

        Those that lie elsewhere and are not looked at (``--shard``) are known by their content.
        """
        seen = {to_folder(found.path, self.folder) for found in self.every}
        looked_at = {found.source for found in self.found}
        for found in self.every:
            name = to_folder(found.path, self.folder)
            if found.source not in looked_at and name not in self.baseline.entries:
                content = hashlib.sha256()
                with suppress(OSError):  # what cannot be read is not looked at either
                    for piece in pieces(found.path):
                        content.update(piece)
                seen |= {entry.picture for entry in by_content.get(content.hexdigest(), ())}
        return seen

    def _unusable(self, outcome: Failed) -> Case:
        name = to_folder(outcome.source.path, self.folder)
        known = name in self.baseline.entries
        if outcome.error.kind is FailureKind.VANISHED and known:
            return self._gone(name)
        return replace(_unusable(outcome), before=self.baseline.entries.get(name))

    def _gone(self, name: str) -> Case:
        picture = str(from_folder(name, self.folder))
        before = self.baseline.entries[name]
        return _but(Case(picture, "missing", (_GONE,), before=before), self.gate.allow_missing)


def _those(
    now: Entry, known: Mapping[str, Entry], by_content: Mapping[str, list[Entry]]
) -> set[str]:
    """Return the entries that an image stands for: that of its path, or all of its content."""
    if now.picture in known:
        return {now.picture}
    return {entry.picture for entry in by_content.get(now.sha256, ())}


def _plain(group: GateSpec | AuditSpec) -> dict[str, Any]:
    """Return the values of a group as JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(deciding(group), default=str))
    return values


def _streamed(
    explainer: Explainer,
    spec: RunSpec,
    found: Sequence[Found],
    sink: Sink[R],
    stop: Event,
) -> Generator[R | Failed, None, None]:
    with closing(stream(found, explainer, spec.images, sink, stop)) as outcomes:
        for outcome in outcomes:
            assert not isinstance(outcome, Done)  # noqa: S101  nothing was done before
            yield outcome


def _unusable(outcome: Failed) -> Case:
    error = outcome.error
    return Case(outcome.source.source, "failed", (f"{error.kind.value}: {error.message}",))


def _but(case: Case, allowed: bool) -> Case:
    """Return a case as one that counts for nothing where what it is about is allowed."""
    return replace(case, status="allowed", reasons=(), notes=case.reasons) if allowed else case


def _audited(case: Case, source: Found, auditor: Auditor) -> Case:
    """Return a case with what was measured of its maps, changed where a limit is passed."""
    assert case.now is not None  # noqa: S101  only images that were explained come here
    numbers = dict(zip(map(id, case.now.maps), auditor(case.now, source), strict=True))
    maps, reasons = [], []
    for pair in case.maps:
        found = numbers.get(id(pair.now), ())
        maps.append(replace(pair, measured=(*pair.measured, *found)))
        where = which(pair.now, case.now.maps) if pair.now else ""
        reasons += [(each.beyond, where + sentence(each)) for each in found if each.beyond > 1]
    if not reasons:
        return replace(case, maps=tuple(maps))
    reasons.sort(key=lambda each: -each[0])
    return replace(
        case,
        status="changed",
        reasons=(*case.reasons, *(text for _, text in reasons)),
        beyond=max(case.beyond, reasons[0][0]),
        maps=tuple(maps),
    )


def _drawn(case: Case, prepared: Prepared, draw: Drawn | None, start: float) -> Case:
    if draw is not None and case.status == "changed":
        case = draw(case, prepared)
    return replace(case, seconds=prepared.seconds + time.perf_counter() - start)
