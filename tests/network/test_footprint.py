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


def test_a_view_keeps_what_it_looks_at() -> None:
    @tf.function(input_signature=[tf.TensorSpec((KILOBYTE,))])  # type: ignore[untyped-decorator]
    def branches(x: tf.Tensor) -> tf.Tensor:
        kept = tf.reshape(tf.exp(x), (2, KILOBYTE // 2))
        other = tf.tanh(tf.tanh(tf.tanh(x)))
        return tf.reshape(kept, (KILOBYTE,)) + other

    assert working_bytes(branches.get_concrete_function().graph) == 3 * 1024


def test_a_tensor_of_unknown_shape_is_as_large_as_what_it_is_made_of() -> None:
    @tf.function(input_signature=[tf.TensorSpec((KILOBYTE,))])  # type: ignore[untyped-decorator]
    def hidden(x: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([tf.shape(x)[:1], [1]], 0)
        return tf.tanh(tf.tanh(tf.raw_ops.Reshape(tensor=tf.exp(x), shape=shape + 0)))

    assert working_bytes(hidden.get_concrete_function().graph) >= 2 * 1024


@pytest.mark.parametrize(
    ("machine", "files", "wanted"),
    [
        ("MemTotal: 9000 kB\nMemAvailable: 2000 kB\n", {}, 2000 * 1024),
        ("MemAvailable: 2000 kB\n", {"memory.max": "max", "memory.current": "5"}, 2000 * 1024),
        (
            "MemAvailable: 2000 kB\n",
            {
                "memory.max": "1000000",
                "memory.current": "900000",
                "memory.stat": "anon 300000\ninactive_file 500000\nactive_file 100000",
            },
            600_000,
        ),
        (
            "MemAvailable: 2000 kB\n",
            {
                "memory/memory.limit_in_bytes": "1000000",
                "memory/memory.usage_in_bytes": "400000",
                "memory/memory.stat": "inactive_file 7\ntotal_inactive_file 100000",
            },
            700_000,
        ),
        (
            "MemAvailable: 2 kB\n",
            {"memory.max": "1000000", "memory.current": "400000", "memory.stat": ""},
            2048,
        ),
    ],
)
def test_the_narrower_limit_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    files: dict[str, str],
    wanted: int,
) -> None:
    (tmp_path / "meminfo").write_text(machine, encoding="ascii")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n", encoding="ascii")
    monkeypatch.setattr(footprint, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(footprint, "_CGROUP", tmp_path)
    assert free_bytes() == wanted


def test_this_machine_has_memory() -> None:
    free = free_bytes()
    assert free is None or free > 1 << 20
