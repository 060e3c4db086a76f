"""The numbers of the README's speed table, measured side by side on this machine.

``python benchmarks/compare.py [--model VGG16|MobileNetV2] [--classes N] [--pictures N]
[--precision bfloat16] [--at-least SHARE] [--at-most RATIO]``

Bare ``model.predict`` (batches of 16), ``gradcam``'s stream from files to files, and the usual
script take turns in one process; shares are medians over the rounds. Then one picture is explained
by whole processes of ``gradcam`` and of the usual script, in turn, for time and peak memory.
Weights are random (written once to a file that both read), pictures are made up. With bounds, the
exit code is 1 when gradcam's share of bare prediction falls below ``--at-least``, or its time for
one picture rises above ``--at-most`` of the usual script's.
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
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if ours := "OPENBLAS_NUM_THREADS" not in os.environ:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command line does

import cv2
import keras
import numpy as np
from usual_script import LAYERS, SIZE, build, explain

if ours:
    del os.environ["OPENBLAS_NUM_THREADS"]  # other programs choose for themselves

HERE = Path(__file__).parent
PICTURES = {"VGG16": 48, "MobileNetV2": 192}


def make_pictures(folder: Path, count: int) -> list[Path]:
    """Write JPEGs of 500 x 375 with ordinary detail."""
    folder.mkdir()
    paths = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (94, 125, 3), np.uint8)
        pixels = cv2.resize(noise, (500, 375), interpolation=cv2.INTER_CUBIC)
        paths.append(folder / f"{number:04d}.jpg")
        cv2.imwrite(str(paths[-1]), pixels)
    return paths


def make_weights(name: str, path: Path) -> None:
    """Write seeded random weights in the layout of application weights."""
    import h5py
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    keras.utils.set_random_seed(0)
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, getattr(keras.applications, name)(weights=None))


def gradcam_stream(
    name: str, weights: Path, pictures: list[Path], folder: Path, classes: int, precision: str
) -> Callable[[], None]:
    """Return a round of gradcam's own stream over the pictures."""
    from gradcam_cli.engine.decide import decided
    from gradcam_cli.engine.files import Recorder
    from gradcam_cli.engine.local import stream
    from gradcam_cli.models.load import load
    from gradcam_cli.process.memory import reuse_memory
    from gradcam_cli.sources.find import find_pictures
    from gradcam_cli.spec.explain import ExplainSpec
    from gradcam_cli.spec.model import ModelSpec
    from gradcam_cli.spec.run import RunSpec
    from gradcam_cli.store.names import stems

    asked = ExplainSpec((f"top{classes}",), precision=precision)
    spec = RunSpec(ModelSpec(name.lower(), weights=str(weights)), explain=asked)
    model = load(spec.model)
    explainer = decided(model, spec, len(pictures))
    found = list(find_pictures([str(path) for path in pictures]))
    record = Recorder(model, spec, "", folder, stems(found).__getitem__)
    reuse_memory()

    def run() -> None:
        done = sum(1 for _ in stream(found, explainer, spec.images, record))
        assert done == len(pictures)

    return run


def throughput(
    name: str, classes: int, count: int, rounds: int, precision: str, folder: Path
) -> float:
    """Print pictures a second and shares of bare prediction; returns gradcam's share."""
    weights = folder / "weights.h5"
    pictures = make_pictures(folder / "in", count)
    model, grad_model = build(name, str(weights))
    x = np.random.default_rng(0).uniform(-1, 1, (count, *SIZE, 3)).astype("float32")
    few = pictures[: max(1, count // 4)]  # the loop is slow, and every picture costs it the same
    out = folder / "script"
    out.mkdir()

    def script() -> None:
        for path in few:
            explain(grad_model, path, out, classes)

    things: dict[str, tuple[Callable[[], object], int]] = {
        "model.predict": (lambda: model.predict(x, batch_size=16, verbose=0), count),
        "gradcam": (
            gradcam_stream(name, weights, pictures, folder / "out", classes, precision),
            count,
        ),
        "usual script": (script, len(few)),
    }
    rates: dict[str, list[float]] = {key: [] for key in things}
    for number in range(rounds + 1):
        for key, (thing, pieces) in things.items():
            start = time.perf_counter()
            thing()
            if number:
                rates[key].append(pieces / (time.perf_counter() - start))
    share = {}
    for key, values in rates.items():
        shares = [v / b for v, b in zip(values, rates["model.predict"], strict=True)]
        share[key] = statistics.median(shares)
        print(
            f"{name} top-{classes} {key:14s} {statistics.median(values):7.1f} pictures/s"
            f"   share {share[key]:.2f}"
        )
    return share["gradcam"]


def one_picture(name: str, rounds: int, folder: Path) -> float:
    """Print time and peak memory of whole processes for one picture; returns the times' ratio."""
    weights = folder / "weights.h5"
    picture = make_pictures(folder / "one", 1)[0]
    script = [sys.executable, str(HERE / "usual_script.py"), name, str(weights), str(folder / "s")]
    ours = [sys.executable, "-m", "gradcam_cli", "run", str(picture), "--quiet", "--overwrite"]
    ours += ["--model", name.lower(), "--weights", str(weights), "-o", str(folder / "g")]
    times: dict[str, list[float]] = {"gradcam": [], "usual script": []}
    memory: dict[str, float] = {}
    for number in range(rounds + 1):
        for key, words in (("gradcam", ours), ("usual script", [*script, str(picture)])):
            start = time.perf_counter()
            peak = _peak(words)
            if number:
                times[key].append(time.perf_counter() - start)
                memory[key] = max(memory.get(key, 0.0), peak)
    ratio = statistics.median(
        a / b for a, b in zip(times["gradcam"], times["usual script"], strict=True)
    )
    for key, values in times.items():
        print(
            f"{name} one picture {key:14s} {statistics.median(values):5.1f} s, "
            f"peak {memory[key]:.2f} GB"
        )
    print(f"{name} one picture, gradcam / usual script: {ratio:.2f}")
    return ratio


_LAUNCHER = """
import os, resource, subprocess, sys
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
status = subprocess.run(sys.argv[1:], **quiet).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def _peak(words: list[str]) -> float:
    """Run a command and return its peak memory in GB.

    Started from a small process: a child's peak counts what its parent held when it was forked.
    """
    result = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *words], capture_output=True, text=True, check=True
    )
    return int(result.stdout) * (1 if sys.platform == "darwin" else 1024) / 1e9


def main() -> None:
    """Measure and print, and leave with 1 when a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=LAYERS, default="VGG16")
    parser.add_argument("--classes", type=int, default=1)
    parser.add_argument("--pictures", type=int, help="of a round; enough for some seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--at-least", type=float, default=0.0)
    parser.add_argument("--at-most", type=float, default=float("inf"))
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_weights(words.model, folder / "weights.h5")
        count = words.pictures or PICTURES[words.model]
        share = throughput(words.model, words.classes, count, words.rounds, words.precision, folder)
        ratio = one_picture(words.model, min(words.rounds, 3), folder)
    if share < words.at_least or ratio > words.at_most:
        sys.exit(f"out of bounds: share {share:.2f}, one picture {ratio:.2f}")


if __name__ == "__main__":
    main()
