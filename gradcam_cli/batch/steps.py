"""The two steps around the network: a file becomes its square, and an answer becomes files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.batch.records import ExplanationRecord, Failure, Prediction, Record, Settings
from gradcam_cli.errors import ImageError
from gradcam_cli.explain import Explained, Explanation, heat
from gradcam_cli.images.files import Picture, encode, encode_array, read_picture, write_bytes
from gradcam_cli.images.find import Found, output_stem
from gradcam_cli.images.fit import Placement, peak, place, to_network, to_picture
from gradcam_cli.images.render import heatmap, overlay
from gradcam_cli.models.classes import Labels, describe

__all__ = ["Job", "Plan", "failed", "finish", "prepare"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What every picture of a run has in common. Without ``output`` nothing is written.

    ``input_size`` is ``(h, w)``; ``model``, ``weights`` and ``layer`` go into the records.
    """

    settings: Settings
    labels: Labels
    channels: int
    layer: str = ""
    output: Path | None = None

    @property
    def input_size(self) -> tuple[int, int]:
        """Return the network's ``(h, w)``."""
        return self.settings.input_size


@dataclass(frozen=True, slots=True)
class Job:
    """A picture on its way: read, and fitted to the network as uint8 ``[h, w, channels]``."""

    found: Found
    picture: Picture
    placement: Placement
    square: NDArray[np.uint8]
    seconds: float


def prepare(found: Found, plan: Plan) -> Job | Record:
    """Read one picture and fit it to the network; a failed Record when it cannot be used."""
    start = time.perf_counter()
    try:
        # Only predictions are asked for: the network's own copy is all that has to be decoded.
        at_least = plan.input_size if plan.output is None else None
        picture = read_picture(found.path, found.source, at_least=at_least)
    except ImageError as error:
        return failed(found, error, plan)
    size = picture.pixels.shape[:2]
    placement = place((size[0], size[1]), plan.input_size, plan.settings.resize)
    square = to_network(picture.pixels, placement, plan.channels, plan.settings.interpolation)
    return Job(found, picture, placement, square, time.perf_counter() - start)


def failed(found: Found, error: ImageError, plan: Plan) -> Record:
    """Return the record of a picture that could not be used."""
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    return Record(
        source=found.source,
        status="failed",
        error=Failure(error.kind, message),
        model=plan.settings.model,
        weights=plan.settings.weights,
        settings=plan.settings.digest(),
    )


def finish(job: Job, explained: Explained, plan: Plan) -> Record:
    """Render and write one picture's maps, and return its record.

    Raises GradcamError when a file cannot be written.
    """
    start = time.perf_counter()
    settings = plan.settings
    explanations = tuple(_explain(job, item, plan) for item in explained.explanations)
    return Record(
        source=job.found.source,
        status="ok",
        width=job.picture.width,
        height=job.picture.height,
        sha256=job.picture.sha256,
        warning=job.picture.warning,
        model=settings.model,
        weights=settings.weights,
        layer=plan.layer,
        method=settings.method if explanations else "",
        score_kind=settings.score if explanations else "",
        settings=settings.digest(),
        predictions=_predictions(explained, plan.labels, settings.top_k),
        explanations=explanations,
        seconds=round(job.seconds + time.perf_counter() - start, 4),
    )


def _predictions(explained: Explained, labels: Labels, top_k: int) -> tuple[Prediction, ...]:
    rows = []
    for rank, index in enumerate(explained.ranked(top_k), 1):
        synset, name = describe(index, labels)
        rows.append(
            Prediction(
                rank, index, synset, name, explained.probability(index), explained.score(index)
            )
        )
    return tuple(rows)


def _explain(job: Job, item: Explanation, plan: Plan) -> ExplanationRecord:
    synset, name = describe(item.index, plan.labels)
    warm = heat(item.raw)
    return ExplanationRecord(
        index=item.index,
        id=synset,
        name=name,
        probability=item.probability,
        score=item.score,
        empty=bool(item.empty_reason),
        empty_reason=item.empty_reason,
        peak=None if item.empty_reason else peak(warm, job.placement),
        files=_write(job, item, warm, plan),
    )


def _write(job: Job, item: Explanation, warm: NDArray[np.float32], plan: Plan) -> dict[str, str]:
    if plan.output is None:
        return {}
    settings = plan.settings
    stem = f"{output_stem(job.found)}.{item.slot}"
    files: dict[str, str] = {}

    def write(kind: str, name: str, data: bytes) -> None:
        assert plan.output is not None  # noqa: S101  checked above
        write_bytes(plan.output / name, data)
        files[kind] = name

    if _any_of(settings.save, ("overlay", "heatmap")):
        level = to_picture(warm, job.placement)
        if "overlay" in settings.save:
            drawn = overlay(
                job.picture.pixels,
                level,
                job.placement.covered,
                settings.intensity,
                settings.blend,
                settings.colormap,
            )
            image = encode(drawn, settings.format, settings.quality)
            write("overlay", f"{stem}.{settings.format}", image)
        if "heatmap" in settings.save:
            image = encode(heatmap(level, settings.colormap), settings.format, settings.quality)
            write("heatmap", f"{stem}.heatmap.{settings.format}", image)
    if "array" in settings.save:
        write("array", f"{stem}.npy", encode_array(item.raw))
    return files


def _any_of(chosen: Sequence[str], kinds: Sequence[str]) -> bool:
    return any(kind in chosen for kind in kinds)
