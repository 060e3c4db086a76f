"""Maps become detections in COCO's format: a box for each map, with its class and its score."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gradcam_cli.export.boxes import Box, box_of, heat_of, levels_of, misplaced
from gradcam_cli.images.files import MOST_PIXELS
from gradcam_cli.images.fit import RESIZES
from gradcam_cli.images.memory import MemoryBudget
from gradcam_cli.store.reading import latest_first
from gradcam_cli.store.records import ExplanationRecord, Record
from gradcam_cli.store.runfile import read_run, run_name
from gradcam_cli.text import encodable

COCO_MARK = b'{"info": {"generator": "gradcam"'
_A_PIXEL = 4
"""Bytes: its level, whether it is hot, and what the search for components takes."""


def resizes(folder: Path) -> dict[str, str]:
    """Return how images were fitted into the network's input, by the digest of a run's settings.

    '' stands for settings that no run file has: as of the first one, or ``squash``.
    """
    found: dict[str, str] = {}
    for manifest in latest_first(folder):
        run = read_run(folder / run_name(manifest.name))
        if run and run.settings.get("resize") in RESIZES:
            found[run.digest] = str(run.settings["resize"])
    return {"": next(iter(found.values()), "squash"), **found}


class Boxed(NamedTuple):
    """A map with its box, None where it has none; ``apart`` where its heat may lie elsewhere."""

    item: ExplanationRecord
    box: Box | None
    apart: bool


def shows(record: Record) -> bool:
    """Return whether an image did not fail, and states a size that an image can have."""
    size = record.width * record.height
    return not record.failed and record.width > 0 and 0 < size <= MOST_PIXELS


@dataclass(slots=True)
class Detections:
    """Collects the boxes of a run's maps, at a share ``threshold`` of each map's maximum.

    ``without`` counts images that have maps which are neither in their record nor in an array,
    ``apart`` those whose heat may lie elsewhere, ``boxes`` the boxes.
    """

    folder: Path
    threshold: float
    fitted: Mapping[str, str]
    without: int = 0
    apart: int = 0
    boxes: int = 0
    _memory: MemoryBudget = field(default_factory=MemoryBudget)
    _images: list[str] = field(default_factory=list)
    _annotations: list[str] = field(default_factory=list)
    _categories: dict[int, dict[str, object]] = field(default_factory=dict)

    def add(self, record: Record, boxes: Sequence[Boxed]) -> bool:
        """Take in an image with its ``boxes``, unless ``shows`` has it that it cannot have any."""
        if not shows(record):
            return False
        number = len(self._images) + 1
        image = {
            "id": number,
            "file_name": encodable(record.source),
            "width": record.width,
            "height": record.height,
            "sha256": encodable(record.sha256),
        }
        self._images.append(json.dumps(image))
        for item, box, _ in boxes:
            if box is not None:
                self._add(item, box, number)
        self.without += any(box is None for _, box, _ in boxes)
        self.apart += any(apart for _, _, apart in boxes)
        return True

    def boxed(self, record: Record) -> list[Boxed]:
        """Return the boxes of an image's maps; threads may do this for many at once."""
        shown = [item for item in record.explanations if not item.empty] if shows(record) else []
        return [self._boxed(record, item) for item in shown]

    def _boxed(self, record: Record, item: ExplanationRecord) -> Boxed:
        heat = heat_of(item, self.folder)
        if heat is None:
            return Boxed(item, None, False)
        resize = self.fitted.get(record.settings, self.fitted[""])
        with self._memory.take(_A_PIXEL * record.width * record.height):
            levels = levels_of(heat, (record.height, record.width), resize, item.cells)
            box = box_of(levels, self.threshold)
            return Boxed(item, box, box is not None and misplaced(item, heat, levels))

    def _add(self, item: ExplanationRecord, box: Box, image: int) -> None:
        self.boxes += 1
        self._annotations.append(json.dumps(_annotation(self.boxes, image, item, box)))
        self._categories.setdefault(
            item.index,
            {"id": item.index, "name": encodable(item.name), "wordnet_id": encodable(item.id)},
        )

    def pieces(self) -> Iterator[bytes]:
        """Yield the file: ``info``, ``images``, ``categories`` and ``annotations``."""
        about = f', "threshold": {json.dumps(self.threshold)}}},\n'
        yield COCO_MARK + about.encode() + b'"licenses": [],\n'
        ordered = [json.dumps(each) for _, each in sorted(self._categories.items())]
        yield from _listed("images", self._images)
        yield b",\n"
        yield from _listed("categories", ordered)
        yield b",\n"
        yield from _listed("annotations", self._annotations)
        yield b"}\n"


def _annotation(number: int, image: int, item: ExplanationRecord, box: Box) -> dict[str, object]:
    return {
        "id": number,
        "image_id": image,
        "category_id": item.index,
        "bbox": list(box[:4]),
        "area": box.area,
        "iscrowd": 0,
        "score": _score(item),
        "slot": encodable(item.slot),
        "method": encodable(item.method),
        "layer": encodable(item.layer),
    }


def _score(item: ExplanationRecord) -> float:
    """Return the probability, or the score of a head without one; 0 where neither is finite."""
    known = (each for each in (item.probability, item.score) if each is not None)
    return next((each for each in known if math.isfinite(each)), 0.0)


def _listed(name: str, entries: Iterable[str]) -> Iterator[bytes]:
    yield f'"{name}": ['.encode()
    for number, entry in enumerate(entries):
        yield (",\n" if number else "\n").encode() + entry.encode()
    yield b"]"
