"""Names in a manifest become files and addresses, and only those that stay inside the folder do."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from urllib.parse import quote


def address(name: str) -> str:
    """Return the relative URL of a file in the output folder, '' for what may not be linked.

    A manifest is a file that anybody can write: only names that stay inside the folder are
    believed, read as POSIX or as Windows would. Names of any bytes are percent-encoded.
    """
    path = PurePosixPath(name)
    strange = any(sign in name for sign in "\\:\0")
    if not path.name or path.is_absolute() or ".." in path.parts or strange:
        return ""
    try:
        return quote(os.fsencode(path.as_posix()))
    except UnicodeEncodeError:  # half of a surrogate pair, which no file's name is
        return ""


def inside(name: str, folder: Path) -> Path | None:
    """Return the path of a file in the output folder; None where it is not there, or leads out."""
    if not address(name):
        return None
    try:
        root = os.path.realpath(folder, strict=True)
        path = os.path.realpath(os.path.join(root, name), strict=True)  # noqa: PTH118  often called
    except OSError:
        return None
    return Path(path) if path.startswith(os.path.join(root, "")) else None  # noqa: PTH118


def way_to(target: Path, page: Path) -> str:
    """Return the relative URL of a file or folder as seen from the page."""
    try:
        way = os.path.relpath(target, os.path.dirname(page))  # noqa: PTH120  often called
        return quote(os.fsencode(way.replace(os.sep, "/")))
    except (ValueError, UnicodeEncodeError):  # on another drive of Windows
        return ""
