"""Bare prediction, the whole stream and each stage alone are timed side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcam_cli.batch.pipeline import Late, ordered, stream
from gradcam_cli.batch.steps import Job, Plan, finish, prepare
from gradcam_cli.errors import GradcamError
from gradcam_cli.explain import WORTH_FREEZING, Explainer, Question
from gradcam_cli.images.find import Found
from gradcam_cli.models.load import Model

__all__ = ["BARE", "STREAM", "Timing", "measure"]

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
    model: Model,
    question: Question,
    plan: Plan,
    pictures: Sequence[Found],
    batch_size: int,
    repeats: int,
    precision: str = "float32",
) -> list[Timing]:
    """Time everything in turn, ``repeats`` times over, after one round that does not count.

    What is compared runs side by side in each round, so that a machine whose speed drifts slows
    all of it. Raises GradcamError when a picture cannot be read.
    """
    if not model.ports.plain:
        raise GradcamError(
            "only models with one picture input and one output can be compared with model.predict",
            "`gradcam run` names the slowest stage of a real run",
        )
    freeze = len(pictures) >= WORTH_FREEZING
    explainer = Explainer(model, question, batch_size, precision, freeze)
    plan = plan.explained_by(explainer)
    jobs = [_job(found, plan) for found in pictures]
    squares = np.stack([job.square for job in jobs])
    scaled = np.asarray(model.scaling.apply(squares.astype(np.float32)))
    answers = list(explainer.many(list(squares)))
    pairs = list(zip(jobs, answers, strict=True))

    def bare() -> None:
        model.network.predict(scaled, batch_size=batch_size, verbose=0)

    def whole() -> None:
        for _ in stream(pictures, plan, lambda _: explainer, batch_size):
            pass

    things: dict[str, Callable[[], Any]] = {
        BARE: bare,
        STREAM: whole,
        "reading alone": lambda: _drain(lambda found: prepare(found, plan), pictures),
        "network alone": lambda: list(explainer.many(list(squares))),
        "writing alone": lambda: _drain(lambda pair: finish(pair[0], pair[1], plan), pairs),
    }
    return _rounds(things, len(pictures), repeats)


def _job(found: Found, plan: Plan) -> Job:
    job = prepare(found, plan)
    if not isinstance(job, Job):
        message = job.error.message if job.error else ""
        raise GradcamError(f"{found.source}: {message}", "give pictures that can be read")
    return job


def _drain(function: Callable[[Any], Any], items: Sequence[Any]) -> None:
    for result in ordered(function, items, 32):
        assert not isinstance(result, Late)  # noqa: S101  a benchmark is not that patient


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
