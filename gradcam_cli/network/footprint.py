"""What a traced function needs in memory while it runs, and what the machine has left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from gradcam_cli.network.anatomy import ancestors

__all__ = ["free_bytes", "on_gpu", "working_bytes"]

_VIEWS = {"Const", "ExpandDims", "Identity", "Placeholder", "ReadVariableOp", "Reshape", "Squeeze"}
"""Operations whose outputs lie in memory that is there already."""

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def working_bytes(graph: Any) -> int:
    """Return the most bytes of tensors that are alive at once in a traced graph, weights excluded.

    Only what the outputs depend on is run. Operations are taken in the order they were traced in,
    and a tensor is given up behind the last operation that reads it. An estimate: TensorFlow fuses
    some, and runs others side by side.
    """
    used = set[str]().union(*(ancestors(tensor) for tensor in graph.outputs))
    operations = [op for op in graph.get_operations() if op.name in used]
    last = {id(tensor): place for place, op in enumerate(operations) for tensor in op.inputs}
    ending: dict[int, int] = {}
    alive = most = 0
    for place, op in enumerate(operations):
        if op.type not in _VIEWS:
            for tensor in op.outputs:
                size = _bytes(tensor)
                alive += size
                until = last.get(id(tensor), place)
                ending[until] = ending.get(until, 0) + size
        most = max(most, alive)
        alive -= ending.pop(place, 0)
    return most


def _bytes(tensor: Any) -> int:
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0
    return int((tensor.shape.num_elements() or 0) * tensor.dtype.size)


def on_gpu() -> bool:
    """Tell whether TensorFlow computes on a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def free_bytes() -> int | None:
    """Return the bytes of memory that this process may still take, or None where nothing tells.

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
    try:
        most = int((_CGROUP / "memory.max").read_text(encoding="ascii"))
        return most - int((_CGROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
