"""The hash of a file, which takes a large file a second: made once, or ahead in a thread."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
from pathlib import Path

from gradcam_cli.regular import check_regular, open_regular

_LARGE = 32 << 20
_BLOCK = 8 << 20
"""Bytes; between two blocks the thread queues up behind whoever imports or traces."""

_ONE_AT_A_TIME = threading.Lock()


def hash_of(path: Path, kind: str = "sha256") -> str:
    """Return the hexadecimal hash of a file as it is now; ``kind`` is one of ``hashlib``'s.

    Raises OSError when the file cannot be read.
    """
    check_regular(path)
    facts = path.stat()
    with _ONE_AT_A_TIME:
        return _hash(path, kind, facts.st_size, facts.st_mtime_ns)


def hash_of_folder(folder: Path) -> str:
    """Return the hexadecimal hash of a folder's files: their names in it, and their content.

    Raises OSError when one of them cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{hash_of(path)}\n".encode())
    return digest.hexdigest()


def hash_ahead(path: Path, kind: str = "sha256") -> bool:
    """Begin to hash a large file in a thread, so that ``hash_of`` has less to wait for.

    Tells whether it was begun: a small file, or one that cannot be read, is left to ``hash_of``.
    Hashing VGG16's half gigabyte takes half a second, importing TensorFlow two: both cores are
    used.
    """
    try:
        if path.stat().st_size < _LARGE:
            return False
    except OSError:
        return False
    threading.Thread(target=_quietly, args=(path, kind), daemon=True).start()
    return True


def _quietly(path: Path, kind: str) -> None:
    with contextlib.suppress(OSError):  # whoever asks for the hash hears of it
        hash_of(path, kind)


@functools.cache
def _hash(path: Path, kind: str, size: int, mtime_ns: int) -> str:  # noqa: ARG001  of one state
    digest = hashlib.new(kind, usedforsecurity=False)
    block = memoryview(bytearray(_BLOCK))
    with open_regular(path) as file:
        while count := file.readinto(block):  # type: ignore[attr-defined]
            digest.update(block[:count])
    return digest.hexdigest()
