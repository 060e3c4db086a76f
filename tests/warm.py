"""The command in forks of a process that has the libraries loaded, and nothing of the program.

A start costs three seconds, nearly all of it TensorFlow's import. Here only the program itself is
imported, as ``python -m gradcam_cli`` would, by a process of its own with its own streams, folder
and end. ``python -m tests.warm DESCRIPTOR`` takes orders from a socket, one after the other; it
runs nothing of TensorFlow's, whose threads would not live on in a fork.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.streams import stderr_at

ROOT = Path(__file__).parent.parent
SECONDS = 240
_LONGEST = 2**18
_OF_NO_ACCOUNT = frozenset(
    {
        *("PYTEST_CURRENT_TEST", "TF2_BEHAVIOR", "TPU_ML_PLATFORM", "TPU_ML_PLATFORM_VERSION"),
        *("ENABLE_RUNTIME_UPTIME_TELEMETRY", "HDF5_PLUGIN_PATH", "LD_LIBRARY_PATH"),
    }
)
"""What pytest sets for each test, and libraries set when they are imported."""

Result = subprocess.CompletedProcess[str]


def is_possible(env: Mapping[str, str]) -> bool:
    """Tell whether the libraries were loaded under these variables, some of which they heed."""
    return sys.platform == "linux" and _lasting(env) == _lasting(_AT_FIRST)


def run(arguments: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: str) -> Result:
    """Return how ``gradcam ARGUMENTS`` ended, as ``subprocess.run`` does."""
    (given, writing), (out, saying), (err, complaining) = (os.pipe() for _ in range(3))
    order = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env)})
    server, _ = _server()
    socket.send_fds(server, [order.encode()], [given, saying, complaining])
    for descriptor in (given, saying, complaining):
        os.close(descriptor)
    said: dict[int, str] = {}
    readers = [threading.Thread(target=_read, args=(each, said)) for each in (out, err)]
    for reader in readers:
        reader.start()
    with suppress(BrokenPipeError), os.fdopen(writing, "w", encoding="utf-8") as stream:
        stream.write(stdin)
    for reader in readers:
        reader.join()
    code = server.recv(_LONGEST)
    assert code, "the process that has the libraries loaded is no more"
    return subprocess.CompletedProcess(arguments, int(code), said[out], said[err])


def _read(descriptor: int, said: dict[int, str]) -> None:
    with os.fdopen(descriptor, encoding="utf-8") as stream:
        said[descriptor] = stream.read()


def _lasting(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in _OF_NO_ACCOUNT}


_AT_FIRST = dict(os.environ)


def end() -> None:
    """Let the process end, if there is one."""
    if _server.cache_info().currsize:
        orders, process = _server()
        orders.close()
        process.wait()
        _server.cache_clear()


@cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process, and return where it takes orders."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [sys.executable, "-m", "tests.warm", str(theirs.fileno())]
    process = subprocess.Popen(words, cwd=ROOT, env=_AT_FIRST, pass_fds=[theirs.fileno()])
    theirs.close()
    return ours, process


def _serve(orders: socket.socket) -> None:
    """Run orders in forks. In a fork it raises SystemExit, with which the command leaves."""
    while True:
        order, streams, _, _ = socket.recv_fds(orders, _LONGEST, 3)
        if not order:
            return
        worker = os.fork()
        if worker == 0:
            orders.close()
            _become(streams, **json.loads(order))
            return
        for descriptor in streams:
            os.close(descriptor)
        watched = os.pidfd_open(worker)
        if not select.select([watched], [], [], SECONDS)[0]:
            os.kill(worker, signal.SIGKILL)
        os.close(watched)
        _, status = os.waitpid(worker, 0)
        orders.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(streams: Sequence[int], arguments: list[str], cwd: str, env: dict[str, str]) -> None:
    """Be what ``python -m gradcam_cli ARGUMENTS`` is, from the program's first line on."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[0] = cwd
    sys.argv[1:] = arguments
    runpy.run_module("gradcam_cli", run_name="__main__", alter_sys=True)


def _load_libraries() -> None:
    """Import what the program imports, in its way, and forget the program."""
    from gradcam_cli.cli import set_up

    set_up()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with stderr_at(os.devnull):  # TensorFlow greets
        from gradcam_cli import isolation  # noqa: F401  imports TensorFlow and Keras

    for name in [each for each in sys.modules if each.partition(".")[0] == "gradcam_cli"]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()  # or every fork would walk, and so copy, all that the libraries have made


if __name__ == "__main__":
    _load_libraries()
    _serve(socket.socket(fileno=int(sys.argv[1])))
