"""``gradcam bench``: how fast this machine is, against bare prediction."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.commands import say
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.options import Json
from gradcam_cli.errors import GradcamError
from gradcam_cli.spec.explain import RUNNING, ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.spec.setting import setting

if TYPE_CHECKING:
    from gradcam_cli.engine.bench import Timing
    from gradcam_cli.sources.find import Found


@dataclass(frozen=True)
class BenchOptions:
    """What is measured."""

    images_dir: Path | None = setting(
        None,
        "Pictures to use; some are made up otherwise.",
        "--images",
        panel=RUNNING,
        metavar="DIR",
    )
    pictures: int = setting(
        64, "How many pictures a round has.", "--pictures", panel=RUNNING, least=1
    )
    repeats: int = setting(5, "How many rounds.", "--repeats", panel=RUNNING, least=1)


@flat
def bench(
    model: ModelSpec,
    explain: ExplainSpec,
    images: ImageSpec,
    options: BenchOptions,
    json: Json = False,
) -> None:
    """Measure this machine: bare prediction, a run end to end, and each stage alone."""
    import tempfile

    from gradcam_cli.engine.bench import measure
    from gradcam_cli.models.load import load
    from gradcam_cli.process.memory import reuse_memory

    loaded = load(model)
    gc.enable()  # as in a run
    reuse_memory()
    with tempfile.TemporaryDirectory(prefix="gradcam-bench-") as folder:
        found = _pictures(options.images_dir, Path(folder) / "in", options.pictures)
        spec = RunSpec(model, images, explain)
        timings = measure(loaded, spec, found, Path(folder) / "out", options.repeats)
    _print(timings, json)


def _pictures(images: Path | None, folder: Path, count: int) -> list[Found]:
    """Return ``count`` images, the same ones over and over where there are fewer."""
    from gradcam_cli.sources.find import find_pictures

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

    from gradcam_cli.images.encode import encode
    from gradcam_cli.store.atomic import write_bytes

    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, (94, 125, 3), np.uint8)
        pixels = np.asarray(cv2.resize(noise, (500, 375), interpolation=cv2.INTER_CUBIC), np.uint8)
        write_bytes(folder / f"{number}.jpg", encode(pixels, "jpg", 90))


def _print(timings: list[Timing], json: bool) -> None:
    from gradcam_cli.engine.bench import STREAM

    if json:
        for timing in timings:
            row = {
                "name": timing.name,
                "pictures": timing.pictures,
                "seconds": timing.seconds,
                "pictures_per_second": timing.rate,
                "share_of_bare_prediction": timing.share,
            }
            say.json_line(row)
        return
    rows = [
        (each.name, f"{each.rate:.1f}", "{:.1f} - {:.1f}".format(*each.spread), f"{each.share:.2f}")
        for each in timings
    ]
    say.table(("", "pictures/s#", "slowest - fastest#", "share of bare prediction#"), rows)
    stages = [timing for timing in timings if timing.name.endswith("alone")]
    limit = min(stages, key=lambda timing: timing.rate)
    stream = next(timing for timing in timings if timing.name == STREAM)
    say.note(
        f"a run does {stream.rate:.1f} pictures/s; {limit.name.removesuffix(' alone')} limits it"
    )
