"""How a run's images ended becomes its last lines and its exit code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from gradcam_cli.commands import say
from gradcam_cli.errors import ExitCode
from gradcam_cli.sources.endings import advice

if TYPE_CHECKING:
    from gradcam_cli.store.records import Done, Record

_FEW = 3


def counted(kinds: Counter[str]) -> str:
    """Return counts as a list for people, most first: ``3 .heic, 1 .cr2``."""
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


@dataclass
class Tally:
    """How many images ended how; decides the last lines and the exit code."""

    output: Path | None
    only: tuple[str, str] | None = None
    """The file that was written, where there is just one: its kind and its name."""
    done: int = 0
    resumed: int = 0
    empty: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    slowest: str = ""
    interrupted: int = 0
    """The number of the signal that ended the run early, or 0."""
    gave_up: bool = False

    @property
    def failures(self) -> int:
        """Return how many images failed."""
        return sum(self.failed.values())

    def before(self, done: Done) -> None:
        """Count one image that an earlier run has done."""
        self.resumed += 1
        self.empty += done.empty

    def add(self, record: Record) -> None:
        """Count one record."""
        if record.error is not None:
            self.failed[record.error.kind] += 1
        else:
            self.done += 1
            self.empty += record.empty
            groups = (record.files, *(each.files for each in record.explanations))
            files = [item for group in groups for item in group.items()]
            self.only = files[0] if self.done == len(files) == 1 else None

    def end(self, quiet: bool, fail_on_empty: bool = False, shown: bool = False) -> ExitCode:
        """Say how the run ended and return its exit code.

        ``shown`` says that a report follows, to which nobody has to be led.
        """
        if self.unread:
            say.warn(f"not read: {counted(self.unread)} ({advice(self.unread)})")
        if not quiet or self.failed or self.interrupted:
            say.note(self.sentence())
            following = "" if quiet or shown else self._next()
            if following:
                say.note(following)
        if self.gave_up:
            say.warn(f"stopped after {self.failures} failures (--max-failures)")
        if self.interrupted:
            say.warn("interrupted; the same command goes on from here")
            return ExitCode(128 + self.interrupted)
        if self.failed:
            alive = self.done or self.resumed
            return ExitCode.SOME_FAILED if alive or self.gave_up else ExitCode.NO_PICTURE
        return ExitCode.GATE_FAILED if fail_on_empty and self.empty else ExitCode.DONE

    def sentence(self) -> str:
        """Return the counts as one line for people."""
        parts = [f"{self.done} picture{'s' * (self.done != 1)} done"]
        if self.resumed:
            parts.append(f"{self.resumed} done before")
        if self.failed:
            parts.append(f"{self.failures} failed ({counted(self.failed)})")
        if self.empty:
            parts.append(f"{self.empty} with an empty map")
        long = self.slowest and self.done > _FEW
        slowest = f"; most time went into {self.slowest}" if long else ""
        return ", ".join(parts) + slowest + self._where()

    def _where(self) -> str:
        """Say where the heatmaps are; a single one by its name."""
        if self.output is None:
            return ""
        if self.only and not self.resumed:
            kind, name = self.only
            return f"; {kind}: {self.output / name}"
        return f"; heatmaps in {self.output}"

    def _next(self) -> str:
        """Say how to look through what there is; a single file has been named."""
        several = self.resumed or (self.done and not self.only)
        if self.output is None or not several or self.interrupted:
            return ""
        return f"to look through them: gradcam report {quote(str(self.output))}"
