"""The C library is asked to use freed memory again."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES, _SHARED_BYTES, _MOST_ONCE = 512 << 20, 256 << 20, 32 << 20


def reuse_memory() -> None:
    """Let this process use freed blocks of up to 256 MiB again, where its C library is glibc.

    Left alone, every block of 32 MiB or more comes fresh from the system and goes back to it, and
    the system fills it with zeros, page by page: for the pixels of a large photograph, or a batch's
    activations, that takes longer than decoding it.
    """
    with suppress(AttributeError, OSError, TypeError):  # other systems have no such function
        mallopt = ctypes.CDLL(None).mallopt
        # Older ones take 32 MiB at most; to set nothing but the second would make things worse.
        if mallopt(_MMAP_THRESHOLD, _SHARED_BYTES) or mallopt(_MMAP_THRESHOLD, _MOST_ONCE):
            mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
