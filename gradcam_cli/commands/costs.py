"""What methods cost is said before it is paid, and shown while it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gradcam_cli.commands import say
from gradcam_cli.commands.bars import closing_bar, progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

    from gradcam_cli.cam.answer import Facts


_MINUTE, _HOUR = 60, 3600


def say_passes(facts: Facts) -> None:
    """Say how many passes through the network each method takes that needs more than one."""
    from gradcam_cli.cam.methods import METHODS

    for name, count in facts.passes.items():
        if count > 1:
            title = METHODS[name].title
            say.note(f"{title} runs the network up to {count} times for every picture")


def say_cautions(facts: Facts, methods: tuple[str, ...]) -> None:
    """Warn of methods that are known to mislead, here or everywhere."""
    from gradcam_cli.cam.methods import METHODS

    tokens = any(layer.tokens for layer in facts.layers)
    for name in methods:
        row = METHODS[name]
        if row.caution:
            say.warn(f"{row.title}: {row.caution}")
        if tokens and row.misleads_on_tokens:
            say.warn(f"{row.title} can mislead on the tokens of a transformer: {row.tokens}")
    for caution in facts.cautions:
        say.warn(caution)


def duration(seconds: float) -> str:
    """Return a time for people: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 2 * _MINUTE:
        return f"{max(seconds, 1):.0f} s" if seconds >= 1 else "less than a second"
    minutes = round(seconds / _MINUTE)
    if minutes < 2 * _MINUTE:
        return f"{minutes} min"
    return f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


@contextmanager
def costs(pictures: int, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what is told the passes of every image: a bar within it, and an estimate after one.

    The bar is on terminals only; the estimate of all ``pictures`` comes once the first is done.
    """
    if quiet:
        yield None
        return
    bar: tqdm[None] | None = None
    first: tuple[float, int] | None = None
    estimated = pictures < 2

    def tick(done: int, total: int) -> None:
        nonlocal bar, first, estimated
        now = time.perf_counter()
        first = first or (now, done)
        if not estimated and done == total:
            estimated = True
            if done > first[1]:
                a_picture = (now - first[0]) / (done - first[1]) * total
                everything = duration(a_picture * pictures)
                say.note(f"{duration(a_picture)} a picture, {everything} for {pictures} of them")
        if sys.stderr.isatty():
            if bar is None:
                bar = progress_bar(total=total, unit="pass", position=1)
            bar.total, bar.n = total, done
            bar.refresh()

    try:
        yield tick
    finally:
        if bar is not None:
            closing_bar(bar)
