"""How long ``gradcam --help`` takes, against importing the libraries of its command line.

``python benchmarks/startup.py [--rounds N] [--at-most RATIO]``

Both are whole processes, in turn; the ratio is the median over the rounds. The exit code is 1 when
it is above ``--at-most``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

LIBRARIES = "import typer, typer.rich_utils, rich.console, rich.table, tqdm"
PROCESSES = ([sys.executable, "-c", LIBRARIES], [sys.executable, "-m", "gradcam_cli", "--help"])


def seconds(words: list[str]) -> float:
    """Return the time of a process."""
    start = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print, and leave with 1 when the bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--at-most", type=float, default=float("inf"))
    words = parser.parse_args()
    times = [[seconds(process) for process in PROCESSES] for _ in range(words.rounds + 1)][1:]
    ratio = statistics.median(ours / libraries for libraries, ours in times)
    libraries, ours = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"gradcam --help {ours:.2f} s, its libraries {libraries:.2f} s, ratio {ratio:.2f}")
    if ratio > words.at_most:
        sys.exit("out of bounds")


if __name__ == "__main__":
    main()
