"""The shares where TensorFlow leaves oneDNN off by itself: an older CPU, imitated on this one.

``python benchmarks/without_onednn.py [--pictures N] [--rounds N]``

``model.predict`` runs with oneDNN off, gradcam as its command line sets it up, both with oneDNN's
code limited to AVX2 as far as it is used. Each is a process of its own; their rounds take turns,
and a share is the median of gradcam's pictures a second over those of the prediction just before.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from compare import PICTURES, make_pictures
from peers import PEERS, Bench, machine

CASES = (("VGG16", (1, 5)), ("MobileNetV2", (1,)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    for model, classes in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pictures = make_pictures(folder / "in", words.pictures or PICTURES[model])
            off = {"TF_ENABLE_ONEDNN_OPTS": "0"}
            bench = Bench(folder, pictures, words.rounds, model, classes, off)
            for count, (rate, share) in bench.shares(sys.executable, PEERS[0]).items():
                print(f"{model} top-{count}: {share:.2f} ({rate:.1f} pictures/s)", flush=True)
    print(machine())


if __name__ == "__main__":
    main()
