"""Other Grad-CAM libraries beside gradcam, measured on this machine, as a Markdown table.

``python benchmarks/peers.py [--only NAME ...] [--pictures N] [--rounds N] [--environments DIR]``

VGG16 with random weights, from JPEGs on disk to overlays on disk, one process, threads as each
library has them by default. Each peer gets a virtual environment below DIR, made once (the three
PyTorch libraries share one), and a program in ``benchmarks/peers``. Its rounds take turns with
rounds of bare ``model.predict`` (batches of 16) in this script's own environment: a share is a
peer's pictures a second over those of the prediction just before, and the table has its median.
Peers that run their network eagerly are slow, and a picture costs them the same in any number: they
get a quarter of the pictures. Then one picture is explained by whole processes, weights read
from disk: the median time of three, and the highest peak of memory.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from compare import make_pictures, make_weights

HERE = Path(__file__).parent
TORCH = (
    "torch",
    "torchvision",
    "grad-cam",
    "captum",
    "torchcam",
    "opencv-python-headless",
    "timm",
)

LAUNCHER = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""
"""Prints a command's peak; a small process, as a peak counts what the parent held at the fork."""


class CannotRunError(Exception):
    """Why a peer has no numbers."""


@dataclass(frozen=True)
class Peer:
    """One library, the packages of its environment, and whether it gets fewer pictures."""

    name: str
    packages: tuple[str, ...] = ()
    environment: str = ""
    eager: bool = False

    @property
    def program(self) -> str:
        """The script that runs it (its name's underscore keeps the library importable)."""
        return str(HERE / "peers" / f"{self.name.replace('-', '_')}_.py")


def _keras(name: str, eager: bool) -> Peer:
    packages = (name, "tensorflow", "opencv-python-headless")
    return Peer(name, packages, name.replace("-", "_"), eager)


PEERS = (
    Peer("gradcam"),
    _keras("xplique", eager=True),
    Peer("torchcam", TORCH, "torch"),
    Peer("captum", TORCH, "torch", eager=True),
    _keras("tf-keras-vis", eager=True),
    Peer("grad-cam", TORCH, "torch", eager=True),
    _keras("tf-explain", eager=True),
)


