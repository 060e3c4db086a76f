"""Run the campaign, print a table by outcome, and keep the files whose outcome must not be."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests import forked
from tests.attack import models, pictures
from tests.crafted.files import members
from tests.crafted.objects import make_baits
from tests.mutations import seeds
from tests.watching import Baits

_WORDS = ("run", "in.png", "--model", "model.keras", "-o", "out")


def main() -> int:
    """Return 1 when anything ended as it must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=14_400)
    parser.add_argument("--models", type=int, default=400)
    parser.add_argument("--only", default="", help="one case, such as picture-17 or model-3")
    parser.add_argument("--keep", type=Path, help="a folder for the files of bad outcomes")
    asked = parser.parse_args()
    keep = asked.keep or Path(tempfile.mkdtemp(prefix="gradcam-attack-"))
    keep.mkdir(parents=True, exist_ok=True)
    kind, _, number = asked.only.partition("-")
    ranges = {"picture": range(asked.pictures), "model": range(asked.models)}
    if asked.only:
        only = range(int(number), int(number) + 1)
        ranges = {name: only if name == kind else range(0) for name in ranges}
    found = [
        *_pictures(asked.seed, ranges["picture"], keep),
        *_models(asked.seed, ranges["model"], keep, bool(asked.only)),
    ]
    _print(found)
    bad = [(case, ended) for case, ended in found if _is_bad(ended)]
    for case, ended in bad:
        print(f"{case}: {ended}")
    print(f"seed {asked.seed}: {len(bad)} of {len(found)} ended as they must not; kept in {keep}")
    return bool(bad)


def _is_bad(ended: str) -> bool:
    return ended.split(":")[0].isupper()


def _pictures(seed: int, numbers: range, keep: Path) -> Iterator[tuple[str, str]]:
    for number, ended in pictures.outcomes(seed, numbers):
        name, data = pictures.damaged(seed, number)
        case = f"picture-{number}"
        if _is_bad(ended) or ("Pillow" in ended and "as " not in ended):
            (keep / f"{case}-{name}").write_bytes(data)
        yield f"{case}-{name}", ended


def _models(seed: int, numbers: range, keep: Path, tell: bool) -> Iterator[tuple[str, str]]:
    if not numbers:
        return
    with tempfile.TemporaryDirectory(prefix="gradcam-attack-") as scratch:
        root = Path(scratch).resolve()
        (root / "baits/home").mkdir(parents=True)
        os.environ["HOME"] = str(root / "baits/home")
        model = _tiny(root)
        shutil.rmtree(root / "baits")
        baits = make_baits(root / "baits", members(model)["model.weights.h5"])
        forked.load_libraries()
        watched = Baits(baits)
        for number in numbers:
            rng = random.Random(f"{seed} model {number}")
            what, data = models.crafted(rng, model, baits)
            folder = root / f"model-{number}"
            folder.mkdir()
            (folder / "model.keras").write_bytes(data)
            (folder / "in.png").write_bytes(seeds()["plain.png"])
            case = forked.Case(f"model-{number}", _WORDS, folder, models.SECONDS, 3000)
            ended = forked.run_case(case, watched)
            result = models.outcome(ended, folder)
            if tell:
                print(ended.out, ended.err, *forked.elsewhere(ended, folder), sep="\n")
            if _is_bad(result):
                (keep / f"model-{number}-{what}.keras").write_bytes(data)
                said = ended.err.splitlines()[:1]
                touched = forked.elsewhere(ended, folder)[:1]
                result += f"; {what}: {(*said, *touched)}"
            shutil.rmtree(folder)
            yield f"model-{number}", result


def _tiny(root: Path) -> bytes:
    """Return a model file made in a process of its own: here no work of TensorFlow's may go on."""
    worker = os.fork()
    if worker == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            from tests.tiny import save_tiny

            save_tiny(root / "tiny.keras")
        finally:
            os._exit(0)
    os.waitpid(worker, 0)
    return (root / "tiny.keras").read_bytes()


def _print(found: list[tuple[str, str]]) -> None:
    for kind in ("picture", "model"):
        ended = Counter(end.split(";")[0] for case, end in found if case.startswith(kind))
        for outcome, count in ended.most_common():
            print(f"{kind:8} {count:6}  {outcome}")


if __name__ == "__main__":
    sys.exit(main())
