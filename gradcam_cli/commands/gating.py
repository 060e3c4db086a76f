"""What ``gradcam baseline``, ``check`` and ``audit`` share: options, output files, how they end."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.interrupts import Stop, heeding, stopping
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.regular import open_regular
from gradcam_cli.spec.setting import setting

if TYPE_CHECKING:
    from gradcam_cli.gate.judge import Case
    from gradcam_cli.gate.result import Result
    from gradcam_cli.gate.session import Drawn
    from gradcam_cli.models.load import Model
    from gradcam_cli.sources.find import Found
    from gradcam_cli.spec.model import ModelSpec


_PANEL = "What is written"
_MARKS = (b'{\n "baseline": "', b'<testsuites name="gradcam"', b"## gradcam ")
"""What results, JUnit XML and summaries of ours have in their first bytes."""
_START = 200
_OTHER = "choose another file"
_SHOWN = 50
"""Rows of the table for people; files have them all."""


@dataclass(frozen=True)
class ResultOptions:
    """Where a result goes besides the terminal."""

    output_file: Path | None = setting(
        None,
        "The whole result as JSON, maps included (see docs/gate.md).",
        *("-o", "--output-file"),
        panel=_PANEL,
        metavar="FILE",
    )
    junit: Path | None = setting(
        None, "JUnit XML, a test case a picture.", "--junit", panel=_PANEL, metavar="FILE"
    )
    summary: Path | None = setting(
        None,
        "A summary in Markdown; where $GITHUB_STEP_SUMMARY is set, it is appended there as well.",
        "--summary",
        panel=_PANEL,
        metavar="FILE",
    )
    diff_dir: Path | None = setting(
        None,
        "Where side-by-side pictures of what changed go.",
        "--diff-dir",
        panel=_PANEL,
        metavar="DIR",
    )

    def check(self) -> None:
        """Raise GradcamError for a file that may not be written, before the work begins."""
        taken: set[str] = set()
        for path, mark in zip((self.output_file, self.junit, self.summary), _MARKS, strict=True):
            if path is None:
                continue
            real = os.path.realpath(path)
            if real in taken:
                raise GradcamError(f"{path} is named twice", "name a file for each")
            taken.add(real)
            check_target(path)
            _check_ours(path, mark)


def _check_ours(path: Path, mark: bytes) -> None:
    """Raise GradcamError where a file lies that is not one of ours, which begin with ``mark``."""
    if not os.path.lexists(path):
        return
    try:
        with open_regular(path) as file:
            start = file.read(_START)
    except OSError as error:
        raise GradcamError(f"{path} cannot be replaced: {error.strerror}", _OTHER) from None
    if start and mark not in start:
        raise GradcamError(f"{path} is there already, and is not of this kind", _OTHER)


def check_target(path: Path) -> None:
    """Raise GradcamError where a file cannot be written."""
    from gradcam_cli.store.atomic import part_of

    if path.is_dir():
        raise GradcamError(f"{path} is a folder, not a file", "name a file in it")
    if path.exists() and not path.is_file():  # renaming would put a file in a device's place
        raise GradcamError(f"{path} is not a regular file", _OTHER)
    probe = part_of(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            probe.touch()
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise GradcamError(
            f"{path} cannot be written: {error.strerror}", "choose another folder"
        ) from error


def opened(spec: ModelSpec, quiet: bool) -> Model:
    """Load a model, and say what there is to say of it."""
    with heeding():
        from gradcam_cli.models.load import load
        from gradcam_cli.process.memory import reuse_memory

        model = load(spec)
    reuse_memory()
    gc.freeze()
    gc.enable()
    for sentence in model.warnings:
        say.warn(sentence)
    if not quiet:
        for sentence in model.notes:
            say.note(sentence)
    return model


def drawer(
    folder: Path | None, named: Sequence[str], found: Sequence[Found], white: int
) -> Drawn | None:
    """Return what draws changed pictures into a folder, which is made; None without one."""
    if folder is None:
        return None
    from gradcam_cli.gate.pictures import SideBySide
    from gradcam_cli.store.names import check_output, stems

    names = stems(found)
    check_output(named, found, names, folder)
    return SideBySide(folder, names.__getitem__, white)


def gone_through(
    run: Callable[[Drawn | None, Stop], Generator[Case, None, None]],
    draw: Drawn | None,
    count: int,
    quiet: bool,
) -> list[Case]:
    """Return the cases of a run; one that is interrupted ends the command, with nothing decided."""
    cases: list[Case] = []
    with ExitStack() as stack:
        stop = stack.enter_context(stopping())
        tick = stack.enter_context(say.progress(count, 0, quiet))
        for case in stack.enter_context(closing(run(draw, stop))):
            cases.append(case)
            tick()
    if stop.number:
        say.warn(f"interrupted after {len(cases)} of {count} pictures: nothing is decided")
        raise typer.Exit(128 + stop.number)
    return cases


def published(result: Result, options: ResultOptions) -> None:
    """Write a result's files, and what GitHub reads."""
    from gradcam_cli.gate.junit import junit_xml
    from gradcam_cli.gate.markdown import MOST_BYTES, summary, workflow_commands
    from gradcam_cli.gate.result import write_result
    from gradcam_cli.store.atomic import write_bytes

    if options.output_file is not None:
        write_result(options.output_file, result)
    if options.junit is not None:
        write_bytes(options.junit, junit_xml(result))
    if options.summary is not None:
        write_bytes(options.summary, summary(result).encode())
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(step), lambda before: summary(result, MOST_BYTES - before))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in workflow_commands(result):
            say.command(line)


def _append(path: Path, text: Callable[[int], str]) -> None:
    """Append to a step's summary what still fits into it; a fault of it fails no gate."""
    from gradcam_cli.gate.markdown import MOST_BYTES

    try:
        before = 0
        with suppress(FileNotFoundError):
            before = path.stat().st_size
        written = text(before).encode()
        if not written or before + len(written) > MOST_BYTES:
            say.warn("$GITHUB_STEP_SUMMARY is full already: nothing was added to it")
            return
        with path.open("ab") as file:
            file.write(written)
    except OSError as error:
        say.warn(f"$GITHUB_STEP_SUMMARY cannot be written: {error.strerror}")


def ended(result: Result, json: bool, quiet: bool) -> ExitCode:
    """Print a result, worst first, and return its exit code."""
    from gradcam_cli.gate.result import case_values

    wrong = result.wrong()
    if json:
        for case in result.worst_first():
            say.json_line(case_values(case))
    elif wrong and not quiet:
        _table(result, wrong)
    for case in wrong if quiet and not json else ():
        if case.status == "failed":
            say.warn(f"{case.picture}: {'; '.join(case.reasons)}")
    if not quiet or not result.passed:
        say.note(result.sentence())
    if result.differs:
        return ExitCode.GATE_FAILED
    if result.counts["failed"]:
        return ExitCode.SOME_FAILED if result.compared else ExitCode.NO_PICTURE
    return ExitCode.DONE


def _table(result: Result, cases: Sequence[Case]) -> None:
    rows = [
        (
            result.word(case),
            case.picture,
            f"{case.beyond:.1f}" if case.beyond else "",
            "; ".join(case.reasons),
        )
        for case in cases[:_SHOWN]
    ]
    say.table(("", "picture", "times its limit#", "what"), rows)
    if len(cases) > _SHOWN:
        say.note(f"and {len(cases) - _SHOWN} more (--json, --output-file and --junit have all)")