@contextmanager
def started(
    words: Sequence[str], said: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a process group of its own, which does not outlive the block."""
    with said.open("w") as errors:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            bufsize=1,
            start_new_session=True,
            env=os.environ | dict(environ or {}),
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()


def output_of(words: Sequence[str], said: Path) -> str:
    """Return what a command prints."""
    with started(words, said) as process:
        text = process.communicate()[0]
        if process.returncode:
            raise CannotRunError(last_line(said))
    return text


def last_line(said: Path) -> str:
    """Return the end of what a command said before it failed."""
    lines = [line.strip() for line in said.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "ended without a word")[:200]


def python_of(peer: Peer, folder: Path, said: Path) -> str:
    """Return the interpreter of a peer's environment, made when it is not there."""
    if not peer.packages:
        return sys.executable
    home = folder / peer.environment
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = home / "ready"
    packages = "\n".join(peer.packages) + "\n"
    if not ready.exists() or ready.read_text() != packages:
        print(f"installing {peer.environment} ...", file=sys.stderr, flush=True)
        output_of([sys.executable, "-m", "venv", str(home)], said)
        output_of([str(python), "-m", "pip", "install", "--quiet", *peer.packages], said)
        ready.write_text(packages)
    return str(python)


def versions(python: str, names: Sequence[str], said: Path) -> list[str]:
    """Return the versions of packages in an environment."""
    code = "import importlib.metadata as m, sys\nfor n in sys.argv[1:]: print(m.version(n))"
    return output_of([python, "-c", code, *names], said).split()


def round_of(process: subprocess.Popen[str], classes: int, said: Path) -> float:
    """Have a worker do a round, and return its seconds."""
    with suppress(BrokenPipeError):
        process.stdin.write(f"round {classes}\n")
    answer = process.stdout.readline()
    if not answer:
        process.wait()
        raise CannotRunError(last_line(said))
    return float(answer)


@dataclass(frozen=True)
class Bench:
    """What all measurements share; ``bare`` is the environment of bare prediction alone."""

    folder: Path
    pictures: list[Path]
    rounds: int
    model: str = "VGG16"
    classes: Sequence[int] = (1, 5)
    bare: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write the weights of all the programs."""
        make_weights(self.model, self.weights)

    @property
    def weights(self) -> Path:
        """The file of the weights, which bears the model's name."""
        return self.folder / f"{self.model}.h5"

    @property
    def said(self) -> Path:
        """The file for what the command at hand says on standard error."""
        return self.folder / "said.txt"

    def words(self, python: str, peer: Peer, pictures: list[Path], *options: str) -> list[str]:
        """Return the command line of a peer's program."""
        output = self.folder / "out" / peer.name
        return [python, peer.program, *options, *map(str, (self.weights, output, *pictures))]

    def shares(self, python: str, peer: Peer) -> dict[int, tuple[float, float]]:
        """Return, for each number of classes, pictures a second and share of bare prediction."""
        some = self.pictures[: max(4, len(self.pictures) // 4)] if peer.eager else self.pictures
        bare_said = self.folder / "bare.txt"
        bare_words = self.words(sys.executable, Peer("predict"), self.pictures)
        rates: dict[int, list[tuple[float, float]]] = {classes: [] for classes in self.classes}
        with ExitStack() as stack:
            bare = stack.enter_context(started(bare_words, bare_said, self.bare))
            worker = stack.enter_context(started(self.words(python, peer, some), self.said))
            for number in range(self.rounds + 1):
                for classes in self.classes:
                    if not number and peer.eager and classes > 1:
                        continue  # nothing is compiled, so one warm round is enough
                    base = len(self.pictures) / round_of(bare, 1, bare_said)
                    rate = len(some) / round_of(worker, classes, self.said)
                    if number:
                        rates[classes].append((rate, rate / base))
        return {
            classes: (statistics.median(r for r, _ in both), statistics.median(s for _, s in both))
            for classes, both in rates.items()
        }

    def one_picture(self, python: str, peer: Peer) -> tuple[float, float]:
        """Return the median seconds and the peak in GB of whole processes for one picture."""
        words = self.words(python, peer, self.pictures[:1], "--once")
        if not peer.packages:
            words = [python, "-m", "gradcam_cli", "run", str(self.pictures[0]), "--quiet"]
            words += ["--overwrite", "--model", "vgg16"]
            words += ["--weights", str(self.weights), "-o", str(self.folder / "one")]
        times, peaks = [], []
        for _ in range(3):
            start = time.perf_counter()
            peak = output_of([sys.executable, "-c", LAUNCHER, *words], self.said)
            times.append(time.perf_counter() - start)
            peaks.append(int(peak) * (1 if sys.platform == "darwin" else 1024) / 1e9)
        return statistics.median(times), max(peaks)

    def row(self, peer: Peer, environments: Path) -> str:
        """Return a peer's row of the table."""
        name = peer.name
        try:
            python = python_of(peer, environments, self.said)
            found = "gradcam-cli" if not peer.packages else name
            name += f" {versions(python, [found], self.said)[0]}"
            shares = self.shares(python, peer)
            seconds, peak = self.one_picture(python, peer)
        except CannotRunError as error:
            return f"| {name} | does not run: {str(error).replace('|', '/')} | | | |"
        cells = [f"{share:.2f} ({rate:.2f}/s)" for rate, share in shares.values()]
        return f"| {name} | {' | '.join(cells)} | {seconds:.1f} | {peak:.2f} |"


def machine() -> str:
    """Return the processor and its cores."""
    name = platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), name)
    return f"{name or platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def frameworks(peers: Sequence[Peer], environments: Path, said: Path) -> Iterator[str]:
    """Yield each environment's framework and version."""
    for peer in {peer.environment: peer for peer in peers}.values():
        names = ["torch", "torchvision"] if peer.packages == TORCH else ["tensorflow", "keras"]
        with suppress(CannotRunError):
            found = versions(python_of(peer, environments, said), names, said)
            pairs = ", ".join(map(" ".join, zip(names, found, strict=True)))
            yield f"{peer.environment or 'gradcam, model.predict'}: {pairs}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[peer.name for peer in PEERS])
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--environments", type=Path, default=Path(".peers"))
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    peers = [peer for peer in PEERS if not words.only or peer.name in words.only]
    environments = words.environments.absolute()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = make_pictures(folder / "in", words.pictures)
        bench = Bench(folder, pictures, words.rounds)
        print("| | top-1, share of predict | top-5, share of predict | one picture, s | peak, GB |")
        print("|---|---|---|---|---|", flush=True)
        for peer in peers:
            print(bench.row(peer, environments), flush=True)
        print(f"\n{machine()}, Python {platform.python_version()}")
        print("\n".join(frameworks(peers, environments, bench.said)))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
