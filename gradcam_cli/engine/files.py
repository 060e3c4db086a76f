"""The sink of ``gradcam run``: an answer's files are written, and a record says what they show."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from gradcam_cli.cam.answer import Answer, ClassMap
from gradcam_cli.cam.compact import compact
from gradcam_cli.cam.location import stated
from gradcam_cli.cam.maps import normalised
from gradcam_cli.engine.steps import Failed, Prepared, drawable
from gradcam_cli.images.fit import peak
from gradcam_cli.images.proportions import far_off
from gradcam_cli.models.classes import describe
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.load import Model
from gradcam_cli.render.artifacts import drawn
from gradcam_cli.render.drawing import Caption, to_draw
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.store.names import layer_names, map_part
from gradcam_cli.store.records import ExplanationRecord, Failure, Prediction, Record, content_digest

UNPLACED = "the grid's place in the picture is not known: it is stretched over the whole input"
"""A note on the model and its layer, not on any one picture."""


class _Made(NamedTuple):
    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Recorder:
    """Makes records of outcomes, and, with an output folder, the files that they name.

    ``settings`` is the digest of what decides results; ``stem(source)`` gives the path below the
    folder that a source's files begin with.
    """

    model: Model
    spec: RunSpec
    settings: str
    output: Path | None = None
    stem: Callable[[str], str] = str

    def __call__(self, prepared: Prepared, answer: Answer) -> Record:
        """Return an image's record, when its files are in place.

        Raises ImageError when they cannot be made for this image, GradcamError when none can.
        """
        start = time.perf_counter()
        image, facts, asked = prepared.image, answer.facts, self.spec.explain
        explained = asked is not None and bool(answer.maps)
        notes = (*self.model.notes, *self.model.warnings)
        if any(each.layer and each.cells is None for each in answer.maps):
            notes = (*notes, UNPLACED)
        parts = _parts(answer)
        files = self._files(prepared, answer, parts)
        return Record(
            source=prepared.source.source,
            status="ok",
            width=image.width,
            height=image.height,
            sha256=image.sha256,
            size=image.size,
            mtime_ns=image.mtime_ns,
            warning=image.warning,
            notes=(*notes, *does_not_fit(prepared, self.model, self.spec.images.resize)),
            model=self.model.name,
            weights=self.model.weights,
            score_kind=_score_kind(asked) if asked and explained else "",
            precision=facts.precision,
            batch_size=facts.batch_size,
            settings=self.settings,
            files={kind: made.name for kind, made in files.get("", {}).items()},
            sizes={kind: made.size for kind, made in files.get("", {}).items()},
            predictions=_predictions(answer, self.model.labels, self.spec.images.top_k),
            explanations=tuple(
                _explanation(each, prepared, self.model.labels, files.get(part, {}))
                for each, part in zip(answer.maps, parts, strict=True)
            ),
            digests={made.name: made.digest for each in files.values() for made in each.values()},
            written_ns=time.time_ns() if files else 0,
            seconds=round(prepared.seconds + time.perf_counter() - start, 4),
        )

    def failed(self, outcome: Failed) -> Record:
        """Return the record of an image that could not be used."""
        error = outcome.error
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        return Record(
            source=outcome.source.source,
            status="failed",
            error=Failure(error.kind.value, message),
            model=self.model.name,
            weights=self.model.weights,
            settings=self.settings,
        )

    def _files(
        self, prepared: Prepared, answer: Answer, parts: Sequence[str]
    ) -> dict[str, dict[str, _Made]]:
        """Write an answer's files; return them by their part of the name, and by kind.

        ``parts`` are those of its maps; files that show all maps at once have none.
        """
        if self.output is None or not answer.maps:
            return {}
        stem, save = self.stem(prepared.source.source), self.spec.draw.save
        files: dict[str, dict[str, _Made]] = {}
        with drawable(prepared, self.spec.images.white) as pixels:
            whole = to_draw(
                pixels,
                prepared.placement,
                answer.maps,
                self.spec.draw,
                self.spec.images.resize,
                _captions(answer, self.model.labels),
            )
            single = [
                (part, replace(whole, maps=(each,)), "map")
                for each, part in zip(answer.maps, parts, strict=True)
            ]
            for part, drawing, per in [*single, ("", whole, "image")]:
                for kind, ending, data in drawn(drawing, save, per):
                    name = stem + part + ending
                    write_bytes(self.output / name, data)
                    made = _Made(name, len(data), content_digest(data))
                    files.setdefault(part, {})[kind] = made
        return files


def _parts(answer: Answer) -> list[str]:
    """Return what the names of each map's files have between the image's stem and the ending."""
    layers = [layer.path for layer in answer.facts.layers]
    names = layer_names(layers) if len(layers) > 1 else {}
    return [map_part(each.slot, each.method, names.get(each.layer, "")) for each in answer.maps]


def _score_kind(asked: ExplainSpec) -> str:
    return asked.score if asked.target is None and asked.like is None else "similarity"


def does_not_fit(prepared: Prepared, model: Model, resize: str) -> tuple[str, ...]:
    """Return what there is to say of an image that does not fit the network's input well."""
    size = prepared.image.height, prepared.image.width
    sentence = far_off(size, model.ports.size, resize, model.ports.transposed)
    return (sentence,) if sentence else ()


def _captions(answer: Answer, labels: Labels) -> dict[int, Caption]:
    """Return the names and ranks of an answer's explained classes."""
    ranks = {int(index): rank for rank, index in enumerate(answer.order, 1)}
    indices = {each.index for each in answer.maps}
    return {index: Caption(describe(index, labels)[1], ranks[index]) for index in indices}


def _predictions(answer: Answer, labels: Labels, top_k: int) -> tuple[Prediction, ...]:
    rows = []
    for rank, index in enumerate(answer.ranked(top_k), 1):
        synset, name = describe(index, labels)
        probability, score = _finite(answer.probability(index)), _finite(answer.score(index))
        rows.append(Prediction(rank, index, synset, name, probability, score))
    return tuple(rows)


def _finite(number: float | None) -> float | None:
    """Return a number that JSON can hold, or None."""
    return number if number is not None and math.isfinite(number) else None


def _explanation(
    item: ClassMap,
    prepared: Prepared,
    labels: Labels,
    files: dict[str, _Made],
) -> ExplanationRecord:
    synset, name = describe(item.index, labels)
    hottest, heat = None, ""
    cells: tuple[float, ...] = ()
    if not item.empty_reason:
        scaled, placement = normalised(item.raw), prepared.placement
        hottest, heat = peak(scaled, placement, item.cells), compact(scaled)
        cells = stated(placement.network, (scaled.shape[0], scaled.shape[1]), item.cells)
    return ExplanationRecord(
        index=item.index,
        id=synset,
        name=name,
        probability=_finite(item.probability),
        score=_finite(item.score),
        empty=bool(item.empty_reason),
        empty_reason=item.empty_reason,
        peak=hottest,
        files={kind: made.name for kind, made in files.items()},
        sizes={kind: made.size for kind, made in files.items()},
        slot=item.slot,
        method=item.method,
        layer=item.layer,
        heat=heat,
        cells=cells,
    )
