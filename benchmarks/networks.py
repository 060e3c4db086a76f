"""The rows of the README's table of networks: gradcam against bare prediction on this processor.

``python benchmarks/networks.py [--rounds N] [--pictures N] [NETWORK ...]``

Each network is a process of its own, with random weights; in it bare ``model.predict`` (batches of
16) and gradcam's stream from files to files, top-1, take turns. A share is the median over the
rounds. Then whole processes take turns for MobileNetV2 and 320 pictures: ``gradcam run``, and a
script that calls ``model.predict``. The last line is the README's, in Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import gradcam_stream, make_pictures, make_weights
from peers import machine

HERE = Path(__file__).parent
NETWORKS = (
    "VGG16",
    "ResNet50",
    "InceptionV3",
    "Xception",
    "DenseNet121",
    "MobileNetV2",
    "EfficientNetB0",
    "ConvNeXtTiny",
)
WHOLE = "MobileNetV2"


def share(name: str, rounds: int, count: int, folder: Path) -> dict[str, float]:
    """Return pictures a second of gradcam and of bare prediction, and the share."""
    import keras
    import numpy as np

    weights = folder / "weights.h5"
    make_weights(name, weights)
    pictures = make_pictures(folder / "in", count)
    model = getattr(keras.applications, name)(weights=None)
    size = (count, *model.input_shape[1:])
    x = np.random.default_rng(0).uniform(-1, 1, size).astype("float32")
    things = {
        "predict": lambda: model.predict(x, batch_size=16, verbose=0),
        "gradcam": gradcam_stream(name, weights, pictures, folder / "out", 1, "float32"),
    }
    rates: dict[str, list[float]] = {key: [] for key in things}
    for number in range(rounds + 1):
        for key, thing in things.items():
            start = time.perf_counter()
            thing()
            if number:
                rates[key].append(count / (time.perf_counter() - start))
    shares = [ours / bare for bare, ours in zip(rates["predict"], rates["gradcam"], strict=True)]
    medians = {key: statistics.median(values) for key, values in rates.items()}
    return {**medians, "share": statistics.median(shares)}


def whole(name: str, rounds: int, count: int, folder: Path) -> float:
    """Return the share of a whole run: the script's seconds divided by gradcam's."""
    weights = folder / "weights.h5"
    make_weights(name, weights)
    pictures = [str(path) for path in make_pictures(folder / "in", count)]
    script = [sys.executable, str(HERE / "predict_script.py"), name, str(weights), *pictures]
    ours = [sys.executable, "-m", "gradcam_cli", "run", str(folder / "in"), "--quiet"]
    ours += ["-m", name.lower(), "--weights", str(weights), "--overwrite", "-o", str(folder / "g")]
    shares = []
    for number in range(rounds + 1):
        seconds = []
        for words in (script, ours):
            start = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
        if number:
            shares.append(seconds[0] / seconds[1])
    return statistics.median(shares)


def measured(name: str, words: argparse.Namespace) -> dict[str, float]:
    """Return what a process of its own measures of a network."""
    asked = ["--one", name, "--rounds", str(words.rounds), "--pictures", str(words.pictures)]
    result = subprocess.run(
        [sys.executable, __file__, *asked], check=True, capture_output=True, text=True
    )
    numbers: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return numbers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=96, help="of a round; VGG16 takes half")
    parser.add_argument("--whole", type=int, default=320, help="pictures of the whole run, or 0")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if words.one:
            count = words.pictures // 2 if words.one == "VGG16" else words.pictures
            print(json.dumps(share(words.one, words.rounds, count, Path(name))))
            return
        cells = []
        for network in words.networks:
            numbers = measured(network, words)
            cells.append(f"{numbers['share']:.2f}")
            rates = f"{numbers['gradcam']:.1f} of {numbers['predict']:.1f} pictures/s"
            print(f"{network}: {numbers['share']:.2f} ({rates})", flush=True)
        heads = list(words.networks)
        if words.whole:
            cells.append(f"{whole(WHOLE, words.rounds, words.whole, Path(name)):.2f}")
            heads.append(f"{WHOLE}, {words.whole} pictures, whole process")
    print("| processor | " + " | ".join(heads) + " |")
    print("| --- |" + " --- |" * len(heads))
    print(f"| {machine()} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
