"""What can go wrong, and what to do about it.

::

    GradcamError            a sentence for the user and a hint; exit code 2
    ├── ModelError          the model, its weights, a layer or a class
    │   └── OutOfMemory     the model does not fit into memory, or not with so many images
    └── ImageError          one image: becomes a failed record, the run goes on
"""

from __future__ import annotations

from enum import Enum, IntEnum


class ExitCode(IntEnum):
    """How a command ended, for the shell."""

    DONE = 0
    GATE_FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    NO_PICTURE = 4
    BROKEN = 70
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class FailureKind(str, Enum):
    """Why one image could not be used, as a name for grouping."""

    CHANGED = "changed"
    EMPTY = "empty"
    NOT_A_PICTURE = "not-a-picture"
    TIMEOUT = "timeout"
    TOO_LARGE = "too-large"
    TRUNCATED = "truncated"
    UNREAD_TYPE = "unread-type"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    WRITE = "write"


class GradcamError(Exception):
    """Something the user can repair: one plain sentence, and a hint that says how.

    Raised for wrong usage and configuration; shown as two lines, without a traceback.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[GradcamError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class ModelError(GradcamError):
    """A model, its weights, a layer or a class that cannot be had."""


class OutOfMemory(ModelError):  # noqa: N818  as the system calls it
    """A model that needs more memory than there is; a smaller batch may need less."""


class ImageError(GradcamError):
    """One image that cannot be used, and which kind of failure it is."""

    def __init__(self, kind: FailureKind, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind

    def __reduce__(self) -> tuple[type[ImageError], tuple[FailureKind, str, str]]:  # type: ignore[override]
        return type(self), (self.kind, self.message, self.hint)
