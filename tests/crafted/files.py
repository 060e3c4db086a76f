"""Model files whose weights point elsewhere, and zip files that are not what they say."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.crafted.objects import Json
from tests.crafted.places import hidden

__all__ = ["WEIGHTS", "ZIPS", "as_hdf5", "members", "with_config", "with_weights", "zipped"]


def _replaced(file: h5py.File, make: Callable[[h5py.Group, str], None]) -> None:
    """Put something else in the place of the kernel of the convolution."""
    found: list[str] = []
    file.visititems(
        lambda name, item: (
            found.append(name)
            if isinstance(item, h5py.Dataset) and item.shape == (3, 3, 3, 4)
            else None
        )
    )
    group, _, name = found[0].rpartition("/")
    parent = file[group]
    del parent[name]
    make(parent, name)


def _external(baits: Path) -> Callable[[h5py.Group, str], None]:
    def make(group: h5py.Group, name: str) -> None:
        where = [(os.fspath(baits / "secret.bin"), 0, 108 * 4)]
        group.create_dataset(name, (3, 3, 3, 4), "f4", external=where)

    return make


def _virtual(baits: Path) -> Callable[[h5py.Group, str], None]:
    def make(group: h5py.Group, name: str) -> None:
        layout = h5py.VirtualLayout((3, 3, 3, 4), "f4")
        source = h5py.VirtualSource(os.fspath(baits / "other.weights.h5"), "x", (3, 3, 3, 4))
        layout[...] = source
        group.create_virtual_dataset(name, layout)

    return make


def _linked(baits: Path) -> Callable[[h5py.Group, str], None]:
    def make(group: h5py.Group, name: str) -> None:
        group[name] = h5py.ExternalLink(os.fspath(baits / "other.weights.h5"), "/x")

    return make


def _first_group(file: h5py.File, link: Any) -> None:
    name = next(iter(file))
    del file[name]
    file[name] = link


def _attribute_of(file: h5py.File, count: int) -> None:
    file.attrs["layer_names"] = np.asarray([b"x"] * count)


WEIGHTS: dict[str, Callable[[h5py.File, Path], None]] = {
    "external-link": lambda f, b: _replaced(f, _linked(b)),
    "external-link-of-a-group": lambda f, b: _first_group(
        f, h5py.ExternalLink(os.fspath(b / "other.weights.h5"), "/layers")
    ),
    "cve-2026-1669-external-storage": lambda f, b: _replaced(f, _external(b)),
    "virtual-dataset": lambda f, b: _replaced(f, _virtual(b)),
    "soft-link": lambda f, _: _replaced(
        f, lambda group, name: group.__setitem__(name, h5py.SoftLink("/nowhere"))
    ),
    "soft-link-to-itself": lambda f, _: _first_group(f, h5py.SoftLink("/")),
    "hard-link-round": lambda f, _: f[next(iter(f))].__setitem__("round", f["/"]),
    "cve-2026-0897-shape": lambda f, _: _replaced(
        f,
        lambda group, name: (
            group.create_dataset(name, (2**33, 3, 3, 4), "f4", chunks=(1, 3, 3, 4)) and None
        ),
    ),
    "strings": lambda f, _: _replaced(
        f, lambda group, name: group.__setitem__(name, np.asarray([b"a"] * 108).reshape(3, 3, 3, 4))
    ),
    "a-group": lambda f, _: _replaced(f, lambda group, name: group.create_group(name) and None),
    "references": lambda f, _: _replaced(
        f, lambda group, name: group.create_dataset(name, (3, 3, 3, 4), h5py.ref_dtype) and None
    ),
    "many-names": lambda f, _: _attribute_of(f, 1000),
}


def members(model: bytes) -> dict[str, bytes]:
    """Return the files in a ``.keras`` file."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip file."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return body.getvalue()


def with_weights(model: bytes, change: Callable[[h5py.File, Path], None], baits: Path) -> bytes:
    """Return a ``.keras`` file whose weights were changed."""
    files = members(model)
    body = io.BytesIO(files["model.weights.h5"])
    with h5py.File(body, "r+") as file:
        change(file, baits)
    return zipped(files | {"model.weights.h5": body.getvalue()})


def with_config(model: bytes, change: Callable[[Json], None]) -> bytes:
    """Return a ``.keras`` file whose configuration was changed."""
    files = members(model)
    config = json.loads(files["config.json"])
    change(config)
    return zipped(files | {"config.json": json.dumps(config).encode()})


