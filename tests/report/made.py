"""Records and output folders made by hand."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.store.reading import MANIFEST
from gradcam_cli.store.records import ExplanationRecord, Failure, Prediction, Record

Pixels = NDArray[np.uint8]

HEATS = tuple(
    "2x2:" + base64.b64encode(bytes(cells)).decode()
    for cells in ((255, 0, 0, 0), (0, 255, 51, 0), (0, 0, 0, 255))
)
"""Maps of two by two cells, as a record has them."""

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "\"' onclick='alert(1)' x=\"",
    "&lt;b&gt; &amp; &#x3c;",
    "a\x00\x07\x1b[31m\n\r\tb",
    "\u202egpj.exe\u2066 \u2028\u2029",
    "caf\udce9 \ud800",
    "{{script}} {{records}}",
    "]]> `${1}` \\u003c",
    "🐘 Elefant",
)
"""What a manifest may hold where a name is expected."""


def guess(name: str, probability: float | None = 0.5, index: int = 1, rank: int = 1) -> Prediction:
    return Prediction(rank, index, f"n{index}", name, probability, 2.5)


def heatmap(
    name: str = "cat",
    files: Mapping[str, str] | None = None,
    reason: str | None = None,
    probability: float | None = 0.5,
    layer: str = "block5_conv3",
) -> ExplanationRecord:
    """Return a map, an empty one when a ``reason`` is given."""
    named = {} if files is None else files
    return ExplanationRecord(
        index=1,
        id="n1",
        name=name,
        probability=probability,
        score=2.5,
        empty=reason is not None,
        empty_reason=reason or "",
        peak=None if reason is not None else (3, 4),
        files=named,
        sizes=dict.fromkeys(named, 1),
        slot="top1",
        method="gradcam",
        layer=layer,
    )


def done(
    source: str,
    *guesses: Prediction,
    maps: Iterable[ExplanationRecord] = (),
    **more: Any,
) -> Record:
    used = {
        "model": "vgg16",
        "weights": "imagenet",
        "score_kind": "logit",
        "precision": "float32",
        "settings": "0" * 16,
    }
    return Record(
        source=source,
        status="ok",
        width=40,
        height=30,
        predictions=guesses,
        explanations=tuple(maps),
        **{**used, **more},
    )


def failed(source: str, kind: str = "empty", message: str = "the file is empty") -> Record:
    return Record(source=source, status="failed", error=Failure(kind, message), settings="0" * 16)


def pixels(seed: int, height: int = 30, width: int = 40) -> Pixels:
    """Return a smooth picture, which lossy formats keep nearly as it is."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin(rows / (3 + seed) + k) + np.cos(columns / (5 + k)) for k in range(3)]
    return np.rint(127.5 + 60 * np.stack(waves, -1)).astype(np.uint8)


def written(path: Path, image: Pixels) -> bytes:
    """Write an image file, and return its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes()
    path.write_bytes(data)
    return data


def explained(folder: Path, name: str, seed: int = 0, **more: Any) -> Record:
    """Write a picture beside a folder, and its overlay inside; return the record of both."""
    data = written(folder.parent / name, pixels(seed))
    overlay = written(folder / f"{name}.top1.png", pixels(seed + 7))
    item = replace(heatmap(files={"overlay": f"{name}.top1.png"}), heat=HEATS[seed % len(HEATS)])
    return replace(
        done(name, *more.pop("guesses", (guess("cat"),)), maps=[item], **more),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        mtime_ns=(folder.parent / name).stat().st_mtime_ns,
        digests={f"{name}.top1.png": hashlib.sha256(overlay).hexdigest()[:16]},
    )


def manifest(folder: Path, *records: Record, name: str = MANIFEST) -> Path:
    """Write a manifest, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(
        "".join(record.to_json() + "\n" for record in records), encoding="utf-8"
    )
    return folder
