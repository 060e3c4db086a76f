"""Whether bfloat16 sees what float32 sees: top-1 agreement, and correlation of the maps.

``python benchmarks/agreement.py [PICTURES ...] [--model NAME|FILE]``

Runs ``gradcam`` twice over the pictures (the project's samples, unless others are named). The exit
code is 1 when fewer than 99 % agree in their top-1 class, or when a map of the class that both
predict correlates less than 0.995 with float32's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = Path(__file__).parent.parent / "sample_images"
AGREEMENT, CORRELATION = 0.99, 0.995


def explained(model: str, pictures: list[str], precision: str, output: Path) -> dict[str, Any]:
    """Return the records of a run by picture."""
    words = ["run", *pictures, "--model", model, "--precision", precision, "--save", "array"]
    command = [sys.executable, "-m", "gradcam_cli", *words, "--quiet", "-o", str(output)]
    subprocess.run(command, check=True)
    lines = (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["source"]: record for record in map(json.loads, lines)}


def correlation(one: dict[str, Any], other: dict[str, Any], folders: tuple[Path, Path]) -> float:
    """Return how two records' maps correlate; 1 for two empty ones, 0 where only one is."""
    pairs = zip((one, other), folders, strict=True)
    maps = [np.load(folder / r["explanations"][0]["files"]["array"]) for r, folder in pairs]
    if one["explanations"][0]["empty"] or other["explanations"][0]["empty"]:
        return float(one["explanations"][0]["empty"] == other["explanations"][0]["empty"])
    return float(np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1])


def main() -> None:
    """Compare and print; leave with 1 when a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="*", default=[str(SAMPLES)])
    parser.add_argument("--model", default="efficientnet-lite0")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = Path(name, "float32"), Path(name, "bfloat16")
        exact = explained(words.model, words.pictures, "float32", folders[0])
        lower = explained(words.model, words.pictures, "bfloat16", folders[1])
        if {record["precision"] for record in lower.values()} != {"bfloat16"}:
            print("this machine has no bfloat16: there is nothing to compare")
            return
        same = [
            source
            for source in exact
            if exact[source]["predictions"][0]["index"] == lower[source]["predictions"][0]["index"]
        ]
        agreement = len(same) / len(exact)
        likeness = {source: correlation(exact[source], lower[source], folders) for source in same}
    worst = min(likeness, key=lambda source: likeness[source])
    print(f"{len(exact)} pictures, top-1 agrees on {agreement:.1%}")
    print(
        f"correlation of maps: median {np.median(list(likeness.values())):.4f}, "
        f"worst {likeness[worst]:.4f} ({worst})"
    )
    if agreement < AGREEMENT or likeness[worst] < CORRELATION:
        sys.exit("out of bounds")


if __name__ == "__main__":
    main()