def as_hdf5(model: bytes, change: Callable[[Json], None], also: Any = None) -> bytes:
    """Return a model as one HDF5 file, changed; ``also`` changes the open file."""
    files = members(model)
    config = json.loads(files["config.json"])
    change(config)
    body = io.BytesIO(files["model.weights.h5"])
    with h5py.File(body, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "3.10.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"conv", b"dense"]
        for name in ("conv", "dense"):
            _old_layer(group, name, file)
        if also is not None:
            also(file)
        for name in ("layers", "vars"):
            file.pop(name, None)
    return body.getvalue()


def _old_layer(group: h5py.Group, name: str, file: h5py.File) -> None:
    stored = next(one for key, one in file["layers"].items() if key.startswith(name[:4]))
    inner = group.create_group(name)
    inner.attrs["weight_names"] = [b"kernel", b"bias"]
    for weight, number in (("kernel", "0"), ("bias", "1")):
        inner[weight] = stored["vars"][number][()]


def _twice(files: dict[str, bytes], evil: Json) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.NameToInfo.pop("config.json")  # or zipfile would warn
        archive.writestr("config.json", json.dumps(evil).encode())
    return body.getvalue()


def _link_member(files: dict[str, bytes], target: Path) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            if name == "model.weights.h5":
                info.external_attr = 0o120777 << 16
                data = os.fspath(target).encode()
            archive.writestr(info, data)
    return body.getvalue()


def _flagged(model: bytes) -> bytes:
    """Say of every member that it is encrypted."""
    data = bytearray(model)
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(sign)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(sign, at + 4)
    return bytes(data)


def _twice_lambda(files: dict[str, bytes], baits: Path) -> bytes:
    config = json.loads(files["config.json"])
    hidden(config, "cve-2024-3660-lambda", "layer", baits)
    return _twice(files, config)


def _of_keras_2(files: dict[str, bytes], baits: Path) -> bytes:
    """A file of Keras 2.15 whose weights are linked: their groups are renamed in a copy."""
    metadata = {"metadata.json": b'{"keras_version": "2.15.0"}'}
    return with_weights(zipped(files | metadata), _renamed_link, baits)


def _renamed_link(file: h5py.File, baits: Path) -> None:
    del file["layers"]
    link = h5py.ExternalLink(os.fspath(baits / "other.weights.h5"), "/layers")
    file["_layer_checkpoint_dependencies"] = link
    file["layers\\x"] = h5py.ExternalLink(os.fspath(baits / "other.weights.h5"), "/")


def _bomb(name: str, start: bytes, size: int) -> Callable[[dict[str, bytes], Path], bytes]:
    def make(files: dict[str, bytes], _: Path) -> bytes:
        return zipped(files | {name: start * (size // len(start))}, zipfile.ZIP_DEFLATED)

    return make


def _metadata(value: Any) -> Callable[[dict[str, bytes], Path], bytes]:
    return lambda files, _: zipped(files | {"metadata.json": json.dumps(value).encode()})


ZIPS: dict[str, Callable[[dict[str, bytes], Path], bytes]] = {
    "outside-members": lambda f, b: zipped(
        {"../../baits/made/escaped": b"x", f"{b}/made/escaped": b"x", **f, "assets/../../x": b"x"}
    ),
    "two-configurations": _twice_lambda,
    "linked-weights": lambda f, b: _link_member(f, b / "other.weights.h5"),
    "encrypted": lambda f, _: _flagged(zipped(f)),
    "of-keras-2-with-links": _of_keras_2,
    "npz": lambda f, _: zipped(
        {k: v for k, v in f.items() if k != "model.weights.h5"} | {"model.weights.npz": b"PK"}
    ),
    "npz-pickled": lambda f, _: zipped(
        {k: v for k, v in f.items() if k != "model.weights.h5"}
        | {"model.weights.npz": zipped({"a.npy": b"\x93NUMPY\x01\x00v\x00{'descr':'|O'}"})}
    ),
    "brackets": _bomb("config.json", b"[", 3 * 2**20),
    "deep-objects": _bomb("config.json", b'{"config":', 2**20),
    "metadata-list": _metadata([1]),
    "metadata-null": _metadata(None),
    "metadata-number": _metadata(1),
    "metadata-version-object": _metadata({"keras_version": {"class_name": "x"}}),
    "metadata-brackets": _bomb("metadata.json", b"[", 2**20),
    "zero-weights": _bomb("model.weights.h5", b"\0", 2**26),
    "endless-number": lambda f, _: zipped(
        f | {"config.json": b'{"class_name": ' + b"9" * 10**6 + b"}"}
    ),
    "not-utf-8": lambda f, _: zipped(f | {"config.json": b'{"class_name": "\xff"}'}),
}
