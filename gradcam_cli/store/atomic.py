"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from gradcam_cli.errors import FailureKind, GradcamError, ImageError

_SPACE = "free some space or choose another folder with -o"
_WHY_NOT = {
    errno.ENOSPC: _SPACE,
    getattr(errno, "EDQUOT", errno.ENOSPC): _SPACE,
    errno.EFBIG: "allow larger files (ulimit -f), or choose another disk with -o",
    errno.EMFILE: "allow more open files (ulimit -n)",
}
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
_LEFTOVER = re.compile(r"\.gradcam-([0-9a-f]{6})-(\d+)-[0-9a-f]{8}\.part")
_A_DAY = 86_400


def write_bytes(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file whole or not at all; missing folders are made.

    The bytes, which may come in pieces, go into a hidden file beside it, which then takes its
    place: a reader never sees half a file, and a link at ``path`` is replaced, never written
    through. Raises GradcamError; ImageError (``write``) for a path that is too long.
    """
    temporary = part_of(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.writelines([data] if isinstance(data, bytes) else data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ImageError(
                FailureKind.WRITE, "its output's path is too long", "shorten -o"
            ) from error
        raise GradcamError(
            f"cannot write {path}: {error.strerror}",
            _WHY_NOT.get(error.errno or 0, "choose another folder, on a disk that works, with -o"),
        ) from error


def refuse_foreign(path: Path, is_ours: Callable[[Path], bool], what: str) -> None:
    """Raise GradcamError where another file than ours lies, ``what`` was to be written there."""
    if not os.path.lexists(path):
        return
    try:
        ours = path.is_file() and is_ours(path)
    except OSError as error:
        raise GradcamError(
            f"cannot read {path}: {error.strerror or error}", "choose another file with -o"
        ) from error
    if not ours:
        raise GradcamError(
            f"{path} is there and is not a {what} of gradcam's",
            "choose another file with -o, or remove it",
        )


def part_of(folder: Path) -> Path:
    """Return the name of a file in a folder that ``remove_leftovers`` knows after a crash."""
    return folder / f".gradcam-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.part"


def remove_leftovers(folder: Path) -> None:
    """Remove the hidden files below a folder that a killed ``write_bytes`` left behind.

    Those of a living process, and recent ones of another machine, are somebody's work in progress.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            match = _LEFTOVER.fullmatch(name)
            if match and _abandoned(Path(place, name), match):
                Path(place, name).unlink(missing_ok=True)


def _abandoned(path: Path, match: re.Match[str]) -> bool:
    if match[1] == _HOST:
        return int(match[2]) == os.getpid() or not _alive(int(match[2]))
    return time.time() - path.lstat().st_mtime > _A_DAY


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    with suppress(OSError):  # there is no /proc on every system
        # Killed, but nobody has waited for it, as a container's first process often never does.
        state = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0]
        return state not in (b"Z", b"X")
    return True


def cannot_write(path: Path, error: OSError) -> GradcamError:
    """Return the error for a file or folder that cannot be written."""
    return GradcamError(
        f"cannot write {path}: {error.strerror or error}",
        "free some space, or choose another folder with -o",
    )
