"""What the programs of ``benchmarks/methods.py`` share: methods on command, timed, maps in files.

``python PROGRAM LIBRARY NETWORK FOLDER [early]`` finds what is explained in FOLDER (``inputs.npz``,
``NETWORK.npz``), then reads ``METHOD COUNT`` from standard input: explains the first COUNT images
by that method (several are joined with ``+``), writes ``LIBRARY.METHOD.npy`` there and answers
with the seconds that took, of the processor where a library gets one thread. The first time a
method is named includes all that prepares it. A method that the library does not have, or that
fails, is answered with ``nan``.
"""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

THREADS = "OMP_NUM_THREADS"

Explain = Callable[[int], object]
"""From a number of images to their maps, an array ``[N, rows, columns]``."""


def serve(
    prepare: Callable[[str], Callable[[], Explain] | None], library: str, folder: Path
) -> None:
    """Answer commands; ``prepare`` returns what makes a method ready, or None."""
    import numpy as np

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is not an answer
    clock = time.process_time if os.environ.get(THREADS) == "1" else time.perf_counter
    ready: dict[str, Explain] = {}
    for line in sys.stdin:
        name, count = line.split()
        make = prepare(name)
        if make is None:
            print(math.nan, file=answers)
            continue
        start = clock()
        try:
            if name not in ready:
                ready[name] = make()
            maps = ready[name](int(count))
        except Exception:  # noqa: BLE001  whatever a library says of this network
            traceback.print_exc()
            print(math.nan, file=answers)
            continue
        seconds = clock() - start
        np.save(folder / f"{library}.{name}.npy", np.asarray(maps))
        print(seconds, file=answers)
