"""``gradcam report``: a run's output folder, or two, or a check's result becomes one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from gradcam_cli.commands import say
from gradcam_cli.errors import GradcamError

if TYPE_CHECKING:
    from gradcam_cli.report.gather import Gathered, Run
    from gradcam_cli.report.truth import Truth
    from gradcam_cli.store.runfile import RunFile

_PAGE, _COMPARED = "report.html", "compare.html"
_MAILED = 18_000_000  # bytes, which mail makes a third more; many servers take 25 million
_FEW = 3


class _Named(Protocol):
    """A class by its index, id and name."""

    @property
    def index(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="The output folder of a run, finished or not; two are compared. Or the result of "
            "`gradcam check -o FILE`, or of audit.",
            metavar="DIR [DIR]",
            show_default=False,
        ),
    ],
    output_file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output-file",
            help="The page to write, instead of report.html (of two runs: compare.html) in the "
            "first folder; of a result, instead of its own name with .html.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    truth: Annotated[
        str,
        typer.Option(
            "--truth",
            help="What the pictures really show: folder, where each lies in a folder named after "
            "its class, or a CSV file with a picture and its class in each row.",
            metavar="folder|FILE",
            show_default=False,
        ),
    ] = "",
    embed: Annotated[
        bool,
        typer.Option("--embed", help="Put all pictures into the page: one file, to be mailed."),
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the page's numbers as one JSON object.")
    ] = False,
) -> None:
    """Write one HTML page of a run's or a check's pictures, to look through, filter and pass on.

    It needs neither a network nor the model. Heatmaps are linked, and small pictures are made once
    in the folder, so the page belongs beside it. A report that is there already is replaced, any
    other file never.
    """
    from gradcam_cli.report.truth import read_truth

    if len(folders) > 2:
        raise GradcamError("a report shows one run, or compares two", "name one or two folders")
    known = read_truth(truth) if truth else None
    if any(path.is_file() for path in folders):
        page = output_file or folders[0].with_suffix(".html")
        found = write_check(folders, page, truth=known, embed=embed, quiet=json)
    else:
        page = output_file or folders[0] / (_PAGE if len(folders) == 1 else _COMPARED)
        found = write_report(folders, page, truth=known, embed=embed, quiet=json)
    if known is not None:
        _say_unused(truth, known, found)
    if embed and page.stat().st_size > _MAILED:
        say.warn(f"{page} has {page.stat().st_size / 1e6:.0f} MB, more than most mail servers take")
    if json:
        judged = {"truth": found.verdicts.numbers()} if found.verdicts else {}
        say.json_line({"report": str(page), **asdict(found.summary), **judged})
    else:
        say.note(f"{_sentence(found)}; the report is {page}")
    if open_it:
        show(page)


def page_after(folder: Path) -> Path:
    """Return the page of a run to come; raises GradcamError where another file is in its place."""
    from gradcam_cli.report.page import check_place

    page = folder / _PAGE
    check_place(page)
    return page


def report_after(folder: Path, page: Path, quiet: bool, opened: bool) -> None:
    """Write the page of a run that has just ended, and say where it is, or open it."""
    write_report([folder], page, quiet=quiet)
    if not quiet:
        say.note(f"the report is {page}")
    if opened:
        show(page)


def write_report(
    folders: list[Path],
    page: Path,
    *,
    truth: Truth | None = None,
    embed: bool = False,
    quiet: bool = False,
) -> Gathered:
    """Write the page of one run or two, say what is amiss, and return what it shows."""
    from gradcam_cli.report.gather import gather
    from gradcam_cli.report.page import check_place, write_page
    from gradcam_cli.store.reading import Damaged, damage, read_folder
    from gradcam_cli.store.stream import count_lines

    check_place(page)
    damaged: dict[Path, list[Damaged]] = {}

    def noted(line: Damaged) -> None:
        damaged.setdefault(line.path, []).append(line)

    runs = [_run(folder, noted) for folder in folders]
    if truth is not None:
        truth.meet(record.source for record in read_folder(folders[0]))
        firsts = (record.predictions for record in read_folder(folders[0]) if record.predictions)
        _set_classes(truth, runs[0].settings, firsts)
    with say.progress(count_lines(folders[0]), 0, quiet) as tick:
        other = runs[1] if len(runs) > 1 else None
        found = gather(runs[0], page, other=other, truth=truth, embed=embed, tick=tick)
    write_page(found)
    for lines in damaged.values():
        say.warn(f"{damage(lines)} and left out; the same run again does those pictures again")
    _say_overlays(found, quiet)
    if found.other is not None and found.alone == found.summary.pictures:
        say.warn(f"{folders[0]} and {folders[1]} have no picture in common")
    if found.fault:
        say.warn(f"no small pictures could be made, so large ones are shown: {found.fault}")
    return found


def _say_overlays(found: Gathered, quiet: bool) -> None:
    if found.redrawn and not quiet:
        guessed = f", {found.guessed} of them as if the cells tiled the whole input"
        one = found.redrawn == 1
        again = (
            "overlay drawn again from its map" if one else "overlays drawn again from their maps"
        )
        say.note(f"{found.redrawn} {again}{guessed * bool(found.guessed)}")
    if found.missing:
        say.warn(
            f"{found.missing} map{'s' * (found.missing != 1)} without an overlay: the files are "
            "not in the folder, and could not be drawn again, because the picture is not where it "
            "was or the record does not have the map"
        )


def write_check(
    files: list[Path],
    page: Path,
    *,
    truth: Truth | None = None,
    embed: bool = False,
    quiet: bool = False,
) -> Gathered:
    """Write the page of a check's or an audit's result, and return what it shows."""
    from gradcam_cli.gate.page import gather_check
    from gradcam_cli.gate.reread import read_result
    from gradcam_cli.report.page import check_place, write_page

    if len(files) > 1:
        raise GradcamError(
            "the result of a check has both sides already", "name it alone, or the folders of runs"
        )
    (path,) = files
    check_place(page)
    result = read_result(path)
    if truth is not None:
        truth.meet(each.picture for each in result.pictures)
        sides = (side for each in result.pictures for side in (each.now, each.before))
        _set_classes(truth, None, (side.predictions for side in sides if side))
    with say.progress(len(result.pictures), 0, quiet) as tick:
        found = gather_check(result, path, page, truth=truth, embed=embed, tick=tick)
    write_page(found)
    if found.fault:
        say.warn(f"no small pictures could be made, so only bare heat is shown: {found.fault}")
    return found


def show(page: Path) -> None:
    """Open a page in the browser, or say that there is none."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        say.warn(f"no browser could be started; open {page} yourself")


