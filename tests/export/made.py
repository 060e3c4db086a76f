"""Folders of runs, as manifests that the tests write themselves."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CAT, DOG = (281, "n02123045", "tabby"), (7, "", "=cmd|' /C calc'!A0")


def heat(cells: NDArray[np.uint8]) -> str:
    """Return cells as a record has them."""
    return f"{cells.shape[0]}x{cells.shape[1]}:{base64.b64encode(cells.tobytes()).decode()}"


def explained(known: tuple[int, str, str] = CAT, **other: Any) -> dict[str, Any]:
    index, identity, name = known
    plain = {"probability": 0.75, "score": 2.5, "empty": False, "empty_reason": "", "peak": None}
    maps = {"files": {}, "sizes": {}, "slot": "top1", "method": "gradcam", "layer": "conv"}
    return {"index": index, "id": identity, "name": name, **plain, **maps, "heat": "", **other}


def predicted(rank: int, known: tuple[int, str, str], probability: float) -> dict[str, Any]:
    index, identity, name = known
    numbers = {"probability": probability, "score": 2.5}
    return {"rank": rank, "index": index, "id": identity, "name": name, **numbers}


def record(source: str, **other: Any) -> dict[str, Any]:
    size = {"width": 40, "height": 30, "sha256": "ab" * 32}
    plain = {"schema_version": 2, "source": source, "status": "ok", "error": None, "notes": []}
    lists: dict[str, Any] = {"predictions": [], "explanations": []}
    return {**plain, **size, "settings": "abc", **lists, **other}


def failed(source: str) -> dict[str, Any]:
    error = {"kind": "truncated", "message": "the file is not whole"}
    return record(source, status="failed", error=error, sha256="", width=0, height=0)


def old(source: str, **other: Any) -> dict[str, Any]:
    """Return a record as version 0.1 wrote them: method and layer are of all its maps."""
    values = record(source, **other)
    for row in values["explanations"]:
        for name in ("slot", "method", "layer", "heat"):
            del row[name]
    return {**values, "schema_version": 1, "method": "gradcam", "layer": "conv"}


def folder(
    path: Path, records: Iterable[dict[str, Any]], name: str = "manifest.jsonl", resize: str = ""
) -> Path:
    path.mkdir(exist_ok=True)
    lines = [json.dumps(each) + "\n" for each in records]
    (path / name).write_text("".join(lines), encoding="utf-8")
    if resize:
        run = {"settings": {"resize": resize}, "digest": "abc", "decided": {}, "versions": {}}
        (path / name.replace("manifest", "run").removesuffix("l")).write_text(json.dumps(run))
    return path
