"""Many passes over one image run in full batches, and their scores come out in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import OutOfMemory
from gradcam_cli.isolation import tf


def sweep(
    run: Callable[[Any], Any],
    numbers: Sequence[int] | NDArray[np.integer],
    batch_size: int,
    tick: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return the scores of the passes with these numbers (one at least), float32 ``[P, C]``.

    ``run`` takes the numbers of a batch of passes, int32 ``[batch_size]``, and returns their scores
    ``[batch_size, C]``; the last batch is filled up with its last pass. ``tick`` is told after
    every batch how many of all are done. Raises OutOfMemory when a batch does not fit.
    """
    every, count = np.asarray(numbers, np.int32), len(numbers)
    parts: list[NDArray[np.float32]] = []
    for first in range(0, count, batch_size):
        at = every[np.minimum(np.arange(first, first + batch_size), count - 1)]
        done = min(first + batch_size, count)
        try:
            parts.append(run(tf.constant(at)).numpy()[: done - first])
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            raise OutOfMemory(
                f"{batch_size} passes at a time need more memory than there is",
                "a smaller --batch-size takes less",
            ) from error
        if tick is not None:
            tick(done, count)
    return np.concatenate(parts)
