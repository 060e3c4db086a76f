"""Entries and baselines for tests, made of small parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.gate.baseline import Classes, ClassMapEntry, Entry, Head, Predicted
from gradcam_cli.gate.compare import Frame
from gradcam_cli.gate.packed import pack
from gradcam_cli.images.fit import Span
from gradcam_cli.models.labels import Labels

LABELS = Labels(("cat", "dog", "fox", "owl"), ())


def frame(u: int, v: int) -> Frame:
    return Frame(Span(0.5 / u, 1 / u, 0, 1), Span(0.5 / v, 1 / v, 0, 1))


def noise(seed: int, u: int = 7, v: int = 7) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(u, v)).astype(np.float32)


def class_map(
    index: int = 0,
    raw: NDArray[np.float32] | None = None,
    probability: float | None = 0.9,
    **more: Any,
) -> ClassMapEntry:
    raw = noise(index) if raw is None else raw
    values: dict[str, Any] = {
        "index": index,
        "id": "",
        "name": LABELS.names[index],
        "probability": probability,
        "score": 1.0,
        "slot": "top1",
        "method": "gradcam",
        "layer": "conv",
        "empty": "",
        "map": pack(raw, frame(raw.shape[0], raw.shape[1])),
    }
    return ClassMapEntry(**{**values, **more})


def entry(*maps: ClassMapEntry, picture: str = "a.jpg", **more: Any) -> Entry:
    shown = maps or (class_map(),)
    rows = sorted(shown, key=lambda each: -(each.probability or 0))
    predictions = tuple(
        Predicted(row.index, row.id, row.name, row.probability, row.score) for row in rows
    )
    values: dict[str, Any] = {
        "picture": picture,
        "sha256": "0" * 64,
        "width": 400,
        "height": 300,
        "predictions": predictions,
        "maps": shown,
    }
    return Entry(**{**values, **more})


def head(**more: Any) -> Head:
    values: dict[str, Any] = {
        "asked": {"model": {"model": "efficientnet-lite0"}, "images": {}, "explain": {}},
        "model": {"name": "m", "architecture": "a", "weights": "w"},
        "classes": Classes(4, "", 1, ()),
        "decided": {"batch_size": 2},
        "versions": {"keras": "3"},
    }
    return Head(**{**values, **more})
