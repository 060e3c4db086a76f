"""What a model says of a picture becomes its entry: the sink of ``gradcam baseline``."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gradcam_cli import __version__
from gradcam_cli.cam.answer import Answer, ClassMap
from gradcam_cli.engine.steps import Prepared
from gradcam_cli.errors import FailureKind, GradcamError, ImageError
from gradcam_cli.explainer import Explainer
from gradcam_cli.gate.asked import asked_of, to_folder
from gradcam_cli.gate.baseline import Classes, ClassMapEntry, Entry, Head, Named, Predicted
from gradcam_cli.gate.compare import frame_of
from gradcam_cli.gate.packed import pack, rounded
from gradcam_cli.models.choice import fingerprint
from gradcam_cli.models.classes import describe
from gradcam_cli.models.labels import Labels
from gradcam_cli.network.paths import named_operations
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.store.runfile import differences
from gradcam_cli.text import encodable

_PACKAGES = ("tensorflow", "keras", "opencv-python-headless", "numpy")


@dataclass(frozen=True, slots=True)
class EntryMaker:
    """Makes entries of answers; pictures are named by their path from ``folder``."""

    labels: Labels
    top_k: int
    folder: Path

    def __call__(self, prepared: Prepared, answer: Answer) -> Entry:
        """Return a picture's entry. Raises ImageError where the model gives no numbers for it."""
        predictions = tuple(
            Predicted(
                **_named(index, self.labels),
                probability=_finite(answer.probability(index)),
                score=_finite(answer.score(index)),
            )
            for index in answer.ranked(self.top_k)
        )
        if not answer.maps:
            raise ImageError(FailureKind.NOT_A_PICTURE, "the model explains no class of it")
        return Entry(
            picture=to_folder(prepared.source.path, self.folder),
            sha256=prepared.image.sha256,
            width=prepared.image.width,
            height=prepared.image.height,
            predictions=predictions,
            maps=tuple(self._map(item, prepared) for item in answer.maps),
        )

    def _map(self, item: ClassMap, prepared: Prepared) -> ClassMapEntry:
        shape = (item.raw.shape[0], item.raw.shape[1])
        return ClassMapEntry(
            **_named(item.index, self.labels),
            probability=_finite(item.probability),
            score=_finite(item.score),
            slot=item.slot,
            method=item.method,
            layer=item.layer,
            empty=item.empty_reason,
            map=pack(item.raw, frame_of(shape, prepared.placement, item.cells)),
        )


def head_of(spec: RunSpec, explainer: Explainer, folder: Path) -> Head:
    """Return how a baseline is made that lies in ``folder``.

    Raises GradcamError for a model whose file cannot be read any more.
    """
    model, choice = explainer.model, explainer.request.classes
    return Head(
        asked=asked_of(spec, folder),
        model={
            "name": encodable(Path(model.name).name),
            "settings": {
                name: encodable(value) if isinstance(value, str) else value
                for name, value in fingerprint(spec.model).items()
            },
            **model_digests(model.network),
        },
        classes=Classes(
            count=max(model.classes, 2),
            labels=labels_digest(model.labels),
            top=choice.top,
            fixed=tuple(Named(**_named(index, model.labels)) for index in choice.fixed),
        ),
        decided={"batch_size": explainer.facts.batch_size, "precision": explainer.facts.precision},
        versions={
            "gradcam-cli": __version__,
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    )


def model_digests(network: Any) -> dict[str, str]:
    """Return a digest of a network's architecture, and one of its weights.

    Neither depends on names or on the file that the network came from: a model that is saved and
    opened again has the same.
    """
    kinds = [type(each).__name__ for each in named_operations(network).values()]
    shapes = [list(map(int, weight.shape)) for weight in network.weights]
    values = hashlib.sha256()
    for weight in network.weights:
        values.update(np.ascontiguousarray(weight).tobytes())
    return {
        "architecture": _digest(json.dumps([kinds, shapes])),
        "weights": values.hexdigest()[:16],
    }


def labels_digest(labels: Labels) -> str:
    """Return what differs as soon as one class has another name; empty without names."""
    return _digest(json.dumps([labels.names, labels.ids])) if labels.names else ""


def check_same(before: Head, now: Head, path: Path) -> None:
    """Raise GradcamError unless the numbers of two heads can stand in one file."""
    for name in ("model", "classes", "asked"):
        one, other = (msgspec.to_builtins(getattr(head, name)) for head in (before, now))
        if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
            what = differences(one, json.loads(json.dumps(other)))
            raise GradcamError(
                f"the baseline {path} was made otherwise: {'; '.join(what[:6])}",
                "--update adds to a baseline of the same model and settings; leave it out to make "
                "all of it anew",
            )


def changes(before: Head, now: Head) -> list[str]:
    """Return in words what differs between two heads: model, settings, versions."""
    said = []
    same = [before.model.get(part) == now.model.get(part) for part in ("architecture", "weights")]
    if same != [True, True]:
        what = "other weights" if same[0] else "another architecture"
        said.append(f"the model has {what} than the baseline's")
    asked = json.loads(json.dumps(now.asked))
    said += differences(_without_model(before.asked), _without_model(asked))
    versions = {name: number for name, number in now.versions.items() if name in before.versions}
    return said + differences(before.versions, versions)


def _without_model(asked: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return settings without the model's name or file, which its digests stand for."""
    model = {name: value for name, value in asked.get("model", {}).items() if name != "model"}
    return {**asked, "model": model}


def _digest(text: str) -> str:
    return hashlib.sha256(encodable(text).encode()).hexdigest()[:16]


def _named(index: int, labels: Labels) -> dict[str, Any]:
    synset, name = describe(index, labels)
    return {"index": index, "id": encodable(synset), "name": encodable(name)}


def _finite(number: float | None) -> float | None:
    return rounded(number) if number is not None and math.isfinite(number) else None
