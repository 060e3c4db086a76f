"""A result becomes what the report's page shows: both sides of a check, worst first."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.compact import compact
from gradcam_cli.gate.baseline import ClassMapEntry
from gradcam_cli.gate.drawn import heat, overlay
from gradcam_cli.gate.outcome import FINE, ORDER, counted, word_of
from gradcam_cli.gate.reread import Read, ReadAnswer, ReadMap, ReadPair, ReadPicture
from gradcam_cli.report.gather import Checked, Gathered, Run, Verdict, apart, base_of, fill
from gradcam_cli.report.rows import Compared
from gradcam_cli.report.thumbnails import Shown, Thumbnails
from gradcam_cli.report.truth import Truth, Verdicts
from gradcam_cli.store.records import (
    ExplanationRecord,
    Failure,
    Prediction,
    Record,
    content_digest,
)

_GREY = 235
_SIDE = 400  # pixels, of a picture that is not there
_GONE = "not explained now"
_WHOLE = 1e-3

Sides = tuple[ClassMapEntry | None, ...]


def gather_check(
    result: Read,
    path: Path,
    page: Path,
    *,
    truth: Truth | None = None,
    embed: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> Gathered:
    """Return all that the page of a result shows, which lies at ``path``.

    Small pictures of images and overlays are made beside it, or with ``embed`` in memory. An image
    that is not there, or not the same any more, is grey.
    """
    folder = path.parent
    pictures = sorted(result.pictures, key=lambda each: (ORDER.index(each.status), -each.beyond))
    both = result.kind == "check"
    now = [_record(each, each.now, [pair.now for pair in each.maps]) for each in pictures]
    before = [_record(each, each.before, [pair.before for pair in each.maps]) for each in pictures]
    run = Run(folder, now, title="now" if both else path.name)
    other = Run(folder, before, title="baseline") if both else None
    found = Gathered(run, page, other, truth, Verdicts() if truth else None, embed=embed)
    found.rows.base = base_of(folder, page)
    found.checked = _checked(result, path, pictures)
    small = Thumbnails(folder, page, embed=embed)
    at = {id(record): place for place, record in enumerate(now)}

    def work(record: Record) -> tuple[Shown, Compared | None]:
        place = at[id(record)]
        picture, theirs = pictures[place], before[place]
        sides = [_entries(picture, side) for side in ("now", "before")]
        mine, others = _shown(small, record if picture.now else theirs, sides)
        if not both or picture.before is None:
            return mine, None
        return mine, Compared(theirs, others, apart(record, folder, theirs, folder))

    fill(found, work, tick)
    found.fault = small.fault
    return found


def _record(picture: ReadPicture, answer: ReadAnswer | None, sides: list[ReadMap | None]) -> Record:
    """Return one side of a picture as a run has it."""
    error = None
    if picture.status == "failed":
        kind, _, message = "".join(picture.reasons[:1]).partition(": ")
        error = Failure(kind, message)
    rows = answer.predictions if answer else ()
    return Record(
        source=picture.picture,
        status="failed" if error else "done",
        error=error,
        width=picture.width,
        height=picture.height,
        sha256=answer.sha256 if answer else "",
        predictions=tuple(
            Prediction(rank, row.index, row.id, row.name, row.probability, row.score)
            for rank, row in enumerate(rows, 1)
        ),
        explanations=tuple(
            _explanation(pair, side) for pair, side in zip(picture.maps, sides, strict=True)
        ),
    )


def _explanation(pair: ReadPair, side: ReadMap | None) -> ExplanationRecord:
    """Return one side of a pair as a run has it; an empty one where there is none."""
    warm = heat(pair.entry(side)) if side else None
    shown = side or pair.before or pair.now
    empty = side is None or bool(side.empty) or warm is None or not warm.any()
    return ExplanationRecord(
        index=pair.index,
        id=pair.id,
        name=pair.name,
        probability=side.probability if side else None,
        score=side.score if side else None,
        empty=empty,
        empty_reason=(side.empty if side else _GONE) if empty else "",
        peak=None,
        files={},
        sizes={},
        slot=pair.slot,
        method=pair.method,
        layer=shown.layer if shown else "",
        heat="" if empty or warm is None else compact(warm),
    )


def _entries(picture: ReadPicture, side: str) -> Sides:
    found = ((pair, getattr(pair, side)) for pair in picture.maps)
    return tuple(pair.entry(each) if each else None for pair, each in found)


def _shown(small: Thumbnails, record: Record, sides: Sequence[Sides]) -> list[Shown]:
    """Return what can be shown of each side of a picture: their overlays on the same image."""
    original, read = small.original(record)
    if read is not None:
        pixels = small.shrunk(read.pixels)
    else:
        scale = _SIDE / max(record.width, record.height, 1)
        size = [max(1, round(length * scale)) for length in (record.height, record.width)]
        pixels = np.full((*size, 3), _GREY, np.uint8)
    way = "" if small.embed or original is None else small.way(original)
    image = small.of_image(read, record) if original else ""
    return [
        Shown(way, image, tuple(_overlaid(small, each, pixels, record.sha256) for each in side))
        for side in sides
    ]


def _overlaid(
    small: Thumbnails, item: ClassMapEntry | None, pixels: NDArray[np.uint8], content: str
) -> str:
    warm = heat(item)
    if item is None or warm is None or item.empty:
        return ""
    made_of = content.encode() + msgspec.json.encode([item.map, pixels.shape])
    return small.made(content_digest(made_of), overlay(pixels, item, warm))


def _checked(result: Read, path: Path, pictures: Sequence[ReadPicture]) -> Checked:
    shortcuts = [each for each in result.places if each.one_place]
    names = [_spoken(each.name) for each in shortcuts]
    said = list(result.changes)
    said += [
        f"{name}: {each.share:.0%} of the heat of {each.pictures} pictures in one place"
        for name, each in zip(names, shortcuts, strict=True)
    ]
    of = f" against {os.path.basename(result.baseline)}" if result.baseline else ""  # noqa: PTH119
    return Checked(
        title=f"{result.kind.capitalize()}{of or f' in {path.name}'}",
        sentence=counted(result.kind, [each.status for each in pictures], names),
        verdicts=[_verdict(result.kind, each) for each in pictures],
        said=said,
        limits=list(_limits(result.limits)),
        squashed=all(
            abs(low) < _WHOLE and abs(high - 1) < _WHOLE
            for each in pictures
            for pair in each.maps
            for side in (pair.before, pair.now)
            if side is not None
            for _, _, low, high in (side.map.rows, side.map.columns)
        ),
    )


def _verdict(kind: str, picture: ReadPicture) -> Verdict:
    return Verdict(
        word=word_of(kind, picture.status),
        fine=picture.status in FINE,
        beyond=round(picture.beyond, 4),
        reasons=_written(picture, picture.reasons),
        notes=_written(picture, picture.notes),
        numbers=[
            ((pair.index, pair.id, pair.name), each.name, each.value, each.limit, each.beyond)
            for pair in picture.maps
            for each in pair.numbers
        ],
    )


def _written(picture: ReadPicture, sentences: Sequence[str]) -> Sequence[str]:
    """Return sentences on a picture with its classes' names as people write them."""
    answers = [each.predictions for each in (picture.before, picture.now) if each]
    names = {row.name for rows in (*answers, picture.maps) for row in rows if "_" in row.name}
    if not names or picture.status == "failed":  # a failure speaks of files
        return sentences
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    name = re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")
    return [name.sub(lambda found: _spoken(found[0]), each) for each in sentences]


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _limits(limits: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in limits.items():
        if value not in (None, [], "", False):
            words = value if isinstance(value, list) else [value]
            yield name.replace("_", " "), ", ".join(str(each)[:200] for each in words[:100])
