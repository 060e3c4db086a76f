"""Passes in full batches, their order, and what happens when memory runs out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.errors import OutOfMemory
from gradcam_cli.network.sweep import sweep


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9])
def test_scores_come_in_the_order_of_the_passes(count: int) -> None:
    batches: list[list[int]] = []
    told: list[tuple[int, int]] = []

    def run(at: Any) -> Any:
        batches.append(at.numpy().tolist())
        return tf.stack([tf.cast(at, tf.float32), tf.cast(at * at, tf.float32)], -1)

    asked = [2 * number + 1 for number in range(count)]
    found = sweep(run, asked, 4, lambda done, total: told.append((done, total)))
    numbers = np.array(asked, np.float32)
    np.testing.assert_array_equal(found, np.stack([numbers, numbers**2], -1))
    assert found.dtype == np.float32
    assert [number for batch in batches for number in batch][:count] == asked
    assert {len(batch) for batch in batches} == {4}
    assert told[-1] == (count, count)
    assert [done for done, _ in told] == [min(4 * (n + 1), count) for n in range(len(told))]


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM")], ids=str
)
def test_a_lack_of_memory_is_told_as_such(error: Exception) -> None:
    def run(_at: Any) -> Any:
        raise error

    with pytest.raises(OutOfMemory, match="4 passes"):
        sweep(run, range(8), 4)
