"""A weights file goes into the variables of the network that it was made for."""

from __future__ import annotations

import itertools
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
from gradcam_cli.keras_files.oldweights import assign_converted, written_by_theano

__all__ = ["assign_weights"]

_BLOCK = 16 << 20


def assign_weights(network: Any, path: Path, name: str) -> None:
    """Read a weights file into ``network``, known to the user as ``name``.

    Files in Keras's older HDF5 layout, which all application weights have, are read straight into
    the memory that the variables keep; every other layout goes through Keras. What a file is, is
    told by its content. Raises ModelError when the file cannot be read or does not fit.
    """
    try:
        if h5py.is_hdf5(path):
            with bounded_text(), open_hdf5(path) as file:
                group = file if _names(file, "layer_names") else file.get("model_weights", file)
                if written_by_theano(group):
                    assign_converted(network, group, "Theano")
                    return
                if _names(group, "layer_names"):
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
    """Pair the file's layers with the network's by their order, as Keras does."""
    layers = [layer for layer in network.layers if layer.weights]
    stored = [group[name] for name in _names(group, "layer_names")]
    stored = [there for there in stored if _names(there, "weight_names")]
    if len(stored) != len(layers):
        raise ValueError(f"{len(stored)} layers with weights, {len(layers)} are needed")
    with path.open("rb") as raw:
        for layer, there in zip(layers, stored, strict=True):
            datasets = [there[name] for name in _names(there, "weight_names")]
            if len(datasets) != len(layer.weights):
                raise ValueError(f"layer {layer.name} needs {len(layer.weights)} arrays")
            for variable, dataset in zip(_in_file_order(layer), datasets, strict=True):
                if tuple(variable.shape) != dataset.shape:
                    raise ValueError(
                        f"{variable.path} is {tuple(variable.shape)}, the file has {dataset.shape}"
                    )
                variable.assign(shared(_read(dataset, raw, variable.dtype)))
            if hasattr(layer, "finalize_state"):  # Normalization works with what it derives here
                layer.finalize_state()


def _in_file_order(layer: Any) -> list[Any]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _read(dataset: Any, raw: BinaryIO, dtype: str) -> NDArray[Any]:
    array = aligned_zeros(dataset.shape, dtype)
    start = dataset.id.get_offset()
    if start is None or dataset.dtype != array.dtype:  # compressed, in chunks, or another type
        array[...] = dataset[()]
        return array
    if _fill(array.reshape(-1).view(np.uint8).data, raw, start) != array.nbytes:
        raise OSError("the file is cut short")
    return array


def _fill(room: memoryview, raw: BinaryIO, start: int) -> int:
    """Read from ``start`` on until ``room`` is full, and return how many bytes there were.

    Of a large array most of the time goes into touching memory first, which threads share.
    """
    if len(room) <= _BLOCK or not hasattr(os, "preadv"):
        raw.seek(start)
        return raw.readinto(room)  # type: ignore[attr-defined,no-any-return]

    def read(first: int) -> int:
        part, done = room[first : first + _BLOCK], 0
        while got := os.preadv(raw.fileno(), [part[done:]], start + first + done):
            done += got
        return done

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(read, range(0, len(room), _BLOCK)))


def _names(group: Any, kind: str) -> list[str]:
    """Return a list among a group's attributes, which Keras cuts into pieces where it is long."""
    pieces = (f"{kind}{place}" for place in itertools.count())
    keys = [kind, *itertools.takewhile(group.attrs.__contains__, pieces)]
    names = [name for key in keys if key in group.attrs for name in group.attrs[key]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
