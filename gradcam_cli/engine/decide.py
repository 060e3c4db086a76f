"""Batch size and freezing are decided before the first block, by the list and the machine."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.methods import has_passes
from gradcam_cli.engine.reference import reference
from gradcam_cli.errors import GradcamError, OutOfMemory
from gradcam_cli.explainer import Explainer, traced
from gradcam_cli.models.load import Model
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.run import RunSpec

WORTH_FREEZING = 96
"""Images; freezing takes a few tenths of a second, which fewer of them do not save."""

USUAL = 16
WORTH_TRYING = 256
"""Images that are worth trying a few batch sizes first."""

SIZES = (8, 16, 32, 64, 128, 256)
"""What is tried, one after another, as long as it pays."""

_QUICK = 10.0
"""Seconds; no further size is tried when that would probably take longer than this in all."""
_WORTHWHILE = 1.05
"""A batch twice as large takes twice the memory: it must be at least this much faster."""


def decided(model: Model, spec: RunSpec, count: int, before: int = 0) -> Explainer:
    """Trace a model for a list of ``count`` images, with the largest batch that fits into memory.

    ``before`` is the batch size that an earlier part of the same run chose by itself, or 0. Methods
    of many passes take one image at a time, which fills batches by its passes: so it is written as
    soon as it is done, and whoever stops the run waits for no other. Raises GradcamError when not
    even one image fits.
    """
    model, compared = reference(model, spec)
    freeze = count >= WORTH_FREEZING
    asked, alone = spec.images.batch_size, has_passes(spec.explain.methods if spec.explain else ())
    if asked == "auto" and alone:
        asked = USUAL
    if asked == "auto":
        fresh = not before and count >= WORTH_TRYING
        found = try_sizes(model, spec.explain, freeze, compared) if fresh else None
        if found is not None:
            return found
        asked = before or USUAL
    size, passes = 1 if alone else min(asked, count), asked
    while True:
        try:
            explainer = traced(model, spec.explain, size, freeze, compared, passes)
            smallest = size == 1 or bool(model.ports.batch)
            if explainer.fits(sparing=not smallest):
                return explainer
            if smallest:
                raise too_large(1)
        except OutOfMemory as error:
            if size == 1:
                raise too_large(1) from error
        size //= 2
        passes = size


def try_sizes(
    model: Model,
    spec: ExplainSpec | None,
    freeze: bool,
    compared: NDArray[np.float32] | None = None,
) -> Explainer | None:
    """Return the network traced for the batch size that does most images a second.

    Growing sizes are traced and timed on blank images: until a size gains nothing, does not fit
    into memory, or trying takes too long. None when not even the smallest fits; a model whose file
    sets its batch size is not timed.
    """
    best: Explainer | None = None
    rate = 0.0
    start = time.perf_counter()
    for size in SIZES:
        began = time.perf_counter()
        try:
            explainer = traced(model, spec, size, freeze, compared)
            if model.ports.batch:
                return explainer
            if not explainer.fits():
                break
            faster = size / explainer.seconds()
        except OutOfMemory:
            break
        if faster < _WORTHWHILE * rate:
            break
        best, rate = explainer, faster
        now = time.perf_counter()
        if now - start + 2 * (now - began) > _QUICK:
            break
    return best


def too_large(size: int) -> GradcamError:
    """Return the error for a batch that memory runs out with."""
    if size == 1:
        return GradcamError(
            "the network does not fit into memory, even with one image at a time",
            "close other programs, or explain a later layer with --layer",
        )
    return GradcamError(
        f"memory ran out with batches of {size}",
        f"close other programs, or give --batch-size {size // 2}; what is done stays done",
    )
