"""``gradcam baseline``: what a model says of pictures, and where it finds it, is frozen."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.gating import check_target, opened
from gradcam_cli.commands.interrupts import stopping
from gradcam_cli.commands.listing import listed
from gradcam_cli.commands.options import PrintOptions, SelectOptions, Sources
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.spec.draw import OUTPUT
from gradcam_cli.spec.explain import RUNNING, ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.spec.setting import setting

if TYPE_CHECKING:
    from gradcam_cli.engine.steps import Failed
    from gradcam_cli.explainer import Explainer
    from gradcam_cli.gate.baseline import Baseline, Entry
    from gradcam_cli.sources.find import Found


_MARK = b'"gradcam_baseline"'
_HEAD = 1 << 16


@dataclass(frozen=True)
class BaselineOptions:
    """Which file is written, and how."""

    output_file: Path = setting(
        Path("baseline.json"),
        "The baseline; one that is there already is replaced, any other file never.",
        *("-o", "--output-file"),
        panel=OUTPUT,
        metavar="FILE",
    )
    update: bool = setting(
        False,
        "Keep the entries of pictures that are not given.",
        "--update",
        panel=RUNNING,
    )


@flat
def baseline(
    sources: Sources,
    model: ModelSpec,
    explain: ExplainSpec,
    images: ImageSpec,
    output: BaselineOptions,
    printing: PrintOptions,
    select: SelectOptions,
) -> None:
    """Freeze predictions and maps of pictures in a file, for `gradcam check` to compare with.

    The file is small enough to commit: a picture a line, about a kilobyte each. Pictures are named
    by their paths from its folder.
    """
    path = output.output_file
    _, found, _ = listed(sources, select)
    before = _before(path, output.update)
    check_target(path)
    spec = RunSpec(model, images, explain)
    made, failed, explainer = _made(spec, found, path.parent, printing, before, path)
    for outcome in failed:
        say.warn(f"{outcome.source.source}: {outcome.error.message}")
    if not made:
        raise typer.Exit(ExitCode.NO_PICTURE)
    _write(path, spec, explainer, made, before, printing)
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.DONE)


def _before(path: Path, update: bool) -> Baseline | None:
    """Return the baseline that is added to; refuse to replace what is not one."""
    from gradcam_cli.gate.baseline import read_baseline
    from gradcam_cli.regular import open_regular

    if not path.exists():
        return None
    if update:
        return read_baseline(path)
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise GradcamError(f"cannot read {path}: {error.strerror}", "choose another -o") from None
    if head and _MARK not in head:
        raise GradcamError(
            f"{path} is there already, and is not a baseline", "choose another file with -o"
        )
    return None


def _made(
    spec: RunSpec,
    found: list[Found],
    folder: Path,
    printing: PrintOptions,
    before: Baseline | None,
    path: Path,
) -> tuple[list[Entry], list[Failed], Explainer]:
    """Return an entry of every picture, and those that failed; an interrupted run ends here."""
    loaded = opened(spec.model, printing.quiet)
    from gradcam_cli.engine.decide import decided
    from gradcam_cli.engine.steps import Failed
    from gradcam_cli.gate.recorder import check_same, head_of
    from gradcam_cli.gate.session import entries

    explainer = decided(loaded, spec, len(found))
    if before is not None:
        check_same(before.head, head_of(spec, explainer, folder), path)
    made: list[Entry] = []
    failed: list[Failed] = []
    with ExitStack() as stack:
        stop = stack.enter_context(stopping())
        tick = stack.enter_context(say.progress(len(found), 0, printing.quiet))
        outcomes = entries(explainer, spec, found, folder, stop)
        for outcome in stack.enter_context(closing(outcomes)):
            if isinstance(outcome, Failed):
                failed.append(outcome)
            else:
                made.append(outcome)
            tick()
    if stop.number:
        say.warn("interrupted: no baseline was written")
        raise typer.Exit(128 + stop.number)
    return made, failed, explainer


def _write(
    path: Path,
    spec: RunSpec,
    explainer: Explainer,
    made: list[Entry],
    before: Baseline | None,
    printing: PrintOptions,
) -> None:
    from gradcam_cli.gate.baseline import write_baseline
    from gradcam_cli.gate.recorder import head_of

    new = {entry.picture: entry for entry in made}
    old = before.entries if before is not None else {}
    write_baseline(path, head_of(spec, explainer, path.parent), {**old, **new}.values())
    empty = sum(bool(item.empty) for entry in made for item in entry.maps)
    others = len(old.keys() - new.keys())
    parts = [f"{len(made)} picture{'s' * (len(made) != 1)}"]
    parts += [f"{others} from before"] if others else []
    parts += [f"{empty} empty map{'s' * (empty != 1)}"] if empty else []
    if printing.json:
        size = path.stat().st_size
        values = {"baseline": str(path), "pictures": len(new), "before": others, "bytes": size}
        say.json_line({**values, "empty": empty})
    elif not printing.quiet:
        say.note(f"{', '.join(parts)}; the baseline is {path}")
