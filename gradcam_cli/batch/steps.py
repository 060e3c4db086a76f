"""The two steps around the network: a file becomes its square, and an answer becomes files."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.batch.records import ExplanationRecord, Failure, Prediction, Record, Settings
from gradcam_cli.errors import ImageError
from gradcam_cli.explain import Explained, Explainer, Explanation, heat
from gradcam_cli.images.endings import ending, how_to_read
from gradcam_cli.images.files import Picture, encode, encode_array, read_picture, write_bytes
from gradcam_cli.images.find import Found, output_stem
from gradcam_cli.images.fit import (
    Cells,
    Placement,
    Span,
    peak,
    place,
    seen,
    shrink,
    strips,
    to_network,
    to_picture,
)
from gradcam_cli.images.proportions import far_off
from gradcam_cli.images.render import heatmap, overlay
from gradcam_cli.images.room import Room
from gradcam_cli.models.classes import Labels, describe
from gradcam_cli.models.load import Model

__all__ = [
    "HELD_BYTES",
    "UNPLACED",
    "Job",
    "Plan",
    "failed",
    "finish",
    "off",
    "plan_for",
    "prepare",
]

UNPLACED = "the grid's place in the picture is not known: it is stretched over the whole input"
"""A note on the model and its layer, not on any one picture."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What every picture of a run has in common. Without ``output`` nothing is written.

    ``input_size`` is ``(h, w)``; ``model``, ``weights`` and ``layer`` go into the records.
    ``cells`` say where the layer's grid lies in the network's input, if that is known.
    """

    settings: Settings
    model: str
    weights: str
    labels: Labels
    input_size: tuple[int, int]
    channels: int
    interpolation: str = "bilinear"
    layer: str = ""
    cells: Cells | None = None
    precision: str = "float32"
    batch_size: int = 0
    transposed: bool = False
    notes: tuple[str, ...] = ()
    output: Path | None = None

    def explained_by(self, explainer: Explainer) -> Plan:
        """Return the plan with what a traced network says of its layer."""
        down, across = explainer.places
        cells = None
        if down and across:
            cells = Cells(*(Span(p.first, p.step, p.low, p.high) for p in (down, across)))
        unplaced = (UNPLACED,) if explainer.layer and cells is None else ()
        return replace(
            self,
            layer=explainer.layer,
            cells=cells,
            precision=explainer.precision,
            batch_size=explainer.batch_size,
            notes=(*(note for note in self.notes if note != UNPLACED), *unplaced),
        )


def plan_for(model: Model, settings: Settings, output: Path | None = None) -> Plan:
    """Return what a model and the settings say of every picture."""
    asked = settings.interpolation
    return Plan(
        settings=settings,
        model=model.name,
        weights=model.weights,
        labels=model.labels,
        input_size=model.ports.size,
        channels=model.ports.channels,
        transposed=model.ports.transposed,
        interpolation=model.interpolation if asked == "auto" else asked,
        notes=(*model.notes, *model.warnings),
        output=output,
    )


@dataclass(frozen=True, slots=True)
class Job:
    """A picture on its way: read, and fitted to the network as uint8 ``[h, w, channels]``."""

    found: Found
    picture: Picture
    placement: Placement
    square: NDArray[np.uint8]
    seconds: float


HELD_BYTES = 64 << 20
"""Pictures with more pixels are read a second time for drawing, not kept while they wait."""

_ROOM = Room()
_BYTES_A_PIXEL = 13
"""What drawing a picture takes: its pixels, the overlay or the heat and its colours, that in BGR,
and the file."""


def prepare(found: Found, plan: Plan) -> Job | Record:
    """Read one picture and fit it to the network; a failed Record when it cannot be used."""
    start = time.perf_counter()
    if found.unread:
        kind = ending(found.path.name)
        error = ImageError("unread-type", f"{kind} files are not read", how_to_read(kind))
        return failed(found, error, plan)
    try:
        # Only predictions are asked for: the network's own copy is all that has to be decoded.
        at_least = plan.input_size if plan.output is None else None
        white = plan.settings.white
        picture = read_picture(found.path, found.source, at_least=at_least, white=white)
        height, width = picture.pixels.shape[:2]
        placement = place((height, width), plan.input_size, plan.settings.resize)
        # The rows that the network's are mixed of become float.
        with _ROOM.take(picture.pixels.nbytes + 24 * width * plan.input_size[0]):
            square = to_network(picture.pixels, placement, plan.channels, plan.interpolation)
    except ImageError as error:
        return failed(found, error, plan)
    if picture.pixels.nbytes > HELD_BYTES:
        picture = replace(picture, pixels=np.empty((0, 0, 3), np.uint8))
    return Job(found, picture, placement, square, time.perf_counter() - start)


def failed(found: Found, error: ImageError, plan: Plan) -> Record:
    """Return the record of a picture that could not be used."""
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    return Record(
        source=found.source,
        status="failed",
        error=Failure(error.kind, message),
        model=plan.model,
        weights=plan.weights,
        settings=plan.settings.digest(),
    )


def finish(job: Job, explained: Explained, plan: Plan) -> Record:
    """Render and write one picture's maps, and return its record, a failed one if it cannot be.

    A picture that was too large to be kept is read again. Raises GradcamError when a file cannot be
    written.
    """
    start = time.perf_counter()
    settings = plan.settings
    try:
        with _ROOM.take(job.picture.width * job.picture.height * _BYTES_A_PIXEL):
            if plan.output is not None and job.picture.pixels.size == 0:
                job = replace(job, picture=_again(job, settings.white))
            explanations = tuple(_explain(job, item, plan) for item in explained.explanations)
    except ImageError as error:
        return failed(job.found, error, plan)
    return Record(
        source=job.found.source,
        status="ok",
        width=job.picture.width,
        height=job.picture.height,
        sha256=job.picture.sha256,
        size=job.picture.size,
        mtime_ns=job.picture.mtime_ns,
        warning=job.picture.warning,
        notes=(*plan.notes, *off(job, plan)),
        model=plan.model,
        weights=plan.weights,
        layer=plan.layer,
        method=settings.method if explanations else "",
        score_kind=settings.score if explanations else "",
        precision=plan.precision,
        batch_size=plan.batch_size,
        settings=settings.digest(),
        predictions=_predictions(explained, plan.labels, settings.top_k),
        explanations=explanations,
        seconds=round(job.seconds + time.perf_counter() - start, 4),
    )


def off(job: Job, plan: Plan) -> tuple[str, ...]:
    """Return what there is to say of a picture that does not fit the network's input well."""
    size = job.picture.height, job.picture.width
    sentence = far_off(size, plan.input_size, plan.settings.resize, plan.transposed)
    return (sentence,) if sentence else ()


