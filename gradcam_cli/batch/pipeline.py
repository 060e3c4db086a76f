"""Many files become records, in order: read ahead, explain in batches, finish behind."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from threading import Event
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.batch.records import Kept, Record
from gradcam_cli.batch.steps import HELD_BYTES, Job, Plan, failed, finish, prepare
from gradcam_cli.errors import GradcamError, ImageError, OutOfMemory
from gradcam_cli.explain import Explained, Explainer
from gradcam_cli.images.find import Found

__all__ = ["THREADS", "Late", "Stages", "ordered", "stream"]

A = TypeVar("A")
B = TypeVar("B")
Read = Job | Record | Kept
Answered = tuple[Job, Explained, Plan]

THREADS = "gradcam-ordered"
"""How the threads' names begin."""

_AHEAD_BYTES = 256 << 20
_BATCH_BYTES = 512 << 20
_CROWD = 4
"""Batches' worth of items after which a batch is begun, however few of them can be used."""
_PATIENCE = 120.0
"""Seconds that one picture may keep everybody waiting before it is given up."""


@dataclass
class Stages:
    """Where the time of a stream went, in seconds of its caller."""

    reading: float = 0.0
    network: float = 0.0
    writing: float = 0.0
    too_large: int = 0
    """The batch size that did not fit into memory, if one did not."""

    def slowest(self) -> str:
        """Return the name of the stage that was waited for most."""
        return max(("reading", "network", "writing"), key=lambda name: getattr(self, name))


