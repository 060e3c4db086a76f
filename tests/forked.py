"""The real command, again and again, in forks of one process that has the libraries loaded.

A start of the program costs three seconds, nearly all of it TensorFlow's import; a fork costs a
few milliseconds, so that hundreds of crafted files can be tried, each in a process of its own with
limits of its own. ``python -m tests.forked ORDERS RESULTS`` reads cases and writes how they ended.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests import watching
from tests.watching import Baits, Event

__all__ = ["Case", "Ended", "allowed", "elsewhere", "run_case", "run_cases"]

ROOT = Path(__file__).parent.parent
_MEGABYTE = 2**20


@dataclass(frozen=True)
class Case:
    """A command: its words, the folder it runs in, and the seconds and megabytes it may take."""

    name: str
    words: tuple[str, ...]
    folder: Path
    seconds: float = 60
    megabytes: int = 4096


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (minus a signal's number; -9 too when its time was over)."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: int
    hung: bool
    events: tuple[Event, ...] = ()


def allowed(event: Event, folder: Path) -> bool:
    """Tell whether a command in ``folder`` may do this: libraries are read, the folder is its own.

    ``/proc`` and ``/sys`` describe the machine, and TensorFlow names its threads in ``/proc``.
    """
    if event.call in ("connect", "exec", "unpickle"):
        return False
    if _within(event.path, folder):
        return True
    if event.writes:
        return event.path == os.devnull or event.path.endswith("/comm")
    return event.path in _SYSTEM_FILES or any(_within(event.path, place) for place in _LIBRARIES)


_SYSTEM_FILES = ("/dev/null", "/dev/urandom", "/etc/localtime", "/etc/ld.so.cache")
_LIBRARIES = tuple(
    {Path(place).resolve() for place in (sys.prefix, sys.base_prefix)}
    | {Path(place) for place in (sys.prefix, "/usr", "/lib", "/lib64", "/proc", "/sys")}
    | {ROOT / "gradcam_cli", ROOT / "tests"}
)


def _within(path: str, place: Path) -> bool:
    return path == str(place) or path.startswith(f"{place}/")


def elsewhere(ended: Ended, folder: Path) -> list[Event]:
    """Return what a command did that it had no business with, without repetition."""
    return [one for one in dict.fromkeys(ended.events) if not allowed(one, folder)]


def run_case(case: Case, baits: Baits | None = None) -> Ended:
    """Run a command in a fork of this process, which must have no work of TensorFlow's going."""
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        tempfile.TemporaryFile(buffering=0) as heard,
    ):
        before = _most_megabytes()
        if baits:
            baits.touched()
        watching.mark(case.name)
        start = time.monotonic()
        worker = os.fork()
        if worker == 0:
            _be(case, out.fileno(), err.fileno(), heard.fileno())
        status, usage, hung = _waited(worker, start + case.seconds)
        watching.mark("")
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read(_MEGABYTE).decode("utf-8", "replace"))
        events = [*watching.audited(heard.fileno(), case.folder)]
    return Ended(
        code=os.waitstatus_to_exitcode(status),
        out=said[0],
        err=said[1],
        seconds=round(time.monotonic() - start, 2),
        megabytes=max(0, usage.ru_maxrss // 1024 - before),
        hung=hung,
        events=(*events, *(baits.touched() if baits else ())),
    )


def _waited(worker: int, until: float) -> tuple[int, Any, bool]:
    """Wait for a process, and end it and its group when its time is over."""
    hung = False
    while True:
        ended, status, usage = os.wait4(worker, os.WNOHANG)
        if ended:
            return status, usage, hung
        if time.monotonic() > until and not hung:
            hung = True
            os.killpg(worker, signal.SIGKILL)
        time.sleep(0.002)


def _be(case: Case, out: int, err: int, heard: int) -> None:
    """Become the command, in a process that was just forked."""
    code = 70
    try:
        from gradcam_cli.cli import main

        os.setpgid(0, 0)
        for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        os.chdir(case.folder)
        (case.folder / "tmp").mkdir(exist_ok=True)
        os.environ["TMPDIR"] = str(case.folder / "tmp")
        tempfile.tempdir = None
        address_space = _address_space() + case.megabytes * _MEGABYTE
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096 * _MEGABYTE,) * 2)
        sys.argv = ["gradcam", *case.words]
        watching.audit(heard)
        main()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 0
    finally:
        os._exit(code)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    return pages * resource.getpagesize()


def _most_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def run_cases(
    cases: Sequence[Case], scratch: Path, baits: Path, *, strace: bool = True
) -> dict[str, Ended]:
    """Run commands in forks of one watched process, and return how each ended, by its name.

    ``scratch`` is an empty folder, ``baits`` one that nobody has any business in: the home of the
    process, ``baits/home``, lies there too.
    """
    (baits / "home").mkdir(parents=True, exist_ok=True)
    orders, results, log = (scratch / name for name in ("orders.json", "results.json", "strace"))
    listed = [{**asdict(case), "folder": str(case.folder)} for case in cases]
    orders.write_text(json.dumps({"baits": str(baits), "cases": listed}), encoding="utf-8")
    env = {**os.environ, "HOME": str(baits / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    watcher = watching.strace(log) if strace else ()
    command = [*watcher, sys.executable, "-m", "tests.forked", str(orders), str(results)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folders = {case.name: case.folder for case in cases}
    seen = watching.segments(log, folders) if watcher else {}
    ended = {}
    for name, values in json.loads(results.read_text(encoding="utf-8")).items():
        events = (*(Event(*one) for one in values.pop("events")), *seen.get(name, ()))
        ended[name] = Ended(**values, events=events)
    return ended


def load_libraries() -> None:
    """Import what every command would import, before the forks."""
    from gradcam_cli.cli import set_up

    set_up()
    for name in ("engine.local", "models.load", "engine.files", "store.folder", "report.page"):
        importlib.import_module(f"gradcam_cli.{name}")
    gc.freeze()  # or every fork would walk, and so copy, all that the libraries have made


def _serve(orders: Path, results: Path) -> None:
    ordered = json.loads(orders.read_text(encoding="utf-8"))
    load_libraries()
    baits = Baits(Path(ordered["baits"]))
    ended = {}
    for case in ordered["cases"]:
        case |= {"words": tuple(case["words"]), "folder": Path(case["folder"])}
        ended[case["name"]] = asdict(run_case(Case(**case), baits))
    results.write_text(json.dumps(ended), encoding="utf-8")


if __name__ == "__main__":
    _serve(*map(Path, sys.argv[1:]))
