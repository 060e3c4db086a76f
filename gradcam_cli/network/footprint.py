"""What a traced function needs in memory while it runs, and what the machine has left."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradcam_cli.isolation import tf
from gradcam_cli.network.anatomy import ancestors
from gradcam_cli.network.kinds import VIEWS

_CGROUP = Path("/sys/fs/cgroup")
_CGROUPS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Where the kernel says so, in its second and in its first version of groups."""
_MEMINFO = Path("/proc/meminfo")


def working_bytes(graph: Any) -> int:
    """Return the most bytes of tensors that are alive at once in a traced graph, weights excluded.

    Only what the outputs depend on is run. Operations are taken in the order they were traced in,
    and a tensor is given up behind the last operation that reads it, or a view of it. An estimate:
    TensorFlow fuses some, and runs others side by side.
    """
    used = set[str]().union(*(ancestors(tensor) for tensor in graph.outputs))
    operations = [op for op in graph.get_operations() if op.name in used]
    last = _last_readers(operations)
    sizes: dict[int, int] = {}
    ending: dict[int, int] = {}
    alive = most = 0
    for place, op in enumerate(operations):
        largest = max((sizes.get(id(tensor), 0) for tensor in op.inputs), default=0)
        for tensor in op.outputs:
            size = sizes[id(tensor)] = _bytes(tensor, largest)
            if op.type not in VIEWS:
                alive += size
                until = last.get(id(tensor), place)
                ending[until] = ending.get(until, 0) + size
        most = max(most, alive)
        alive -= ending.pop(place, 0)
    return most


def _last_readers(operations: Sequence[Any]) -> dict[int, int]:
    """Return the place of the last operation that reads each tensor; whoever reads a view does."""
    last: dict[int, int] = {}
    for place, op in reversed(list(enumerate(operations))):
        until = place
        if op.type in VIEWS:
            until = max((last.get(id(tensor), place) for tensor in op.outputs), default=place)
        for tensor in op.inputs:
            last[id(tensor)] = max(last.get(id(tensor), 0), until)
    return last


def _bytes(tensor: Any, largest: int) -> int:
    """Return a tensor's size; one of unknown shape is as large as the largest it is made of.

    Gradients of several classes at once lose their shapes.
    """
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0
    count = tensor.shape.num_elements()
    return largest if count is None else int(count * tensor.dtype.size)


def on_gpu() -> bool:
    """Return whether TensorFlow computes on a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def free_bytes() -> int | None:
    """Return the bytes of memory that this process may still take, or None where that is not known.

    A container's limit counts as well as the machine's own memory.
    """
    known = [size for size in (_machine(), _container()) if size is not None]
    return min(known, default=None)


def _machine() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii", errors="replace").splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(free.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _container() -> int | None:
    """Return what a container may still take; what it only holds to read files faster is free."""
    for folder, limit, usage, idle in _CGROUPS:
        try:
            most = int((_CGROUP / folder / limit).read_text(encoding="ascii"))
            taken = int((_CGROUP / folder / usage).read_text(encoding="ascii"))
            lines = (_CGROUP / folder / "memory.stat").read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            continue
        facts = dict(line.split()[:2] for line in lines if " " in line)
        return most - taken + int(facts.get(idle, 0))
    return None
