"""What every program here shares: reading, drawing, and rounds on command.

``python PROGRAM WEIGHTS OUTPUT PICTURE...`` builds what it measures, then reads commands from
standard input: ``round N`` explains all pictures for their N likeliest classes and is answered with
the seconds that took. With ``--once`` before the weights it does one round for one class and ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np

SIZE = (224, 224)
BATCH = 16

Explain = Callable[[np.ndarray, int], Iterable[np.ndarray]]
"""From RGB pixels (pictures x 224 x 224 x 3) and a number of classes to each class' heatmaps."""

Build = Callable[[Path, Path, list[Path]], Callable[[int], object]]
"""From weights, output folder and pictures to a round for a number of classes."""


def draw(picture: np.ndarray, heat: np.ndarray, path: Path) -> None:
    """Write a heatmap of any size over a picture."""
    heat = np.maximum(heat, 0) / (heat.max() + 1e-12)
    heat = cv2.resize(heat.astype("float32"), (picture.shape[1], picture.shape[0]))
    colour = cv2.applyColorMap(np.uint8(255 * heat), cv2.COLORMAP_JET)
    blended = np.clip(colour * 0.4 + picture, 0, 255).astype("uint8")
    cv2.imwrite(str(path), blended, [cv2.IMWRITE_JPEG_QUALITY, 95])


def explain_files(explain: Explain, pictures: list[Path], output: Path, classes: int) -> None:
    """Write the overlays of all pictures, a batch at a time."""
    for start in range(0, len(pictures), BATCH):
        paths = pictures[start : start + BATCH]
        originals = [cv2.imread(str(path)) for path in paths]
        pixels = np.stack([cv2.resize(one, SIZE)[..., ::-1] for one in originals])
        for rank, heats in enumerate(explain(pixels.astype("float32"), classes)):
            for path, original, heat in zip(paths, originals, heats, strict=True):
                draw(original, heat, output / f"{path.stem}.{rank}.jpg")


def likeliest(predictions: np.ndarray, classes: int) -> np.ndarray:
    """Return the classes of each picture (rows are ranks)."""
    return np.argsort(-predictions, axis=-1)[:, :classes].T


def serve(build: Build) -> None:
    """Build, then do rounds as the command line and standard input say."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is not an answer
    words = sys.argv[1:]
    once = words[0] == "--once"
    weights, output, *pictures = map(Path, words[once:])
    output.mkdir(parents=True, exist_ok=True)
    run = build(weights, output, pictures)
    if once:
        run(1)
        return
    for line in sys.stdin:
        classes = int(line.removeprefix("round "))
        start = time.perf_counter()
        run(classes)
        print(time.perf_counter() - start, file=answers)


def serve_peer(make: Callable[[Path], Explain]) -> None:
    """Serve a library: ``make`` loads the weights and returns what explains a batch."""

    def build(weights: Path, output: Path, pictures: list[Path]) -> Callable[[int], object]:
        explain = make(weights)
        return lambda classes: explain_files(explain, pictures, output, classes)

    serve(build)
