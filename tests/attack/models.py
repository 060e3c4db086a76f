"""Crafted and damaged model files, tried by the real command in forks, under watch."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.crafted.files import WEIGHTS, ZIPS, as_hdf5, members, with_config, with_weights, zipped
from tests.crafted.objects import OBJECTS, Json
from tests.crafted.places import PLACES, SHAPES, SPELLINGS, hidden, spelled
from tests.forked import Ended, elsewhere
from tests.mutations import mutate

__all__ = ["MEGABYTES", "SECONDS", "crafted", "outcome"]

SECONDS, MEGABYTES = 30, 500
_AWKWARD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**31, 2**33, 2**70, 1e308, "", "x", "../x", [], {}, [[]], [None]),
    {"class_name": "function", "config": "relu", "module": "builtins"},
    {"class_name": "__tensor__", "config": {"value": [1], "dtype": "float32"}},
    {"class_name": "__numpy__", "config": {"value": [1], "dtype": "object"}},
    {"class_name": "__slice__", "config": {"start": 0, "stop": 2**40, "step": None}},
)


def crafted(rng: random.Random, model: bytes, baits: Path) -> tuple[str, bytes]:
    """Return a model file and what was done to it."""
    return rng.choice(_WAYS)(rng, model, baits)


def outcome(ended: Ended, folder: Path) -> str:
    """Return in a few words how a command ended; those in capitals must not happen."""
    if elsewhere(ended, folder):
        return "ELSEWHERE: touched what is not its own"
    if ended.hung:
        return "HANG: ended after its time"
    if ended.megabytes > MEGABYTES:
        return "MEMORY: took too much"
    words = [line.split(" ")[0] for line in ended.err.splitlines()]
    if ended.code < 0 or ended.code > 128:
        return "CRASH: by a signal"
    if ended.code == 70:
        return "BUG: exit 70"
    if ended.code == 0:
        return "warned" if "warning:" in words else "done"
    if ended.code in (3, 4):
        return "failed pictures"
    if ended.code == 2 and words[-2:] == ["error:", "hint:"] and "Traceback" not in ended.err:
        return "refused in one sentence"
    return f"OTHER: exit {ended.code}"


def _object(rng: random.Random, model: bytes, baits: Path) -> tuple[str, bytes]:
    name, place = rng.choice(list(OBJECTS)), rng.choice(list(PLACES))
    put: Callable[[Json], None] = partial(hidden, name=name, place=place, baits=baits)
    what = f"{name}-{place}"
    if rng.random() < 0.5:
        spelling = rng.choice(list(SPELLINGS))
        put = partial(spelled, name=name, spelling=spelling, place=place, baits=baits)
        what += f"-{spelling}"
    if rng.random() < 0.3:
        return f"{what}-hdf5", as_hdf5(model, put)
    return what, with_config(model, put)


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a configuration, as what holds it and its key."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _nodes(inner)


def _configuration(rng: random.Random, model: bytes, _: Path) -> tuple[str, bytes]:
    """Put awkward values at random places, drop some, exchange or nest others."""

    def change(config: Json) -> None:
        for _ in range(rng.choice((1, 1, 2, 4))):
            nodes = list(_nodes(config))
            holder, key = rng.choice(nodes)
            way = rng.randrange(4)
            if way == 0 and isinstance(holder, dict):
                del holder[key]
            elif way == 1:
                other, place = rng.choice(nodes)
                holder[key] = json.loads(json.dumps(other[place]))
            elif way == 2:
                holder[key] = [holder[key]] if rng.random() < 0.5 else {"config": holder[key]}
            else:
                holder[key] = json.loads(json.dumps(rng.choice(_AWKWARD)))

    if rng.random() < 0.3:
        return "configuration-hdf5", as_hdf5(model, change)
    return "configuration", with_config(model, change)


def _shape(rng: random.Random, model: bytes, _: Path) -> tuple[str, bytes]:
    name = rng.choice(list(SHAPES))
    if rng.random() < 0.3:
        return f"{name}-hdf5", as_hdf5(model, SHAPES[name])
    return name, with_config(model, SHAPES[name])


def _weights(rng: random.Random, model: bytes, baits: Path) -> tuple[str, bytes]:
    name = rng.choice(list(WEIGHTS))
    return name, with_weights(model, WEIGHTS[name], baits)


def _zip(rng: random.Random, model: bytes, baits: Path) -> tuple[str, bytes]:
    name = rng.choice(list(ZIPS))
    return name, ZIPS[name](members(model), baits)


def _structure(rng: random.Random, model: bytes, baits: Path) -> tuple[str, bytes]:
    """Change attributes, shapes and types, and what hangs where, in a file of weights."""

    def change(file: h5py.File, _: Path) -> None:
        names: list[str] = []
        file.visit(names.append)
        for _place in range(rng.choice((1, 2, 3))):
            name = rng.choice(names)
            if name not in file:
                continue
            way = rng.randrange(4)
            if way == 0:
                del file[name]
            elif way == 1:
                del file[name]
                shape = rng.choice([(), (0,), (3,), (1, 2**20), (3, 3, 3, 4)])
                file.create_dataset(name, shape, rng.choice(["f4", "f8", "i1", "S3", "c8", "?"]))
            elif way == 2:
                file[name].attrs[rng.choice(["name", "weight_names", "x"])] = rng.choice(
                    [np.zeros(3), b"\xff", "x" * 1000, np.asarray([b"a", b"b"])]
                )
            else:
                file[f"{name}_again"] = file[rng.choice([one for one in names if one in file])]

    return "structure", with_weights(model, change, baits)


def _bytes(rng: random.Random, model: bytes, _: Path) -> tuple[str, bytes]:
    """Damage the zip file, the HDF5 file inside it, or an HDF5 file of its own."""
    which = rng.choice(("zip", "member", "hdf5"))
    if which == "zip":
        return "bytes-zip", mutate(rng, model)
    if which == "hdf5":
        return "bytes-hdf5", mutate(rng, as_hdf5(model, lambda _: None))
    files = members(model)
    name = rng.choice(list(files))
    return f"bytes-{name}", zipped(files | {name: mutate(rng, files[name])})


def _values(rng: random.Random, model: bytes, baits: Path) -> tuple[str, bytes]:
    """Fill weights with numbers that no training leaves."""
    value = rng.choice([np.nan, np.inf, -np.inf, 3e38, 1e-45])

    def change(file: h5py.File, _: Path) -> None:
        file.visititems(
            lambda _, item: (
                item.write_direct(np.full(item.shape, value, item.dtype))
                if isinstance(item, h5py.Dataset) and item.size and item.dtype.kind == "f"
                else None
            )
        )

    return f"values-{value}", with_weights(model, change, baits)


_WAYS: tuple[Callable[[random.Random, bytes, Path], tuple[str, bytes]], ...] = (
    *(_object, _object, _object, _object, _configuration, _configuration, _configuration),
    *(_shape, _weights, _zip, _structure, _bytes, _bytes, _values),
)
