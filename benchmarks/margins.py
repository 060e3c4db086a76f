"""How far the limits of `gradcam check` are from what passes and from what fails.

``python benchmarks/margins.py [PICTURES]`` freezes the embedded model over pictures, and checks it
against itself in ways that change the last bits only, and in ways that look at pictures otherwise.
It prints the worst of each number over all pictures, and how many of them fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NAME = "efficientnet-lite0"
NUMBERS = (
    "probability change",
    "correlation",
    "rank correlation",
    "IoU of the hottest cells",
    "shift of the centre",
)
SMALL = ("probability change", "shift of the centre")
"""Numbers of which the largest is the worst."""

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "the same again": {},
    "batches of 1": {"images": {"batch_size": 1}},
    "--precision bfloat16": {"explain": {"precision": "bfloat16"}},
    "--interpolation lanczos": {"images": {"interpolation": "lanczos"}},
    "--interpolation bilinear": {"images": {"interpolation": "bilinear"}},
    "--interpolation area": {"images": {"interpolation": "area"}},
    "--resize pad": {"images": {"resize": "pad"}},
    "--resize crop": {"images": {"resize": "crop"}},
    "BGR for RGB": {"model": {"channels": "bgr"}},
    "scaled to 0..1 instead": {"model": {"preprocess": "unit"}},
    "/255 twice": {"model": {"preprocess": "none", "mean": (32385.0,), "std": (32640.0,)}},
    "the layer before": {"explain": {"layer": "block7a_project_bn"}},
}


def row(name: str, cases: list[Any]) -> str:
    """Return a line of the table."""
    worst = []
    for number in NUMBERS:
        values = [
            each.value
            for case in cases
            for pair in case.maps
            for each in pair.measured
            if each.name == number
        ]
        pick = max if number in SMALL else min
        worst.append(f"{pick(values):.4f}" if values else "")
    failed = sum(case.status == "changed" for case in cases)
    return f"| {name} | {' | '.join(worst)} | {failed} of {len(cases)} |"


def checked(baseline: Path, given: dict[str, Any], loaded: Any = None) -> list[Any]:
    """Return the cases of a baseline, some settings put in the place of its own."""
    from gradcam_cli.gate.asked import spec_of
    from gradcam_cli.gate.baseline import read_baseline
    from gradcam_cli.gate.session import Checking, places_of
    from gradcam_cli.spec.explain import ExplainSpec
    from gradcam_cli.spec.gate import GateSpec
    from gradcam_cli.spec.setting import settings

    if "layer" in given.get("explain", {}) and "layers" in settings(ExplainSpec):
        given = {**given, "explain": {"layers": (given["explain"]["layer"],)}}
    known, folder = read_baseline(baseline), baseline.parent
    spec = spec_of(known.head.asked, folder, given)
    found = places_of(known, folder)
    checking = Checking(known, folder, spec, GateSpec(), found, found, model=loaded)
    return list(checking.run(checking.explainer()))


def heads(model: Any, baseline: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yield the cases of other weights in the last layer."""
    import numpy as np

    layer = model.network.get_layer("logits")
    kernel, bias = layer.get_weights()
    noise = np.random.default_rng(0).normal(0, kernel.std(), kernel.shape).astype(np.float32)
    for share in (0.1, 0.3, 1.0):
        layer.set_weights([kernel + share * noise, bias])
        yield f"last layer + {share:g} x noise", checked(baseline, {}, model)
    layer.set_weights([noise, bias])
    yield "last layer at random", checked(baseline, {}, model)
    layer.set_weights([kernel, bias])


def main(pictures: str) -> None:
    """Print the table."""
    from gradcam_cli.models.load import load
    from gradcam_cli.spec.model import ModelSpec

    with tempfile.TemporaryDirectory() as folder:
        baseline = Path(folder) / "baseline.json"
        program = [sys.executable, "-m", "gradcam_cli"]
        words = ["baseline", pictures, "-m", NAME, "-o", str(baseline), "-q"]
        subprocess.run([*program, *words], check=True)
        print(f"| | {' | '.join(NUMBERS)} | fail |\n|{' --- |' * (len(NUMBERS) + 2)}")
        model = load(ModelSpec(model=NAME))
        for name, given in SETTINGS.items():
            print(row(name, checked(baseline, given, None if "model" in given else model)))
        again = Path(folder) / "again.keras"
        model.network.save(again)
        own = {"model": str(again), "preprocess": "none", "mean": (127.0,), "std": (128.0,)}
        images = {"interpolation": model.interpolation}
        print(row("saved and opened again", checked(baseline, {"model": own, "images": images})))
        for name, cases in heads(model, baseline):
            print(row(name, cases), flush=True)
        env = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
        subprocess.run([sys.executable, __file__, "--only", str(baseline)], check=True, env=env)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        print(row("oneDNN off", checked(Path(sys.argv[2]), {})))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "sample_images"))