def _run(folder: Path, damaged: Callable[..., None]) -> Run:
    from gradcam_cli.report.gather import Run
    from gradcam_cli.report.settings import read_settings
    from gradcam_cli.store.reading import read_folder

    return Run(folder, read_folder(folder, damaged), read_settings(folder))


def _set_classes(
    truth: Truth, run: RunFile | None, predictions: Iterator[Sequence[_Named]]
) -> None:
    """Let the truth know which classes the model has, where that is known.

    Any picture's ``predictions`` show whether they are ImageNet's; they are read if need be.
    """
    from gradcam_cli.models.labels import imagenet_labels

    known = run.classes if run else None
    if known is not None:
        pairs = (
            [("", f"class {index}") for index in range(known)] if isinstance(known, int) else known
        )
        truth.among((index, *pair) for index, pair in enumerate(pairs))
        return
    first = next(predictions, ())
    labels = imagenet_labels()
    every = dict(enumerate(zip(labels.ids, labels.names, strict=True)))
    if first and all(every.get(each.index) == (each.id, each.name) for each in first):
        truth.among((index, *pair) for index, pair in every.items())


def _say_unused(name: str, truth: Truth, found: Gathered) -> None:
    """Say which labels and which rows of a file count for no picture, and why."""
    if truth.foreign:
        count = truth.foreign.total()
        say.warn(
            f"{count} picture{'s' * (count != 1)} of true classes that the model has not, counted "
            f"neither as right nor as wrong: {_some(list(truth.foreign))}"
        )
    elif found.verdicts and not truth.knows:
        meant = found.verdicts.classes_of(found.rows.classes)
        never = [
            label for label, each in zip(found.verdicts.labels, meant, strict=True) if not each
        ]
        if never:
            say.warn(f"true classes that were never predicted, and count as wrong: {_some(never)}")
    for paths, what in (
        (truth.unused(), "names pictures that the run has not"),
        (truth.shared(), "has rows that fit several pictures each, and so count for none"),
        (truth.disputed(), "says different classes of the same picture, which count for none"),
    ):
        if paths:
            say.warn(f"{name} {what}: {_some(paths)}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _sentence(found: Gathered) -> str:
    summary = found.summary
    if found.checked:
        return found.checked.sentence
    parts = [f"{summary.pictures} picture{'s' * (summary.pictures != 1)}"]
    if found.verdicts and found.verdicts.accuracy is not None:
        parts.append(f"{found.verdicts.accuracy:.1%} right")
    if summary.failed:
        parts.append(f"{sum(summary.failed.values())} failed")
    if summary.with_empty:
        parts.append(f"{summary.with_empty} with an empty map")
    return ", ".join(parts)
