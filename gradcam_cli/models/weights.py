"""Where the ImageNet weights of a named model lie on this machine, if they do."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from gradcam_cli.models.catalog import EMBEDDED, Entry
from gradcam_cli.models.torchfile import weights_file

__all__ = ["cache_folder", "cached_file", "file_hash", "is_installed", "is_whole"]


def cache_folder() -> Path:
    """Return Keras's own cache of downloaded files: ``KERAS_HOME``, or ``~/.keras``."""
    home = os.environ.get("KERAS_HOME")
    if home:
        return Path(home)
    base = Path.home()
    return (base if os.access(base, os.W_OK) else Path(tempfile.gettempdir())) / ".keras"


def is_installed(entry: Entry) -> bool:
    """Tell whether the weights came with the package, so that there is nothing to download."""
    return entry.name == EMBEDDED and weights_file() is not None


def cached_file(entry: Entry) -> Path | None:
    """Return the weights' file where it is on this machine; its content is not looked at."""
    if entry.name == EMBEDDED:
        return weights_file()
    path = cache_folder() / "models" / entry.weights_file
    return path if path.is_file() and path.stat().st_size else None


def is_whole(path: Path, entry: Entry) -> bool:
    """Tell whether a file has the hash that Keras publishes (MD5 or SHA-256, by its length)."""
    if not entry.weights_hash:
        return True
    return file_hash(path, entry) == entry.weights_hash


def file_hash(path: Path, entry: Entry) -> str:
    """Return a file's hash, of the kind that Keras publishes for the model's weights."""
    sha = len(entry.weights_hash) == 64  # hexadecimal digits of a SHA-256
    digest = hashlib.sha256() if sha else hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
