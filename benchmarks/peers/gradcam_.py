"""gradcam's own stream from files to files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from _worker import serve

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does
sys.path.insert(1, str(Path(__file__).parents[1]))


def build(weights: Path, output: Path, pictures: list[Path]) -> Callable[[int], object]:
    """Return rounds that open the model once for each number of classes."""
    from compare import gradcam_stream

    @cache
    def stream(classes: int) -> Callable[[], None]:
        return gradcam_stream("VGG16", weights, pictures, output / str(classes), classes, "float32")

    return lambda classes: stream(classes)()


if __name__ == "__main__":
    serve(build)