def _again(job: Job, white: int) -> Picture:
    picture = read_picture(job.found.path, job.found.source, white=white)
    if picture.sha256 != job.picture.sha256:
        raise ImageError("changed", "the file changed while it was worked on", "run again")
    return picture


def _predictions(explained: Explained, labels: Labels, top_k: int) -> tuple[Prediction, ...]:
    rows = []
    for rank, index in enumerate(explained.ranked(top_k), 1):
        synset, name = describe(index, labels)
        rows.append(
            Prediction(
                rank,
                index,
                synset,
                name,
                _finite(explained.probability(index)),
                _finite(explained.score(index)),
            )
        )
    return tuple(rows)


def _finite(number: float | None) -> float | None:
    """Return a number that JSON can hold, or None."""
    return number if number is not None and math.isfinite(number) else None


def _explain(job: Job, item: Explanation, plan: Plan) -> ExplanationRecord:
    synset, name = describe(item.index, plan.labels)
    warm = heat(item.raw)
    stem = f"{output_stem(job.found)}.{item.slot}"
    files: dict[str, str] = {}
    sizes: dict[str, int] = {}
    if plan.output is not None:
        for kind, ending, data in _drawn(job, item, warm, plan):
            files[kind], sizes[kind] = stem + ending, len(data)
            write_bytes(plan.output / files[kind], data)
    return ExplanationRecord(
        index=item.index,
        id=synset,
        name=name,
        probability=_finite(item.probability),
        score=_finite(item.score),
        empty=bool(item.empty_reason),
        empty_reason=item.empty_reason,
        peak=None if item.empty_reason else peak(warm, job.placement, plan.cells),
        files=files,
        sizes=sizes,
    )


def _drawn(
    job: Job, item: Explanation, warm: NDArray[np.float32], plan: Plan
) -> Iterator[tuple[str, str, bytes]]:
    """Yield each kind of file that was asked for, with its name's ending and its bytes."""
    picture, placement, settings = job.picture.pixels, job.placement, plan.settings
    if settings.max_size:
        picture = shrink(picture, settings.max_size)
        height, width = picture.shape[:2]
        placement = place((height, width), placement.network, settings.resize)
    if "overlay" in settings.save:
        pixels = overlay(
            picture,
            strips(warm, placement, plan.cells),
            seen(placement, plan.cells),
            settings.intensity,
            settings.blend,
            settings.colormap,
        )
        yield "overlay", f".{settings.format}", encode(pixels, settings.format, settings.quality)
    if "heatmap" in settings.save:
        pixels = heatmap(to_picture(warm, placement, plan.cells), settings.colormap)
        ending = f".heatmap.{settings.format}"
        yield "heatmap", ending, encode(pixels, settings.format, settings.quality)
    if "array" in settings.save:
        yield "array", ".npy", encode_array(item.raw)
