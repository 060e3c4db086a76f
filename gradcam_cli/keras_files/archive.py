"""A model file becomes what it holds: its container by content, its configuration, its Keras."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.bounded import (
    limited_hdf5,
    parsed,
    read_attribute,
    read_member,
)
from gradcam_cli.keras_files.container import check_weights, open_zip
from gradcam_cli.keras_files.foreign import damaged, folder, foreign, foreign_zip, weights_only
from gradcam_cli.keras_files.hdf5 import open_hdf5
from gradcam_cli.keras_files.schema import check_metadata, check_shape
from gradcam_cli.regular import open_regular, read_bounded, readable
from gradcam_cli.text import NotTextError, decoded


@dataclass(frozen=True, slots=True)
class Archive:
    """An opened model file: where it is, how it is packed, and its configuration as JSON values.

    ``weights_only`` says that the configuration came from another file.
    """

    path: Path
    container: Literal["keras", "hdf5"]
    config: dict[str, Any]
    keras_version: str
    weights_only: bool = False


def read_archive(path: Path) -> Archive:
    """Read a model file's configuration; nothing in the file is executed.

    Neither does anything in it lead to another file from then on: ``open_zip`` and ``open_hdf5``
    have gone through all of it, so whoever reads the weights later, Keras too, stays inside.

    The container is recognised by content, not by name. Raises ModelError for anything that is not
    a whole Keras model in one file, saying what it is instead and what helps.
    """
    start = _beginning(path)
    if start.startswith(b"PK\x03\x04"):
        return _read_zip(path)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_hdf5(path)
    raise foreign(path, start)


def read_pair(path: Path, architecture: Path) -> Archive:
    """Read a configuration from a JSON file, for the weights in an HDF5 file.

    Raises ModelError when either file is something else.
    """
    start = _beginning(path)
    if not start.startswith(b"\x89HDF\r\n\x1a\n"):
        raise (
            foreign(path, start)
            if not start.startswith(b"PK")
            else ModelError(
                f"{path} is not an HDF5 file of weights",
                "--architecture goes with weights saved by model.save_weights('x.weights.h5')",
            )
        )
    try:
        with open_hdf5(path) as file:
            whole = "model_config" in file.attrs
    except (OSError, RuntimeError):
        raise damaged(path) from None
    if whole:
        raise ModelError(f"{path} holds a whole model already", "leave out --architecture")
    config = _architecture(architecture)
    if not (isinstance(config, dict) and "class_name" in config and "config" in config):
        raise ModelError(
            f"{architecture} is not an architecture of a Keras model",
            "--architecture takes the JSON that model.to_json() gives",
        )
    check_shape(config, architecture, "it")
    version = str(config.get("keras_version", ""))
    return Archive(path, "hdf5", config, version, weights_only=True)


def _architecture(path: Path) -> Any:
    """Return a JSON file's value, None if it holds something else."""
    with readable(path, "--architecture", "it takes the JSON that model.to_json() gives"):
        data = read_bounded(path, "--architecture")
    try:
        text = decoded(data)
    except NotTextError as error:
        raise ModelError(
            f"{path} is not an architecture of a Keras model: line {error.line} is {error.reason}",
            "--architecture takes the JSON that model.to_json() gives, saved as UTF-8",
        ) from None
    if re.search(r"^class_name:", text, re.MULTILINE):
        raise ModelError(
            f"{path} is YAML, which Keras has not read since 2.6",
            'make it JSON: pip install pyyaml, then python -c "import json, yaml; '
            f'print(json.dumps(yaml.full_load(open({str(path)!r}))))" > model.json',
        )
    try:
        config = parsed(text, path, "it")
    except ValueError:
        return None
    if isinstance(config, dict) and config.get("name") in ("Sequential", "Graph"):
        raise ModelError(
            f"{path} was written by Keras 0, before 2016",
            "build the model anew with the layers it lists, load the weights and save it whole",
        )
    return config


def _beginning(path: Path) -> bytes:
    """Return the first 4 KiB of a file that there is something in."""
    if path.is_dir():
        raise folder(path)
    hint = "it takes a .keras or .h5 file"
    with readable(path, "--model", hint), open_regular(path, "--model") as file:
        start = file.read(4096)
    if not start:
        raise ModelError(f"{path} is empty", "copy or download the model file again")
    return start


def _read_zip(path: Path) -> Archive:
    try:
        with open_zip(path) as archive:
            names = set(archive.namelist())
            if "config.json" not in names:
                raise foreign_zip(path, names)
            if not any(name.startswith("model.weights") for name in names):
                hint = "save the model again: model.save('x.keras')"
                raise ModelError(f"{path} holds no weights", hint)
            config = _json(archive, "config.json", path)
            metadata = _json(archive, "metadata.json", path) if "metadata.json" in names else {}
            version = check_metadata(metadata, path, "metadata.json")
            config = check_shape(config, path, "config.json")
            check_weights(archive, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError):
        raise damaged(path) from None
    return Archive(path, "keras", config, version)


def _json(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
    return parsed(read_member(archive, name, path), path, name)


def _read_hdf5(path: Path) -> Archive:
    try:
        with open_hdf5(path), limited_hdf5(path) as file:
            raw = read_attribute(file, "model_config", path)
            version = read_attribute(file, "keras_version", path) or ""
            if raw is None:
                raise weights_only(path)
            config = parsed(raw, path, "model_config")
    except (OSError, KeyError, RuntimeError, ValueError):  # h5py has no error of its own
        raise damaged(path) from None
    return Archive(path, "hdf5", check_shape(config, path, "model_config"), version)


def objects(value: object) -> Iterator[dict[str, Any]]:
    """Yield every serialised object inside a configuration, outermost first."""
    waiting = deque([value])
    while waiting:
        item = waiting.popleft()
        if isinstance(item, dict):
            if isinstance(item.get("class_name"), str):
                yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
