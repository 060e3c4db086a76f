"""What the shell, or whoever started this process, allows it."""

from __future__ import annotations

from typing import Any

try:
    import resource as _resource
except ImportError:  # Windows has none
    _resource = None  # type: ignore[assignment]

_resources: Any = _resource


def memory_limit() -> str:
    """Return how much memory this process may have, for people, or nothing where all is allowed."""
    for name, flag in (("RLIMIT_AS", "-v"), ("RLIMIT_DATA", "-d")):
        if most := _limit(name):
            return f"memory is limited to {most / 1e9:.1f} GB (ulimit {flag})"
    return ""


def cpu_limit() -> str:
    """Return how long this process may compute, if its children have computed as long."""
    most = _limit("RLIMIT_CPU")
    if not most:
        return ""
    used = _resources.getrusage(_resources.RUSAGE_CHILDREN)
    if used.ru_utime + used.ru_stime < most - 1:
        return ""
    return f"computing is limited to {most} s (ulimit -t)"


def _limit(name: str) -> int:
    """Return a soft limit, or 0 where there is none."""
    number = getattr(_resources, name, None)
    if number is None:
        return 0
    soft = int(_resources.getrlimit(number)[0])
    return 0 if soft == _resources.RLIM_INFINITY else soft
