"""Whether memory grows with the number of pictures: the peak of two real runs, and their ratio.

``python benchmarks/soak.py [--few 100] [--many 10000] [--model NAME|FILE]``

Small pictures, each with its own pixels, go through ``gradcam run``; one in fifty is not a picture.
The finished larger run is then gone on with, once with nothing left to do and once with half of
its manifest lost. Without ``--model`` the network is a tiny one, so that what is measured is the
stream and not TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

TINY = """
import sys, keras
keras.utils.set_random_seed(1)
layers = keras.layers
pixels = keras.Input((16, 16, 3))
grid = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(pixels))
pooled = layers.GlobalAveragePooling2D()(grid)
keras.Model(pixels, layers.Dense(3, activation="softmax")(pooled)).save(sys.argv[1])
"""


def make_pictures(folder: Path, count: int) -> None:
    """Write JPEGs of 96 x 72 in folders of a thousand; every fiftieth is cut in half."""
    for number in range(count):
        path = folder / f"{number // 1000:02d}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        data = cv2.imencode(".jpg", cv2.resize(cells, (96, 72)))[1].tobytes()
        path.write_bytes(data[: len(data) // 2] if number % 50 == 49 else data)


def run(pictures: Path, output: Path, model: str) -> tuple[float, float, str]:
    """Return the peak of resident memory in MiB, the seconds, and the last line of a run."""
    words = ["run", str(pictures), "-o", str(output), "--model", model, "--json"]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "gradcam_cli", *words], stdout=subprocess.DEVNULL, stderr=said
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        last = said.read().decode(errors="replace").splitlines()[-1:]
    if process.returncode not in (0, 3):
        raise SystemExit(f"gradcam ended with {process.returncode}: {last}")
    return used.ru_maxrss / 1024, time.perf_counter() - start, "".join(last)


def report(title: str, pictures: Path, output: Path, model: str) -> float:
    """Run, print, and return the peak in MiB."""
    peak, seconds, last = run(pictures, output, model)
    print(f"{title}: {peak:.0f} MiB, {seconds:.1f} s; {last.split(';')[0]}", flush=True)
    return peak


def lose_half(manifest: Path) -> None:
    """Drop every second line of a manifest."""
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text("".join(lines[::2]), encoding="utf-8")


def check(output: Path, count: int) -> None:
    """Stop with an error unless every picture has exactly one record."""
    text = (output / "manifest.jsonl").read_text(encoding="utf-8")
    sources = [json.loads(line)["source"] for line in text.splitlines()]
    if len(sources) != count or len(set(sources)) != count:
        raise SystemExit(f"{len(sources)} records, {len(set(sources))} pictures, not {count}")


def main(words: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--model", default="")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="gradcam-soak-") as name:
        folder = Path(name)
        model = asked.model or str(folder / "tiny.keras")
        if not asked.model:
            subprocess.run(
                [sys.executable, "-c", TINY, model], check=True, stderr=subprocess.DEVNULL
            )
        peaks = []
        for count in (asked.few, asked.many):
            make_pictures(folder / str(count), count)
            output = folder / f"out{count}"
            peaks.append(report(f"{count} pictures", folder / str(count), output, model))
            check(output, count)
        print(f"{asked.many} against {asked.few}: {peaks[1] / peaks[0]:.3f} times the memory")
        report("again, nothing left but failures", folder / str(asked.many), output, model)
        lose_half(output / "manifest.jsonl")
        report("again, half of the manifest lost", folder / str(asked.many), output, model)
        check(output, asked.many)


if __name__ == "__main__":
    main(sys.argv[1:])
