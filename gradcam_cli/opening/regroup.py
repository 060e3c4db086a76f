"""Weights grouped as Keras 2 did in a ``.keras`` file become grouped as Keras 3 looks for them.

Both name a layer's group after its class, with a number for the second and later ones. Keras 3
numbers the layers in its own order; Keras 2.15 in the order of the configuration; and Keras 2.12
to 2.14 counted a layer that has weights twice, called the groups ``_layer_checkpoint_dependencies``
and on Windows put backslashes between them.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import h5py

__all__ = ["keras_2_groups", "regroup"]

_OLD, _NEW, _FRESH = "_layer_checkpoint_dependencies", "layers", "_regrouped"


def keras_2_groups(path: Path) -> bool:
    """Tell whether a ``.keras`` file holds HDF5 weights in groups of layers."""
    with zipfile.ZipFile(path) as zipped:
        if "model.weights.h5" not in zipped.namelist():
            return False
        with zipped.open("model.weights.h5") as member, h5py.File(member, "r") as file:
            return any(name.startswith((_OLD, _NEW)) for name in file)


def regroup(weights: Path, network: Any, config: dict[str, Any]) -> int:
    """Rename the groups of a file of weights for a network built from ``config``; return how many.

    The file is changed: it must be a copy.
    """
    with h5py.File(weights, "r+") as file:
        for name in sorted(file, key=lambda name: (name.count("\\"), name)):
            if "\\" in name:
                target = name.replace("\\", "/")
                file.require_group(target.rpartition("/")[0])
                file.move(name, target)
        return _regroup_model(file, network, config["config"])


def _regroup_model(group: h5py.Group, model: Any, config: dict[str, Any]) -> int:
    root = _OLD if _OLD in group else _NEW
    if root not in group:
        return 0
    layers = {layer.name: layer for layer in model.layers}
    names = [_name(layer) for layer in config["layers"]]
    old = _numbered([layers[name] for name in names if name in layers], twice=root == _OLD)
    new = _numbered(list(model.layers), twice=False)
    fresh = group.create_group(_FRESH)
    moved = 0
    for layer, serialised in ((layers.get(_name(one)), one) for one in config["layers"]):
        if layer is None or old[layer.name] not in group[root]:
            continue
        moved += old[layer.name] != new[layer.name] and bool(layer.weights)
        if new[layer.name] in fresh:
            continue
        fresh[new[layer.name]] = group[root][old[layer.name]]
        if "layers" in serialised.get("config", {}):
            moved += _regroup_model(fresh[new[layer.name]], layer, serialised["config"])
    del group[root]
    group.move(_FRESH, _NEW)
    return moved


def _name(layer: dict[str, Any]) -> str:
    return str(layer.get("name") or layer["config"].get("name"))


def _numbered(layers: list[Any], twice: bool) -> dict[str, str]:
    """Return a group's name for each layer; ``twice`` counts those with weights two times."""
    used: Counter[str] = Counter()
    groups: dict[str, str] = {}
    for layer in layers:
        word = _snake_case(type(layer).__name__)
        groups[layer.name] = f"{word}_{used[word]}" if used[word] else word
        used[word] += 2 if twice and layer.weights else 1
    return groups


def _snake_case(name: str) -> str:
    """Return a class name as Keras writes it in the names of groups: Conv2D becomes conv2d."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
