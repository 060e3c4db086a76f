"""What a process opens, lists, writes, connects to and starts: told by three witnesses.

An audit hook sees what Python does, inotify who touches a folder of baits, whatever library does
it, and strace, where it is installed and allowed, every call of every library. Where there is no
strace, the baits take its place: crafted files point at nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Baits", "Event", "audit", "audited", "mark", "segments", "strace"]

_OPEN = ("open", "openat", "openat2", "creat")
_CHANGES = {
    **dict.fromkeys(("mkdir", "mkdirat"), "make"),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), "remove"),
    **dict.fromkeys(("rename", "renameat", "renameat2"), "rename"),
    **dict.fromkeys(("link", "linkat", "symlink", "symlinkat"), "link"),
}
_STARTS = {**dict.fromkeys(("connect", "bind"), "connect"), "execve": "exec"}
_MARK = "/begin-watching/"


class Event(NamedTuple):
    """One call: what it does, to which path (or address), and whether it could change it."""

    call: str
    path: str
    writes: bool


# --- strace ---------------------------------------------------------------------------------------


@functools.cache
def strace(log: Path | None = None) -> tuple[str, ...]:
    """Return the words that start strace before a command; none where it cannot be used."""
    program = shutil.which("strace")
    if program is None:
        return ()
    calls = ",".join(f"?{call}" for call in (*_OPEN, *_CHANGES, *_STARTS))
    words = (program, "-f", "-y", "--seccomp-bpf", "-s", "4096", "-e", f"trace={calls}")
    if log is not None:
        return (*words, "-e", "signal=none", "-o", str(log)) if strace() else ()
    tried = subprocess.run([*words, "-o", os.devnull, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else ()


def mark(name: str) -> None:
    """Leave a mark in what strace writes; what follows belongs to ``name``."""
    with contextlib.suppress(OSError):
        os.close(os.open(_MARK + name, os.O_RDONLY))


def segments(log: Path, folders: dict[str, Path]) -> dict[str, list[Event]]:
    """Return what happened behind each mark; ``folders`` are where the processes worked."""
    found: dict[str, list[Event]] = {}
    name = ""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        call = re.match(r"\d+ +(\w+)\((.*)", line)
        if call is None:
            continue
        if _MARK in line:
            name = re.findall(rf'"{_MARK}([^"]*)"', line)[0]
        elif name in folders:
            found.setdefault(name, []).extend(_parsed(call[1], call[2], folders[name]))
    return found


def _parsed(call: str, rest: str, folder: Path) -> Iterator[Event]:
    if call in _STARTS:
        inside = re.search(r"\{.*?\}", rest) if call != "execve" else re.search(r'"[^"]*"', rest)
        yield Event(_STARTS[call], inside[0].strip('"') if inside else rest, False)
        return
    paths = [
        os.path.normpath(folder / (base or "") / _unescaped(name))
        for base, name in re.findall(
            r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"', rest.partition(") = ")[0]
        )
    ]
    if call in _CHANGES:
        yield from (Event(_CHANGES[call], path, True) for path in paths)
    elif paths:
        writes = call == "creat" or re.search("O_(WRONLY|RDWR|CREAT|TRUNC)", rest) is not None
        kind = "list" if "O_DIRECTORY" in rest and "O_TMPFILE" not in rest else "open"
        yield Event(kind, paths[0], writes)


def _unescaped(text: str) -> str:
    return text.encode("latin-1", "replace").decode("unicode_escape")


# --- Python's audit hook --------------------------------------------------------------------------

_HOOKED: dict[str, Callable[..., Iterable[Event]]] = {
    "open": lambda path, mode, flags: [_opened(path, mode, flags)],
    "os.listdir": lambda path: [Event("list", _path(path), False)],
    "os.scandir": lambda path: [Event("list", _path(path), False)],
    "os.mkdir": lambda path, *_: [Event("make", _path(path), True)],
    "os.remove": lambda path, *_: [Event("remove", _path(path), True)],
    "os.rmdir": lambda path, *_: [Event("remove", _path(path), True)],
    "os.truncate": lambda path, *_: [Event("open", _path(path), True)],
    "os.rename": lambda a, b, *_: [Event("rename", _path(one), True) for one in (a, b)],
    "os.link": lambda a, b, *_: [Event("link", _path(one), True) for one in (a, b)],
    "os.symlink": lambda a, b, *_: [Event("link", _path(one), True) for one in (a, b)],
    "os.exec": lambda path, *_: [Event("exec", _path(path), False)],
    "os.posix_spawn": lambda path, *_: [Event("exec", _path(path), False)],
    "os.system": lambda command: [Event("exec", _path(command), False)],
    "subprocess.Popen": lambda path, *_: [Event("exec", _path(path), False)],
    "socket.connect": lambda _, address: [Event("connect", str(address), False)],
    "socket.bind": lambda _, address: [Event("connect", str(address), False)],
    "socket.getaddrinfo": lambda host, *_: [Event("connect", str(host), False)],
    "urllib.Request": lambda url, *_: [Event("connect", str(url), False)],
    "pickle.find_class": lambda module, name: [Event("unpickle", f"{module}.{name}", False)],
}


def audit(file: int) -> None:
    """Write what Python does from here on, in this process and its forks, to a descriptor."""

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name in _HOOKED:
            for event in _HOOKED[name](*arguments):
                os.write(file, (json.dumps(event) + "\n").encode())

    sys.addaudithook(hook)


def audited(file: int, folder: Path) -> list[Event]:
    """Read what a hook wrote; relative paths are those of ``folder``."""
    os.lseek(file, 0, os.SEEK_SET)
    events = []
    with os.fdopen(os.dup(file), encoding="utf-8", errors="replace") as lines:
        for line in lines:
            call, path, writes = json.loads(line)
            if path and call not in ("connect", "unpickle"):
                path = os.path.normpath(folder / path)
            if path:
                events.append(Event(call, path, writes))
    return events


def _opened(path: Any, mode: Any, flags: Any) -> Event:
    changes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    writes = bool(set(str(mode or "")) & set("wax+")) or bool((flags or 0) & changes)
    return Event("open", _path(path), writes)


def _path(path: Any) -> str:
    """Return a path; empty for a descriptor, which was opened before."""
    return "" if isinstance(path, int) or path is None else os.fsdecode(path)


# --- inotify --------------------------------------------------------------------------------------


class Baits:
    """A folder that nobody has any business in; every touch of it is seen, on Linux."""

    _OPENED, _LISTED = 0x20, 0x40000000
    _CHANGED = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200  # content, attributes, names come and go

    def __init__(self, folder: Path) -> None:
        self._folders: dict[int, Path] = {}
        if not sys.platform.startswith("linux"):
            return
        library = ctypes.CDLL(None, use_errno=True)
        self._file = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for one in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            mask = self._OPENED | self._CHANGED
            watch = library.inotify_add_watch(self._file, os.fsencode(one), mask)
            assert watch >= 0, os.strerror(ctypes.get_errno())
            self._folders[watch] = one

    def touched(self) -> list[Event]:
        """Return what happened since the last call."""
        events: list[Event] = []
        while self._folders:
            try:
                data = os.read(self._file, 1 << 16)
            except BlockingIOError:
                break
            while data:
                watch, mask, _, length = struct.unpack_from("iIII", data)
                name = data[16 : 16 + length].rstrip(b"\0")
                data = data[16 + length :]
                path = os.path.normpath(self._folders[watch] / os.fsdecode(name))
                call = "list" if mask & self._LISTED and mask & self._OPENED else "open"
                events.append(Event(call, path, bool(mask & self._CHANGED)))
        return events
