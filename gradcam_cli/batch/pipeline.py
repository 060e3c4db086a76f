"""Many files become records, in order: read ahead, explain in batches, finish behind."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import takewhile
from threading import Event
from typing import TypeVar

from gradcam_cli.batch.records import Record
from gradcam_cli.batch.steps import Job, Plan, finish, prepare
from gradcam_cli.explain import Explained, Explainer
from gradcam_cli.images.find import Found

__all__ = ["ordered", "stream"]

A = TypeVar("A")
B = TypeVar("B")
Answered = tuple[Job, Explained, Plan]


def ordered(
    pool: ThreadPoolExecutor, function: Callable[[A], B], items: Iterable[A], ahead: int
) -> Iterator[B]:
    """Yield ``function(item)`` of every item in order, at most ``ahead`` of them under way.

    An exception reaches whoever asks for that item's result; the items under way are waited for.
    """
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def stream(
    pictures: Iterable[Found],
    plan: Plan,
    trace: Callable[[int], Explainer],
    batch_size: int,
    stop: Event | None = None,
) -> Iterator[Record]:
    """Yield one record a picture, in the order of ``pictures``.

    ``trace(size)`` is called once, when the first batch is known, with that batch's size.
    Decoding, rendering and encoding run in threads (OpenCV lets go of Python's lock), the network
    in the caller's. At most two batches of pictures are in memory before the network and one
    behind it. Once ``stop`` is set no further batch is begun; what the network has answered is
    still finished.
    """
    stop = stop or Event()
    count = max(2, os.cpu_count() or 2)
    with (
        ThreadPoolExecutor(count, "read") as readers,
        ThreadPoolExecutor(count, "write") as writers,
    ):
        unstopped = takewhile(lambda _: not stop.is_set(), pictures)
        read = ordered(readers, lambda found: prepare(found, plan), unstopped, 2 * batch_size)
        answers = _answers(read, plan, trace, batch_size, stop)
        yield from ordered(writers, _finish, answers, batch_size + count)


def _finish(item: Answered | Record) -> Record:
    return item if isinstance(item, Record) else finish(*item)


def _answers(
    read: Iterator[Job | Record],
    plan: Plan,
    trace: Callable[[int], Explainer],
    batch_size: int,
    stop: Event,
) -> Iterator[Answered | Record]:
    """Run the network over batches; failed records pass by in their place."""
    explainer: Explainer | None = None
    for group in _groups(read, batch_size):
        if stop.is_set():
            return
        jobs = [item for item in group if isinstance(item, Job)]
        if jobs and explainer is None:
            explainer = trace(len(jobs))
            plan = replace(plan, layer=explainer.layer)
        answers = explainer.many([job.square for job in jobs]) if explainer else iter(())
        for item in group:
            yield item if isinstance(item, Record) else (item, next(answers), plan)


def _groups(read: Iterable[Job | Record], batch_size: int) -> Iterator[list[Job | Record]]:
    """Yield runs of items that hold up to ``batch_size`` jobs each."""
    group: list[Job | Record] = []
    jobs = 0
    for item in read:
        group.append(item)
        jobs += isinstance(item, Job)
        if jobs == batch_size:
            yield group
            group, jobs = [], 0
    if group:
        yield group
