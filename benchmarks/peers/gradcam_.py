"""gradcam's own stream from files to files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from gradcam_cli.cli import set_up

set_up()  # as the command line does, before NumPy is imported

from _worker import serve  # noqa: E402

sys.path.insert(1, str(Path(__file__).parents[1]))


def build(weights: Path, output: Path, pictures: list[Path]) -> Callable[[int], object]:
    """Return rounds that open the model once for each number of classes."""
    from compare import gradcam_stream

    @cache
    def stream(classes: int) -> Callable[[], None]:
        folder = output / str(classes)
        return gradcam_stream(weights.stem, weights, pictures, folder, classes, "float32")

    return lambda classes: stream(classes)()


if __name__ == "__main__":
    serve(build)