@dataclass(frozen=True)
class Late(Generic[A]):
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
) -> Generator[B | Late[A], None, None]:
    """Yield ``function(item)`` of every item in order, computed ahead in threads.

    At most ``ahead`` items are under way, and no further one is begun while the finished results
    weigh more than ``most``. An exception reaches whoever asks for that item's result. An item that
    has to be waited for longer than ``patience`` seconds is yielded as Late, and its thread left.
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

    def take() -> B | Late[A]:
        item, future = waiting.popleft()
        try:
            return future.result(timeout=patience)
        except TookTooLong:
            if future.done():  # the function's own exception, not our patience
                raise
            renew()
            return Late(item)

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
    pictures: Iterable[Found | Kept],
    plan: Plan,
    trace: Callable[[int], Explainer],
    batch_size: int,
    stop: Event | None = None,
    stages: Stages | None = None,
) -> Generator[Record, None, None]:
    """Yield one record a picture, in the order of ``pictures``.

    A Kept picture gives no record, but leaves its place in its batch empty: the numbers of the
    others come out as if all had been done in one go. ``trace(size)`` is called once, when the
    first batch with work in it is known, with the size of the largest batch up to then.
    Decoding, rendering and encoding run in threads (OpenCV lets go of Python's lock), the network
    in the caller's. Memory is bounded by the number of pictures ahead and by their bytes; a batch
    of large photographs is cut short. Once ``stop`` is set no further batch is begun; what the
    network has answered is still finished. ``stages`` collects where the time went.
    """
    stop, stages = stop or Event(), stages or Stages()
    unstopped = takewhile(lambda _: not stop.is_set(), pictures)

    def read_one(item: Found | Kept) -> Read:
        return item if isinstance(item, Kept) else prepare(item, plan)

    read = ordered(read_one, unstopped, 2 * batch_size, weigh=_weight)
    arrived = (_late(item, plan) if isinstance(item, Late) else item for item in read)
    groups = _groups(_timed(arrived, stages, "reading"), batch_size)
    answers = _answers(takewhile(lambda _: not stop.is_set(), groups), plan, trace, stages)
    # Whoever leaves early, by an error or on purpose, leaves no thread behind that still writes.
    with closing(read), closing(ordered(_finish, answers, batch_size + 2, patience=None)) as ends:
        before = stages.reading + stages.network
        start = time.perf_counter()
        for record in ends:
            assert not isinstance(record, Late)  # noqa: S101  writing is waited for without end
            spent = time.perf_counter() - start
            upstream = stages.reading + stages.network
            stages.writing += max(0.0, spent - (upstream - before))
            yield record
            before, start = stages.reading + stages.network, time.perf_counter()


def _weight(item: Read) -> int:
    """Return the bytes that an item holds, or would hold."""
    if isinstance(item, Job):
        return item.picture.pixels.nbytes
    return item.weight if isinstance(item, Kept) and item.weight <= HELD_BYTES else 0


def _late(late: Late[Found | Kept], plan: Plan) -> Record:
    assert isinstance(late.item, Found)  # noqa: S101  nothing is done for the others
    error = ImageError("timeout", "reading it took too long", "the disk or the decoder hangs")
    return failed(late.item, error, plan)


def _finish(item: Answered | Record) -> Record:
    return item if isinstance(item, Record) else finish(*item)


def _timed(items: Iterable[A], stages: Stages, name: str) -> Iterator[A]:
    """Add the time that is spent waiting for each item to a stage."""
    iterator = iter(items)
    while True:
        start = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        finally:
            setattr(stages, name, getattr(stages, name) + time.perf_counter() - start)
        yield item


def _answers(
    groups: Iterable[list[Read]],
    plan: Plan,
    trace: Callable[[int], Explainer],
    stages: Stages,
) -> Iterator[Answered | Record]:
    """Run the network over batches; failed records pass by in their place."""
    explainer: Explainer | None = None
    blank = np.zeros((*plan.input_size, plan.channels), np.uint8)
    largest = 1
    for group in groups:
        places = [item for item in group if not isinstance(item, Record)]
        largest = max(largest, len(places))
        answers: Iterator[Explained] = iter(())
        if any(isinstance(item, Job) for item in places):
            start = time.perf_counter()
            explainer = explainer or _traced(trace, largest, stages)
            squares = [item.square if isinstance(item, Job) else blank for item in places]
            explainer, found = _explained(explainer, trace, squares, stages)
            plan = plan.explained_by(explainer)
            answers = iter(found)
            stages.network += time.perf_counter() - start
        for item in group:
            if isinstance(item, Record):
                yield item
                continue
            answer = next(answers, None)
            if isinstance(item, Job) and answer is not None:
                yield item, answer, plan


def _traced(trace: Callable[[int], Explainer], size: int, stages: Stages) -> Explainer:
    """Trace the network for batches of ``size`` if they fit into memory, else for half of that."""
    while True:
        try:
            explainer = trace(size)
            smallest = size == 1 or explainer.model.ports.batch
            if explainer.fits() or (smallest and explainer.fits(sparing=False)):
                return explainer
            if smallest:
                raise _too_large()
        except OutOfMemory as error:
            if size == 1:
                raise _too_large() from error
        stages.too_large = stages.too_large or size
        size //= 2


def _explained(
    explainer: Explainer,
    trace: Callable[[int], Explainer],
    squares: Sequence[NDArray[np.uint8]],
    stages: Stages,
) -> tuple[Explainer, list[Explained]]:
    """Run the network, with half the batch when memory runs out, and half of that, down to one."""
    size = explainer.batch_size
    while True:
        try:
            return explainer, list(explainer.many(squares))
        except OutOfMemory as error:
            if size == 1 or explainer.model.ports.batch:
                raise _too_large() from error
        stages.too_large = stages.too_large or size
        size //= 2
        explainer = _traced(trace, size, stages)


def _too_large() -> GradcamError:
    return GradcamError(
        "the network does not fit into memory, even with one picture at a time",
        "close other programs, or explain a later layer with --layer",
    )


def _groups(read: Iterable[Read], batch_size: int) -> Iterator[list[Read]]:
    """Yield runs of items with up to ``batch_size`` places in them, fewer of large pictures.

    Failed records wait behind jobs to keep their place, but not for ever.
    """
    group: list[Read] = []
    places = weight = 0
    for item in read:
        group.append(item)
        places += not isinstance(item, Record)
        weight += _weight(item)
        crowd = len(group) >= _CROWD * batch_size
        if not places or places == batch_size or weight > _BATCH_BYTES or crowd:
            yield group
            group, places, weight = [], 0, 0
    if group:
        yield group
