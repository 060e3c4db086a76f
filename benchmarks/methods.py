"""Methods beside those of pytorch-grad-cam and TorchCAM: what they cost, and whether they agree.

``python benchmarks/methods.py [--networks NAME ...] [--only METHOD ...] [--libraries NAME ...]
[--pictures N] [--rounds N] [--pass-rounds N] [--early] [--threads N]
[--environments DIR]``

VGG16 with random weights and EfficientNet-Lite0 with its own, the same in every library, on the
same inputs (``sample_images``) and classes (the likeliest). Each library is a process of its own
(the environment is that of ``benchmarks/peers.py``); in every round they take turns with every
method. What is timed goes from arrays to maps: the forward pass, the gradient, the method; no files
and no drawing. A ratio is a median over the rounds of ratios within them. Methods of many passes
explain one picture; their first time, with all that is traced for it, stands beside the others.
VGG16's last layer has 512 channels; with ``--early`` its block1_conv2 is explained, whose 64 need
an eighth of the passes of Score-CAM, each the same. With ``--threads 1`` seconds are the
processor's: on a machine that others use as well, PyTorch's threads wait for each other far longer
than they work.

Maps are compared as a library hands them out: gradcam's is cut off, scaled and enlarged as that
library does it, so that what differs is the method. A row has the median and the worst picture.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from compare import make_weights
from peers import HERE, TORCH, Peer, frameworks, machine, python_of, started

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np

SAMPLES = HERE.parent / "sample_images"
NETWORKS = ("efficientnet-lite0", "VGG16")
OURS = "gradcam"
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
LIBRARIES = (OURS, "grad-cam", "torchcam")
GRADIENT = ("gradcam", "gradcampp", "layercam", "hirescam", "xgradcam")
FOUR = "+".join(GRADIENT[1:])
OTHERS = ("cam", "eigencam", "eigengradcam", "finercam", "shapleycam")
PASSES = ("ablationcam", "scorecam")
MOST, MOST_OF_FOUR, LEAST = 1.05, 1.2, 2.0
"""Bars: a gradient method over Grad-CAM, four of them in one run, many passes against others'."""


@dataclass(frozen=True)
class Workers:
    """A library's process each, for one network, and where their maps are."""

    folder: Path
    processes: Mapping[str, subprocess.Popen[str]]

    def seconds(self, library: str, method: str, count: int) -> float:
        """Have a library explain some pictures."""
        if library not in self.processes:
            return math.nan
        process = self.processes[library]
        with suppress(BrokenPipeError):
            process.stdin.write(f"{method} {count}\n")
        answer = process.stdout.readline()
        if not answer:
            said = (self.folder / f"{library}.txt").read_text()
            raise SystemExit(f"{library} has ended: {said}")
        return float(answer)

    def round(self, method: str, count: int) -> dict[str, float]:
        """Have every library explain some pictures, one after another."""
        return {name: self.seconds(name, method, count) for name in LIBRARIES}

    def maps(self, library: str, method: str) -> np.ndarray | None:
        """Return what a library found last by a method."""
        path = self.folder / f"{library}.{method}.npy"
        return np.load(path) if path.exists() else None


def write_inputs(network: str, pictures: int, folder: Path) -> None:
    """Write weights as each library wants them, inputs, their likeliest classes and logits."""
    from gradcam_cli.explainer import traced
    from gradcam_cli.models.load import load
    from gradcam_cli.spec.model import ModelSpec

    weights = folder / f"{network}.h5"
    if network == "VGG16":
        make_weights(network, weights)
    model = load(
        ModelSpec(network.lower(), weights=str(weights) if weights.exists() else "imagenet")
    )
    paths = sorted(SAMPLES.glob("*.jpg"))[:pictures]
    images = [cv2.imread(str(path)) for path in paths]
    sized = [cv2.resize(each, (224, 224), interpolation=cv2.INTER_AREA) for each in images]
    pixels = np.stack(sized)[..., ::-1]
    answers = list(traced(model, None, len(pixels))(pixels))
    np.savez(
        folder / "inputs.npz",
        pixels=pixels,
        x=np.float32(model.scaling.apply(pixels.astype("float32"))),
        classes=[answer.order[0] for answer in answers],
        logits=np.stack([answer.scores for answer in answers]),
    )
    arrays = list(torch_weights(network, model.network))
    np.savez(folder / f"{network}.npz", **{str(place): a for place, a in enumerate(arrays)})


def torch_weights(network: str, model: object) -> Iterator[np.ndarray]:
    """Yield a network's weights in PyTorch's order and layout."""
    if network != "VGG16":
        from gradcam_cli.models.lite0 import read_weights

        yield from read_weights().values()
        return
    for layer in model.layers:
        values = layer.get_weights()
        if not values:
            continue
        kernel, bias = values
        if kernel.ndim == 4:
            kernel = kernel.transpose(3, 2, 0, 1)
        elif layer.name == "fc1":  # what it reads is flattened in another order
            kernel = kernel.reshape(7, 7, 512, -1).transpose(3, 2, 0, 1).reshape(-1, 7 * 7 * 512)
        else:
            kernel = kernel.T
        yield np.ascontiguousarray(kernel)
        yield bias


def as_library(raw: np.ndarray, library: str) -> np.ndarray:
    """Return gradcam's raw map, brought to the scale and size that a library gives its own."""
    unit = _unit(np.maximum(raw, 0))
    if library == "torchcam":
        return unit
    return _unit(cv2.resize(unit, (224, 224)))


def _unit(values: np.ndarray) -> np.ndarray:
    values = values - values.min()
    return values / (values.max() + 1e-7)


