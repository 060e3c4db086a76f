"""Weights grouped as Keras 2 did in a ``.keras`` file become grouped as Keras 3 looks for them.

Both name a layer's group after its class, with a number for the second and later ones. Keras 3
numbers the layers in its own order, Keras 2 in the order of the configuration. Keras 2.12 to 2.14
called the groups ``_layer_checkpoint_dependencies``, on Windows put backslashes between them, and
counted a layer that has weights once or twice. So no numbering is assumed: of the groups of one
class that hold weights, the first belongs to the first layer, and so on; there must be as many of
one as of the other, and the shapes must fit.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import h5py

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.container import WEIGHTS, member

_SAVE_AGAIN = "in the environment that saved it, save the model again as .h5"
_OLD, _NEW, _FRESH = "_layer_checkpoint_dependencies", "layers", "_regrouped"


def keras_2_groups(path: Path) -> bool:
    """Return whether a ``.keras`` file holds HDF5 weights in groups of layers."""
    with zipfile.ZipFile(path) as zipped:
        if WEIGHTS not in zipped.namelist():
            return False
        with member(zipped, WEIGHTS) as weights, h5py.File(weights, "r") as file:
            return any(name.startswith((_OLD, _NEW)) for name in file)


def regroup(weights: Path, network: Any, config: dict[str, Any]) -> int:
    """Rename the groups of a file of weights for a network built from ``config``; return how many.

    The file is changed: it must be a copy. Raises ModelError when the groups do not fit the layers.
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
    serialised = {_name(one): one.get("config", {}) for one in config["layers"]}
    names = [name for name in serialised if name in layers]
    old = _paired(group[root], [layers[name] for name in names])
    new = _numbered(list(model.layers))
    fresh = group.create_group(_FRESH)
    moved = 0
    for name in names:
        if name not in old or new[name] in fresh:
            continue
        moved += old[name] != new[name] and bool(layers[name].weights)
        fresh[new[name]] = group[root][old[name]]
        if "layers" in serialised[name]:
            moved += _regroup_model(fresh[new[name]], layers[name], serialised[name])
    del group[root]
    group.move(_FRESH, _NEW)
    return moved


def _paired(stored: h5py.Group, layers: list[Any]) -> dict[str, str]:
    """Return the group of each layer that has weights; raise ModelError where they do not fit."""
    by_class: dict[str, list[Any]] = {}
    for layer in layers:
        if layer.weights:
            by_class.setdefault(_snake_case(type(layer).__name__), []).append(layer)
    pairs: dict[str, str] = {}
    for class_name, alike in by_class.items():
        numbered = {
            int(found[1] or 0): name
            for name in stored
            if (found := re.fullmatch(rf"{re.escape(class_name)}(?:_(\d+))?", name))
            and _shapes(stored[name])
        }
        groups = [numbered[number] for number in sorted(numbered)]
        if len(groups) != len(alike):
            raise ModelError(
                f"the file holds weights for {len(groups)} {type(alike[0]).__name__} layers, its "
                f"configuration has {len(alike)}",
                _SAVE_AGAIN,
            )
        for layer, name in zip(alike, groups, strict=True):
            needed = Counter(tuple(weight.shape) for weight in layer.weights)
            if needed - _shapes(stored[name]):
                raise ModelError(
                    f"the weights in the group {name!r} of the file do not fit layer "
                    f"{layer.name!r}",
                    _SAVE_AGAIN,
                )
            pairs[layer.name] = name
    return pairs


def _shapes(group: h5py.Group) -> Counter[tuple[int, ...]]:
    """Return the shapes of all arrays in a group and in the groups inside it."""
    found: Counter[tuple[int, ...]] = Counter()

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[tuple(item.shape)] += 1

    group.visititems(visit)
    return found


def _name(layer: dict[str, Any]) -> str:
    return str(layer.get("name") or layer["config"].get("name"))


def _numbered(layers: list[Any]) -> dict[str, str]:
    """Return the name of the group in which Keras 3 looks for each layer."""
    used: Counter[str] = Counter()
    groups: dict[str, str] = {}
    for layer in layers:
        name = _snake_case(type(layer).__name__)
        groups[layer.name] = f"{name}_{used[name]}" if used[name] else name
        used[name] += 1
    return groups


def _snake_case(name: str) -> str:
    """Return a class name as Keras writes it in the names of groups: Conv2D becomes conv2d."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
