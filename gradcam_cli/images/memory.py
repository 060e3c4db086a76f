"""Work that needs memory becomes work that waits until enough of it is free."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from gradcam_cli.errors import FailureKind, ImageError

_PATIENCE = 60.0
"""Seconds after which work is begun without it: whoever has it may hang for ever."""


class MemoryBudget:
    """A share of the memory that threads take in turn.

    By default a quarter of a gigabyte a processor, and a whole one at least. Work that needs more
    than all of it is done alone.
    """

    def __init__(self, most: int = 0) -> None:
        self._most = most or max(1 << 30, (os.cpu_count() or 1) << 28)
        self._taken = 0
        self._given_back = threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Wait until ``size`` bytes are free, and keep them while the block runs.

        When there is no memory left all the same, raises ImageError (``too-large``) for work that
        needs more than the whole budget, else MemoryError: any other image would fail as well.
        """
        with self._given_back:
            self._given_back.wait_for(lambda: self._fits(size), _PATIENCE)
            self._taken += size
        try:
            yield
        except (cv2.error, MemoryError) as error:
            if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
                raise
            if size <= self._most:
                raise MemoryError from error
            raise ImageError(
                FailureKind.TOO_LARGE, "there is not enough memory for it", "use a smaller copy"
            ) from error
        finally:
            with self._given_back:
                self._taken -= size
                self._given_back.notify_all()

    def _fits(self, size: int) -> bool:
        return not self._taken or self._taken + size <= self._most
