"""A run's folder, with overlays of one colour each, so that a sheet's places can be told apart."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gradcam_cli.store.records import ExplanationRecord, Record
from tests.render.figures import Pixels

CLASSES = {281: ("n02123045", "tabby"), 7: ("", "گربه"), 9: ("n02124075", "Egyptian_cat")}


def colour(name: str) -> tuple[int, int, int]:
    """Return a dark colour of a name's own."""
    digest = hashlib.sha256(name.encode()).digest()
    return digest[0] // 2, digest[1] // 2, digest[2] // 2


def flat(folder: Path, name: str, size: tuple[int, int] = (60, 40)) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour(name)).save(path)
    return name


def explained(folder: Path, source: str, index: int, probability: float, **other: Any) -> Any:
    """Return a map's record, whose overlay is there."""
    name = flat(folder, f"{source}.{index}{other.get('method', '')}.png")
    row: dict[str, Any] = {
        "index": index,
        "id": CLASSES[index][0],
        "name": CLASSES[index][1],
        "probability": probability,
        "score": 1.0,
        "empty": False,
        "empty_reason": "",
        "peak": None,
        "files": {"overlay": name},
        "sizes": {"overlay": 1},
        "method": "gradcam",
        **other,
    }
    return ExplanationRecord(**row)


def content(source: str) -> str:
    with suppress(OSError, ValueError):
        return hashlib.sha256(Path(source).read_bytes()).hexdigest()
    return ""


def made(folder: Path, maps: dict[str, list[Any]], settings: str = "abc") -> Path:
    """Write a folder's manifest, and what made it."""
    folder.mkdir(exist_ok=True)
    records = [
        Record(source, "ok", settings=settings, sha256=content(source), explanations=tuple(each))
        for source, each in maps.items()
    ]
    lines = [record.to_json() for record in records]
    (folder / "manifest.jsonl").write_text("".join(f"{line}\n" for line in lines))
    run = {
        "settings": {"colormap": "turbo", "intensity": 0.3, "blend": "mix", "resize": "squash"},
        "digest": settings,
        "decided": {},
        "versions": {},
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def spots(name: str, whole: Pixels) -> list[tuple[int, int, int, int]]:
    """Return where the colour of a name is: left, top, width, height of its only patch, if any."""
    rows, columns = np.nonzero((whole == colour(name)).all(axis=2))
    if not len(rows):
        return []
    left, top = columns.min(), rows.min()
    width, height = columns.max() - left + 1, rows.max() - top + 1
    assert len(rows) == width * height, f"{name} is not in one patch"
    return [(int(left), int(top), int(width), int(height))]


def stated(folder: Path) -> None:
    """Let a folder's records state the content that their images have now."""
    path = folder / "manifest.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({**row, "sha256": content(row["source"])}) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
