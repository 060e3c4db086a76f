"""Places of a list become outcomes, in order: read ahead, explain in blocks, write behind."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, takewhile
from threading import Event
from typing import Generic, TypeVar

import numpy as np

from gradcam_cli.cam.answer import Answer
from gradcam_cli.engine.decide import too_large
from gradcam_cli.engine.steps import Failed, Held, Prepared, Sink, prepare, write
from gradcam_cli.errors import FailureKind, ImageError, OutOfMemory
from gradcam_cli.explainer import Explainer
from gradcam_cli.explaining.passes import Tick
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.store.records import Done

A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
Read = Prepared | Failed | Done
Answered = tuple[Prepared, Answer] | Failed | Done

THREADS = "gradcam-ordered"
"""How the threads' names begin."""

_AHEAD_BYTES = 256 << 20
_PATIENCE = 120.0
"""Seconds that one image may keep everybody waiting before it is given up."""


@dataclass
class Stages:
    """Where the time of a stream went, in seconds of its caller."""

    reading: float = 0.0
    network: float = 0.0
    writing: float = 0.0

    def slowest(self) -> str:
        """Return the name of the stage that was waited for most."""
        return max(("reading", "network", "writing"), key=lambda name: getattr(self, name))


@dataclass(frozen=True)
class TimedOut(Generic[A]):
    """An item whose result never came."""

    item: A


def ordered(
    function: Callable[[A], B],
    items: Iterable[A],
    ahead: int,
    *,
    weigh: Callable[[B], int] = lambda _: 0,
    most: int = _AHEAD_BYTES,
    patience: float | None = _PATIENCE,
) -> Generator[B | TimedOut[A], None, None]:
    """Yield ``function(item)`` of every item in order, computed ahead in threads.

    At most ``ahead`` items are under way, and no further one is begun while the finished results
    weigh more than ``most``. An exception reaches whoever asks for that item's result. An item that
    has to be waited for longer than ``patience`` seconds is yielded as TimedOut, its thread left.
    Without ``patience`` no thread is left: when this ends, early or not, all work has ended.
    """
    count = max(2, os.cpu_count() or 2)
    pool = ThreadPoolExecutor(count, THREADS)
    waiting: deque[tuple[A, Future[B]]] = deque()

    def full() -> bool:
        done = [future for _, future in waiting if future.done()]
        if len(waiting) >= ahead or any(future.exception() for future in done):
            return True  # nothing is begun behind a failure: the disk is full, or has gone
        return sum(weigh(future.result()) for future in done) > most

    def take() -> B | TimedOut[A]:
        item, future = waiting.popleft()
        try:
            return future.result(timeout=patience)
        except TookTooLong:
            if future.done():  # the function's own exception, or it came at the last moment
                return future.result()
            renew()
            return TimedOut(item)

    def renew() -> None:
        nonlocal pool
        pool.shutdown(wait=False)
        pool = ThreadPoolExecutor(count, THREADS)
        for place, (item, future) in enumerate(waiting):
            if future.cancel():
                waiting[place] = item, pool.submit(function, item)

    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            while full() and waiting:
                yield take()
        while waiting:
            yield take()
    finally:
        pool.shutdown(wait=patience is None, cancel_futures=True)


def stream(
    places: Iterable[Found | Done],
    explainer: Explainer,
    spec: ImageSpec,
    sink: Sink[R],
    stop: Event | None = None,
    stages: Stages | None = None,
    tick: Tick | None = None,
) -> Generator[R | Failed | Done, None, None]:
    """Yield the outcome of every place of a list, in order.

    Block k holds places kB to kB+B-1, B being the batch size of ``explainer``. An image that is
    done, or cannot be used, leaves its place in the batch blank, so that the numbers of the others
    depend on the list alone. A block without work is not run.

    Decoding, rendering and encoding run in threads (OpenCV lets go of Python's lock), the network
    in the caller's. Memory is bounded by the number of images ahead and by their bytes. Once
    ``stop`` is set no further block is begun; what the network has answered is still finished.
    ``stages`` collects where the time went; ``tick`` is told how many passes of how many an image
    has behind it, by methods that take many.
    """
    stop, stages, held = stop or Event(), stages or Stages(), Held()

    def read_one(place: Found | Done) -> Read:
        return place if isinstance(place, Done) else prepare(place, explainer.model, spec, held)

    def write_one(answered: Answered) -> R | Failed | Done:
        return write(*answered, sink, held) if isinstance(answered, tuple) else answered

    size = explainer.facts.batch_size
    unstopped = takewhile(lambda _: not stop.is_set(), places)
    read = ordered(read_one, unstopped, 2 * size, weigh=_weight)
    arrived = (_timed_out(item) if isinstance(item, TimedOut) else item for item in read)
    blocks = _blocks(_timed(arrived, stages), size)
    answers = _answers(takewhile(lambda _: not stop.is_set(), blocks), explainer, stages, tick)
    # Whoever leaves early, by an error or on purpose, leaves no thread behind that still writes.
    with closing(read), closing(ordered(write_one, answers, size + 2, patience=None)) as ends:
        before = stages.reading + stages.network
        start = time.perf_counter()
        for outcome in ends:
            assert not isinstance(outcome, TimedOut)  # noqa: S101  writing is waited for without end
            spent = time.perf_counter() - start
            upstream = stages.reading + stages.network
            stages.writing += max(0.0, spent - (upstream - before))
            yield outcome
            before, start = stages.reading + stages.network, time.perf_counter()


def _weight(item: Read) -> int:
    return item.image.pixels.nbytes if isinstance(item, Prepared) else 0


def _timed_out(given_up: TimedOut[Found | Done]) -> Failed:
    assert isinstance(given_up.item, Found)  # noqa: S101  nothing is done for the others
    error = ImageError(
        FailureKind.TIMEOUT, "reading it took too long", "the disk or the decoder hangs"
    )
    return Failed(given_up.item, error)


def _timed(items: Iterable[Read], stages: Stages) -> Iterator[Read]:
    """Add the time that is spent waiting for each item to reading."""
    iterator = iter(items)
    while True:
        start = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        finally:
            stages.reading += time.perf_counter() - start
        yield item


def _blocks(items: Iterable[Read], size: int) -> Iterator[list[Read]]:
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block


def _answers(
    blocks: Iterable[list[Read]], explainer: Explainer, stages: Stages, tick: Tick | None
) -> Iterator[Answered]:
    """Run the network over blocks; all that is not for it passes by in its place."""
    ports, size = explainer.model.ports, explainer.facts.batch_size
    blank = np.zeros((*ports.size, ports.channels), np.uint8)
    for block in blocks:
        if not any(isinstance(item, Prepared) for item in block):
            yield from (item for item in block if not isinstance(item, Prepared))
            continue
        start = time.perf_counter()
        inputs = [item.input if isinstance(item, Prepared) else blank for item in block]
        try:
            wanted = [_methods(item, explainer) for item in block]
            answers = explainer(np.stack(inputs), wanted, tick)
        except OutOfMemory as error:
            raise too_large(size) from error
        stages.network += time.perf_counter() - start
        for item, answer in zip(block, answers, strict=True):
            yield (item, answer) if isinstance(item, Prepared) else item


def _methods(item: Read, explainer: Explainer) -> list[str]:
    """Return the methods that an image has no maps of yet; none for what is not for the network."""
    if not isinstance(item, Prepared):
        return []
    return [name for name in explainer.request.methods if name not in item.source.done_by]
