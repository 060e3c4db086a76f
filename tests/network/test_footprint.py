"""Estimates of memory, against sums by hand; what is free, against files made up."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from gradcam_cli.network import footprint
from gradcam_cli.network.footprint import free_bytes, working_bytes

KILOBYTE = 256  # float32 numbers


def test_the_most_that_lives_at_once_is_counted() -> None:
    @tf.function(input_signature=[tf.TensorSpec((KILOBYTE,))])  # type: ignore[untyped-decorator]
    def chain(x: tf.Tensor) -> tf.Tensor:
        wide = tf.concat([tf.exp(x)] * 4, 0)  # 1 KB, then 4 KB beside it
        tf.exp(tf.concat([wide] * 8, 0))  # nobody asks for this
        wide = tf.tanh(wide)  # 4 KB beside 4 KB; the axis of concat is a number of 4 bytes
        return tf.tanh(tf.reshape(wide, (4, KILOBYTE))[0])

    graph = chain.get_concrete_function().graph
    assert working_bytes(graph) == 8 * 1024


def test_what_is_needed_later_stays() -> None:
    @tf.function(input_signature=[tf.TensorSpec((KILOBYTE,))])  # type: ignore[untyped-decorator]
    def branches(x: tf.Tensor) -> tf.Tensor:
        kept = tf.exp(x)
        other = tf.tanh(tf.tanh(tf.tanh(kept)))
        return kept + other

    assert working_bytes(branches.get_concrete_function().graph) == 3 * 1024


@pytest.mark.parametrize(
    ("machine", "limit", "used", "wanted"),
    [
        ("MemTotal: 9000 kB\nMemAvailable: 2000 kB\n", None, None, 2000 * 1024),
        ("MemAvailable: 2000 kB\n", "max", "5", 2000 * 1024),
        ("MemAvailable: 2000 kB\n", "1000000", "400000", 600_000),
        ("MemAvailable: 2 kB\n", "1000000", "400000", 2048),
    ],
)
def test_the_narrower_limit_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    limit: str | None,
    used: str | None,
    wanted: int,
) -> None:
    (tmp_path / "meminfo").write_text(machine, encoding="ascii")
    if limit and used:
        (tmp_path / "memory.max").write_text(limit + "\n", encoding="ascii")
        (tmp_path / "memory.current").write_text(used + "\n", encoding="ascii")
    monkeypatch.setattr(footprint, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(footprint, "_CGROUP", tmp_path)
    assert free_bytes() == wanted


def test_this_machine_has_memory() -> None:
    free = free_bytes()
    assert free is None or free > 1 << 20
