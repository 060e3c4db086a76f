"""Where the ImageNet weights of a named model lie on this machine, if they do."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from gradcam_cli.models import digest
from gradcam_cli.models.catalog import EMBEDDED, Entry
from gradcam_cli.models.torchfile import weights_file


def cache_folder() -> Path:
    """Return Keras's own cache of downloaded files: ``KERAS_HOME``, or ``~/.keras``.

    Where the home cannot be written, it is ``.keras`` in the folder of temporary files.
    """
    home = os.environ.get("KERAS_HOME")
    if home:
        return Path(home).expanduser()
    with contextlib.suppress(RuntimeError):  # a user without a home
        if os.access(Path.home(), os.W_OK):
            return Path.home() / ".keras"
    return Path(tempfile.gettempdir()) / ".keras"


def is_installed(entry: Entry) -> bool:
    """Return whether the weights came with the package, so that there is nothing to download."""
    return entry.name == EMBEDDED and weights_file() is not None


def cached_file(entry: Entry) -> Path | None:
    """Return the weights' file where it is on this machine; its content is not checked."""
    if entry.name == EMBEDDED:
        return weights_file()
    path = cache_folder() / "models" / entry.weights_file
    try:
        return path if path.is_file() and path.stat().st_size else None
    except OSError:  # a folder that may not be read
        return None


def hash_ahead(entry: Entry) -> None:
    """Begin to hash a model's cached weights, so that ``fetch`` has less to wait for."""
    path = cached_file(entry)
    if path is not None and entry.weights_hash:
        digest.hash_ahead(path, _kind(entry))


def file_hash(path: Path, entry: Entry) -> str:
    """Return a file's hash, of the kind that Keras publishes for the model's weights."""
    return digest.hash_of(path, _kind(entry))


def _kind(entry: Entry) -> str:
    return "sha256" if len(entry.weights_hash) == 64 else "md5"  # hexadecimal digits
