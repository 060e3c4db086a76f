"""``gradcam bench``: how fast this machine is, against bare prediction."""

from __future__ import annotations

import gc
import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradcam_cli.commands import say
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.options import (
    AskOptions,
    DrawOptions,
    LookOptions,
    ModelOption,
    OpenOptions,
)
from gradcam_cli.commands.request import model_choice, settings
from gradcam_cli.commands.values import Precision
from gradcam_cli.errors import GradcamError

if TYPE_CHECKING:
    from gradcam_cli.batch.bench import Timing
    from gradcam_cli.images.find import Found

__all__ = ["bench"]


@flat
def bench(
    which: ModelOption,
    opening: OpenOptions,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", help="Pictures to use; some are made up otherwise.", metavar="DIR"
        ),
    ] = None,
    classes: Annotated[
        int, typer.Option("--classes", help="How many classes a picture is explained for.", min=1)
    ] = 1,
    pictures: Annotated[
        int, typer.Option("--pictures", help="How many pictures a round has.", min=1)
    ] = 64,
    repeats: Annotated[int, typer.Option("--repeats", help="How many rounds.", min=1)] = 5,
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", help="Pictures that go through the network at once.", min=1),
    ] = 16,
    precision: Annotated[
        Precision, typer.Option("--precision", help="What the network computes in.")
    ] = Precision.float32,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")] = False,
) -> None:
    """Measure this machine: bare prediction, a run end to end, and each stage alone."""
    import tempfile

    from gradcam_cli.batch.bench import measure
    from gradcam_cli.batch.steps import plan_for
    from gradcam_cli.explain import Question
    from gradcam_cli.images.room import reuse_memory
    from gradcam_cli.models.classes import ClassChoice
    from gradcam_cli.models.load import load

    choice = model_choice(which.model, opening)
    wanted = settings(choice, LookOptions(), AskOptions(), DrawOptions())
    model = load(choice)
    gc.enable()  # as in a run
    reuse_memory()
    with tempfile.TemporaryDirectory(prefix="gradcam-bench-") as folder:
        found = _pictures(images, Path(folder) / "in", pictures)
        plan = plan_for(model, wanted, Path(folder) / "out")
        question = Question(ClassChoice(classes))
        timings = measure(model, question, plan, found, batch_size, repeats, precision.value)
    _print(timings, json)


def _pictures(images: Path | None, folder: Path, count: int) -> list[Found]:
    """Return ``count`` pictures, the same ones over and over where there are fewer."""
    from gradcam_cli.images.find import find_pictures

    if images is None:
        _make_up(folder)
    there = [found for found in find_pictures([str(images or folder)]) if not found.unread]
    if not there:
        raise GradcamError(f"no picture in {images}", "--images names a folder of pictures")
    return [there[number % len(there)] for number in range(count)]


def _make_up(folder: Path) -> None:
    """Write a few JPEGs of ordinary size and detail: smoothed noise, 500 x 375."""
    import cv2
    import numpy as np

    from gradcam_cli.images.files import encode, write_bytes

    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, (94, 125, 3), np.uint8)
        pixels = np.asarray(cv2.resize(noise, (500, 375), interpolation=cv2.INTER_CUBIC), np.uint8)
        write_bytes(folder / f"{number}.jpg", encode(pixels, "jpg", 90))


def _print(timings: list[Timing], json: bool) -> None:
    from gradcam_cli.batch.bench import STREAM

    if json:
        for timing in timings:
            row = {
                "name": timing.name,
                "pictures": timing.pictures,
                "seconds": timing.seconds,
                "pictures_per_second": timing.rate,
                "share_of_bare_prediction": timing.share,
            }
            sys.stdout.write(jsonlib.dumps(row) + "\n")
        return
    rows = [
        (
            timing.name,
            f"{timing.rate:.1f}",
            "{:.1f} - {:.1f}".format(*timing.spread),
            f"{timing.share:.2f}",
        )
        for timing in timings
    ]
    say.table(("", "pictures/s#", "slowest - fastest#", "share of bare prediction#"), rows)
    stages = [timing for timing in timings if timing.name.endswith("alone")]
    limit = min(stages, key=lambda timing: timing.rate)
    stream = next(timing for timing in timings if timing.name == STREAM)
    say.note(
        f"a run does {stream.rate:.1f} pictures/s; {limit.name.removesuffix(' alone')} limits it"
    )
