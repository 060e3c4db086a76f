"""Large photographs: what ``gradcam`` does with them, against decoding and encoding them alone.

``python benchmarks/photos.py [--pictures N] [--rounds N] [--model NAME] [--at-least SHARE]``

Twelve-megapixel JPEGs, made of the samples with grain on top, are decoded and encoded by OpenCV in
as many threads as there are processors, and explained by gradcam's stream, each in a process of its
own that stays alive, in turn. The share is the median over the rounds. The exit code is 1 when it
is below ``--at-least``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from gradcam_cli.cli import set_up

SAMPLES = Path(__file__).parent.parent / "sample_images"
WIDTH, HEIGHT = 4000, 3000


def make_photos(folder: Path, count: int) -> None:
    """Write photographs with detail and grain."""
    folder.mkdir()
    samples = sorted(SAMPLES.glob("*.jpg"))
    for number in range(count):
        sample = cv2.imread(str(samples[number % len(samples)]))
        large = cv2.resize(sample, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        grain = np.random.default_rng(number).normal(0, 4, large.shape)
        photo = np.clip(large + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 92])


def codec(folder: Path, output: Path) -> Callable[[], None]:
    """Return a round of decoding and encoding."""
    output.mkdir()

    def one(path: Path) -> None:
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        (output / path.name).write_bytes(data.tobytes())

    def run() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(one, sorted(folder.iterdir())))

    return run


def gradcam(folder: Path, output: Path, name: str) -> Callable[[], None]:
    """Return a round of gradcam's stream."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from compare import gradcam_stream

    weights = Path("imagenet")  # no file: the weights that come with the model
    return gradcam_stream(name, weights, sorted(folder.iterdir()), output, 1, "float32")


def work(run: Callable[[], None]) -> None:
    """Do a round for every line of standard input, and print its seconds."""
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)


def compare(folder: Path, words: argparse.Namespace) -> float:
    """Let both take turns, print, and return gradcam's share."""
    make_photos(folder / "in", words.pictures)
    times: dict[str, list[float]] = {"codec": [], "gradcam": []}
    workers = {}
    for kind in times:
        command = [sys.executable, __file__, "--worker", kind, str(folder), "--model", words.model]
        workers[kind] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    for number in range(words.rounds + 1):
        for kind, worker in workers.items():
            worker.stdin.write("\n")
            worker.stdin.flush()
            seconds = float(worker.stdout.readline())
            if number:
                times[kind].append(seconds)
    for worker in workers.values():
        worker.communicate()
    for kind, values in times.items():
        print(f"{kind:8s} {words.pictures / statistics.median(values):5.1f} photographs/s")
    pairs = zip(times["codec"], times["gradcam"], strict=True)
    return statistics.median(alone / ours for alone, ours in pairs)


def main() -> None:
    """Measure and print, and leave with 1 when the bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--at-least", type=float, default=0.0)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.worker:
        kind, folder = words.worker[0], Path(words.worker[1])
        make = {"codec": codec, "gradcam": lambda a, b: gradcam(a, b, words.model)}[kind]
        work(make(folder / "in", folder / kind))
        return
    set_up()  # for the workers, which import NumPy after it, as the command line does
    with tempfile.TemporaryDirectory() as name:
        share = compare(Path(name), words)
    print(f"share of decoding and encoding alone: {share:.2f}")
    if share < words.at_least:
        sys.exit("out of bounds")


if __name__ == "__main__":
    main()
