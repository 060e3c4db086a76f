"""A weights file goes into the variables of the network that it was made for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.models.memory import aligned_zeros, shared

__all__ = ["assign_weights"]


def assign_weights(network: Any, path: Path, name: str) -> None:
    """Read a weights file into ``network``, known to the user as ``name``.

    Files in Keras's older HDF5 layout, which all application weights have, are read straight into
    the memory that the variables keep; every other layout goes through Keras. Raises ModelError
    when the file does not fit.
    """
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                group = file.get("model_weights", file)
                if "layer_names" in group.attrs:
                    _assign_layers(network, group, path)
                    return
        network.load_weights(path)
    except (ValueError, OSError, KeyError, IndexError, AttributeError, TypeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"the weights in {path} do not fit {name}: {first[:200]}",
            "the file must hold the weights of just this model, with its whole head",
        ) from error


def _assign_layers(network: Any, group: Any, path: Path) -> None:
    """Pair the file's layers with the network's by their order, as Keras does."""
    layers = [layer for layer in network.layers if layer.weights]
    names = [_text(name) for name in group.attrs["layer_names"]]
    stored = [group[name] for name in names if len(group[name].attrs["weight_names"])]
    if len(stored) != len(layers):
        raise ValueError(f"{len(stored)} layers with weights, {len(layers)} are needed")
    with path.open("rb") as raw:
        for layer, there in zip(layers, stored, strict=True):
            datasets = [there[_text(name)] for name in there.attrs["weight_names"]]
            if len(datasets) != len(layer.weights):
                raise ValueError(f"layer {layer.name} needs {len(layer.weights)} arrays")
            for variable, dataset in zip(_in_file_order(layer), datasets, strict=True):
                if tuple(variable.shape) != dataset.shape:
                    raise ValueError(
                        f"{variable.path} is {tuple(variable.shape)}, the file has {dataset.shape}"
                    )
                variable.assign(shared(_read(dataset, raw, variable.dtype)))


def _in_file_order(layer: Any) -> list[Any]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _read(dataset: Any, raw: Any, dtype: str) -> NDArray[Any]:
    array = aligned_zeros(dataset.shape, dtype)
    start = dataset.id.get_offset()
    if start is None or dataset.dtype != array.dtype:  # compressed, in chunks, or another type
        array[...] = dataset[()]
        return array
    raw.seek(start)
    if raw.readinto(array.reshape(-1).view(np.uint8)) != array.nbytes:
        raise OSError("the file is cut short")
    return array


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
