"""A weights file goes into the variables of the network that it was made for."""

from __future__ import annotations

import os
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.container import WEIGHTS, unpacked
from gradcam_cli.keras_files.hdf5 import bounded_text, open_hdf5
from gradcam_cli.keras_files.link import named
from gradcam_cli.keras_files.memory import aligned_zeros, shared, sharing
from gradcam_cli.keras_files.oldweights import (
    assign_converted,
    check_fit,
    names_in,
    stored_layers,
    written_by_theano,
)

_BLOCK = 16 << 20


def assign_weights(network: Any, path: Path, name: str) -> None:
    """Read a weights file into ``network``, known to the user as ``name``.

    Files in Keras's older HDF5 layout, which all application weights have, are read straight into
    the memory that the variables keep; every other layout goes through Keras. What a file is, is
    decided by its content. Raises ModelError when the file cannot be read or does not fit.
    """
    try:
        if h5py.is_hdf5(path):
            with bounded_text(), open_hdf5(path) as file:
                group = file if names_in(file, "layer_names") else file.get("model_weights", file)
                if written_by_theano(group):
                    assign_converted(network, group, "Theano")
                    return
                if names_in(group, "layer_names"):
                    _assign_layers(network, group, path)
                    return
            _load_by_keras(network, path)
        elif zipfile.is_zipfile(path):
            with unpacked(path, WEIGHTS) as weights:
                _load_by_keras(network, weights)
        else:
            raise OSError("it is neither an HDF5 file nor a .keras archive")
    except (MemoryError, ModelError):
        raise
    except Exception as error:  # h5py and zipfile have many of their own for a damaged file
        misfit = isinstance(error, (ValueError, KeyError, AttributeError, TypeError))
        raise ModelError(
            f"the weights in {path} {f'do not fit {name}' if misfit else 'cannot be read'}: "
            f"{_reason(error)}",
            "the file must hold the weights of just this model, with its whole head",
        ) from error


def _reason(error: Exception) -> str:
    """Return a line of at most 200 characters; Keras puts what happened behind an introduction."""
    text = str(error).rpartition("Example error message for object ")[2]
    return " ".join(text.split())[:200] or type(error).__name__


def _load_by_keras(network: Any, path: Path) -> None:
    """Load a file, whatever it is called: Keras goes by the name's ending."""
    with bounded_text(), named(path, WEIGHTS) as link, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not fit raises an error as well
        with sharing():
            network.load_weights(link)


def _assign_layers(network: Any, group: Any, path: Path) -> None:
    """Read the arrays of a file's layers into the network's, each straight from its place."""
    with path.open("rb") as raw:
        for layer, datasets in stored_layers(network, group):
            variables = [*layer.trainable_weights, *layer.non_trainable_weights]
            if len(datasets) != len(variables):
                raise ValueError(f"layer {layer.name} needs {len(variables)} arrays")
            for variable, dataset in zip(variables, datasets, strict=True):
                check_fit(variable, dataset)
                variable.assign(shared(_read(dataset, raw, variable.dtype)))
            if hasattr(layer, "finalize_state"):  # Normalization works with what it derives here
                layer.finalize_state()


def _read(dataset: Any, raw: BinaryIO, dtype: str) -> NDArray[Any]:
    array = aligned_zeros(dataset.shape, dtype)
    start = dataset.id.get_offset()
    if start is None or dataset.dtype != array.dtype:  # compressed, in chunks, or another type
        array[...] = dataset[()]
        return array
    if _fill(array.reshape(-1).view(np.uint8).data, raw, start) != array.nbytes:
        raise OSError("the file is cut short")
    return array


def _fill(target: memoryview, raw: BinaryIO, start: int) -> int:
    """Read from ``start`` on until ``target`` is full, and return how many bytes there were.

    Of a large array most of the time goes into touching memory first, which threads share.
    """
    if len(target) <= _BLOCK or not hasattr(os, "preadv"):
        raw.seek(start)
        return raw.readinto(target)  # type: ignore[attr-defined,no-any-return]

    def read(first: int) -> int:
        part, done = target[first : first + _BLOCK], 0
        while got := os.preadv(raw.fileno(), [part[done:]], start + first + done):
            done += got
        return done

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(read, range(0, len(target), _BLOCK)))
