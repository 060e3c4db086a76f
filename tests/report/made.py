"""Records and output folders made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gradcam_cli.store.reading import MANIFEST
from gradcam_cli.store.records import ExplanationRecord, Failure, Prediction, Record

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


def manifest(folder: Path, *records: Record, name: str = MANIFEST) -> Path:
    """Write a manifest, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(
        "".join(record.to_json() + "\n" for record in records), encoding="utf-8"
    )
    return folder