def agreement(raw: np.ndarray, theirs: np.ndarray, library: str) -> str:
    """Return the correlation and the largest difference, of the median and the worst picture."""
    alike, off = [], []
    for one, other in zip(raw, theirs, strict=True):
        one = as_library(one, library)
        alike.append(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]))
        off.append(float(np.abs(one - other).max()))
    both = f"{statistics.median(alike):.4f} / {min(alike):.4f}"
    return f"{both} | {statistics.median(off):.2g} / {max(off):.2g}"


@dataclass
class Costs:
    """Seconds by method and library, a round each; gradcam's first time, with tracing, apart."""

    first: dict[str, float] = field(default_factory=dict)
    further: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)

    def measure(self, workers: Workers, methods: Sequence[str], count: int, rounds: int) -> None:
        """Add rounds of some methods, in which all libraries take turns."""
        for method in methods:
            self.first[method] = workers.seconds(OURS, method, count)
        for _ in range(rounds):
            for method in methods:
                self.further.setdefault(method, []).append(workers.round(method, count))

    def over_grad_cam(self, method: str) -> float:
        """Return gradcam's time for a method over that for Grad-CAM in the same round."""
        both = zip(self.further[method], self.further["gradcam"], strict=True)
        return statistics.median(one[OURS] / other[OURS] for one, other in both)

    def times_faster(self, method: str) -> float:
        """Return how much longer the fastest other library takes for a method."""
        return statistics.median(map(_faster, self.further[method]))

    def row(self, method: str, count: int) -> str:
        """Return a row of the table of costs: seconds a picture, ratios, and the bar."""
        rounds = self.further[method]
        cells = [statistics.median(each[name] for each in rounds) / count for name in LIBRARIES]
        text = " | ".join("" if math.isnan(cell) else f"{cell:.3f}" for cell in cells)
        if method in PASSES:
            faster = self.times_faster(method)
            first = _faster({**rounds[0], OURS: self.first[method]})
            if math.isnan(faster):
                return f"| {method} | {text} | | |"
            verdict = f"{faster:.2f} x faster, {first:.2f} with tracing"
            return f"| {method} | {text} | {verdict} | {_met(faster >= LEAST)} |"
        if method not in (*GRADIENT, FOUR) or "gradcam" not in self.further:
            return f"| {method} | {text} | | |"
        share, most = self.over_grad_cam(method), MOST_OF_FOUR if method == FOUR else MOST
        return f"| {method} | {text} | {share:.3f} x Grad-CAM | {_met(share <= most)} |"


def _faster(times: Mapping[str, float]) -> float:
    others = [times[name] for name in LIBRARIES[1:] if not math.isnan(times[name])]
    return min(others) / times[OURS] if others else math.nan


def _met(bar: bool) -> str:
    return "met" if bar else "missed"


def measure(network: str, words: argparse.Namespace, folder: Path) -> None:
    """Print a network's tables."""
    folder.mkdir()
    write_inputs(network, words.pictures, folder)
    peer = Peer("grad-cam", TORCH, "torch")
    torch = python_of(peer, words.environments.absolute(), folder / "said.txt")
    programs = [(sys.executable, "methods_gradcam_.py"), *[(torch, "methods_torch_.py")] * 2]
    early = ["early"] if words.early else []
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                started(
                    [python, str(HERE / "peers" / program), name, network, str(folder), *early],
                    folder / f"{name}.txt",
                    {each: str(words.threads) for each in THREADS} if words.threads else None,
                )
            )
            for name, (python, program) in zip(LIBRARIES, programs, strict=True)
            if name in words.libraries
        }
        workers, costs = Workers(folder, processes), Costs()
        wanted = [m for m in (*GRADIENT, FOUR, *OTHERS) if not words.only or m in words.only]
        wanted = [m for m in wanted if m != "cam" or network != "VGG16"]
        costs.measure(workers, wanted, words.pictures, words.rounds)
        if wanted:
            report(network, workers, costs, wanted, words.pictures)
        for method in PASSES:
            if not words.only or method in words.only:
                costs.measure(workers, [method], 1, words.pass_rounds)
                report(network, workers, costs, [method], 1)


def report(
    network: str, workers: Workers, costs: Costs, methods: Sequence[str], count: int
) -> None:
    """Print what methods cost, and how they agree."""
    print(f"\n{network}: seconds a picture, of {count}; load {os.getloadavg()[0]:.1f}\n")
    print(f"| method | {' | '.join(LIBRARIES)} | | bar |\n|---|---|---|---|---|---|")
    for method in methods:
        print(costs.row(method, count))
    print("\nagreement, median / worst picture\n")
    print("| method | library | correlation | largest difference |\n|---|---|---|---|")
    for method in methods:
        for library in LIBRARIES[1:]:
            theirs = workers.maps(library, method)
            if theirs is not None:
                found = agreement(workers.maps(OURS, method), theirs, library)
                print(f"| {method} | {library} | {found} |")
    sys.stdout.flush()


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument(
        "--only", nargs="+", choices=(*GRADIENT, FOUR, *OTHERS, *PASSES), metavar="METHOD"
    )
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--pictures", type=int, default=4, help="of the methods of one pass")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pass-rounds", type=int, default=1, help="of the methods of many passes")
    parser.add_argument("--early", action="store_true", help="explain VGG16 at block1_conv2")
    parser.add_argument("--threads", type=int, default=0, help="of each library; 0: its own choice")
    parser.add_argument("--environments", type=Path, default=Path(".peers"))
    words = parser.parse_args(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as name:
        for network in words.networks:
            measure(network, words, Path(name) / network)
        print(f"\n{machine()}, Python {platform.python_version()}")
        peer = Peer("grad-cam", TORCH, "torch")
        said = Path(name) / "said.txt"
        print("\n".join(frameworks([Peer(OURS), peer], words.environments.absolute(), said)))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
