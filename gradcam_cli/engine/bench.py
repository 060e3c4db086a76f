"""Bare prediction, the whole stream and each stage alone are timed side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_cli.engine.decide import decided
from gradcam_cli.engine.files import Recorder
from gradcam_cli.engine.local import TimedOut, ordered, stream
from gradcam_cli.engine.steps import Failed, Held, Prepared, prepare
from gradcam_cli.errors import GradcamError
from gradcam_cli.models.load import Model
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.store.names import stems

BARE = "model.predict"
STREAM = "run, end to end"


@dataclass(frozen=True, slots=True)
class Timing:
    """One thing measured: seconds for all pictures, one number a repeat, in the order of repeats.

    ``share`` is the median, over the repeats, of bare prediction's time divided by this one's.
    """

    name: str
    seconds: tuple[float, ...]
    share: float
    pictures: int

    @property
    def rate(self) -> float:
        """Return the pictures a second of the median repeat."""
        return self.pictures / statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """Return the pictures a second of the slowest and the fastest repeat."""
        return self.pictures / max(self.seconds), self.pictures / min(self.seconds)


def measure(
    model: Model, spec: RunSpec, images: Sequence[Found], output: Path, repeats: int
) -> list[Timing]:
    """Time everything in turn, ``repeats`` times over, after one round that does not count.

    What is compared runs side by side in each round, so that a machine whose speed drifts slows
    all of it. Files go to ``output``. Raises GradcamError when an image cannot be read.
    """
    if not model.ports.plain:
        raise GradcamError(
            "only models with one picture input and one output can be compared with model.predict",
            "`gradcam run` names the slowest stage of a real run",
        )
    explainer = decided(model, spec, len(images))
    size = explainer.facts.batch_size
    record = Recorder(model, spec, "", output, stems(images).__getitem__)
    prepared = [_prepared(found, model, spec) for found in images]
    inputs = [item.input for item in prepared]
    scaled = np.asarray(model.scaling.apply(np.stack(inputs).astype(np.float32)))
    answers = list(zip(prepared, explainer.many(inputs), strict=True))

    def bare() -> None:
        model.network.predict(scaled, batch_size=size, verbose=0)

    def whole() -> None:
        for _ in stream(images, explainer, spec.images, record):
            pass

    things: dict[str, Callable[[], Any]] = {
        BARE: bare,
        STREAM: whole,
        "reading alone": lambda: _drain(lambda each: _prepared(each, model, spec), images),
        "network alone": lambda: list(explainer.many(inputs)),
        "writing alone": lambda: _drain(lambda each: record(*each), answers),
    }
    return _rounds(things, len(images), repeats)


def _prepared(found: Found, model: Model, spec: RunSpec) -> Prepared:
    item = prepare(found, model, spec.images, Held())
    if isinstance(item, Failed):
        raise GradcamError(
            f"{found.source}: {item.error.message}", "give pictures that can be read"
        )
    return item


def _drain(function: Callable[[Any], Any], items: Sequence[Any]) -> None:
    for result in ordered(function, items, 32):
        assert not isinstance(result, TimedOut)  # noqa: S101  a benchmark is not that patient


def _rounds(things: dict[str, Callable[[], Any]], pictures: int, repeats: int) -> list[Timing]:
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for number in range(repeats + 1):
        for name, thing in things.items():
            start = time.perf_counter()
            thing()
            if number:  # the first round warms caches and memory up
                seconds[name].append(time.perf_counter() - start)
    bare = seconds[BARE]
    return [
        Timing(
            name,
            tuple(times),
            statistics.median(b / t for b, t in zip(bare, times, strict=True)),
            pictures,
        )
        for name, times in seconds.items()
    ]
