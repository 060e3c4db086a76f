"""A model file becomes what it holds: its container by content, its configuration, its Keras."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py

from gradcam_cli.errors import ModelError

__all__ = ["Archive", "code_inside", "file_digest", "read_archive"]

_EMBEDDED = "`--model efficientnet-lite0` works without any file"


@dataclass(frozen=True, slots=True)
class Archive:
    """An opened model file: where it is, how it is packed, and its configuration as JSON values."""

    path: Path
    container: Literal["keras", "hdf5"]
    config: dict[str, Any]
    keras_version: str


def read_archive(path: Path) -> Archive:
    """Read a model file's configuration; nothing in the file is executed.

    The container is recognised by content, not by name. Raises ModelError for anything that is not
    a whole Keras model in one file, saying what it is instead and what helps.
    """
    if path.is_dir():
        raise _folder(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(4096)
    except FileNotFoundError:
        raise ModelError(f"there is no model file {path}", "check the path") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}", "check its permissions") from None
    if size == 0:
        raise ModelError(f"{path} is empty", "copy or download the model file again")
    if start.startswith(b"PK\x03\x04"):
        return _read_zip(path)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_hdf5(path)
    raise _foreign(path, start)


def file_digest(path: Path) -> str:
    """Return 16 hexadecimal digits of a file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _folder(path: Path) -> ModelError:
    if (path / "saved_model.pb").exists():
        return ModelError(
            f"{path} is a SavedModel folder, which Keras 3 does not open as a model",
            "in the environment that trained it: "
            f"tf.keras.models.load_model({str(path)!r}).save('model.h5')",
        )
    return ModelError(f"{path} is a folder, not a model file", "name the .keras or .h5 file in it")


def _read_zip(path: Path) -> Archive:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "config.json" not in names:
                raise _foreign_zip(path, names)
            config = json.loads(archive.read("config.json"))
            metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
            has_weights = any(name.startswith("model.weights") for name in names)
    except (zipfile.BadZipFile, EOFError, json.JSONDecodeError, UnicodeDecodeError):
        raise _damaged(path) from None
    if not has_weights:
        raise ModelError(f"{path} holds no weights", "save the model again: model.save('x.keras')")
    return Archive(path, "keras", config, str(metadata.get("keras_version", "")))


def _foreign_zip(path: Path, names: set[str]) -> ModelError:
    if any(name.endswith("data.pkl") for name in names):
        return _other(path, "a PyTorch file")
    if any(name.endswith("saved_model.pb") for name in names):
        return ModelError(f"{path} is a zipped SavedModel", "export the model as .keras or .h5")
    inner = sorted(name for name in names if name.endswith((".keras", ".h5", ".hdf5")))
    if inner:
        return ModelError(f"{path} is a zip file with {inner[0]} in it", "unzip it first")
    return ModelError(f"{path} is a zip file, but no Keras model", "a .keras file is needed")


def _read_hdf5(path: Path) -> Archive:
    try:
        with h5py.File(path, "r") as file:
            raw = file.attrs.get("model_config")
            version = _text(file.attrs.get("keras_version", ""))
            if raw is None:
                raise _weights_only(path)
            config = json.loads(_text(raw))
    except OSError:
        raise _damaged(path) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise _damaged(path) from None
    return Archive(path, "hdf5", config, version)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _weights_only(path: Path) -> ModelError:
    beside = sorted(path.parent.glob("*.json"))
    hint = "save the whole model with model.save('x.keras')"
    if beside:
        hint += f", or rebuild it from {beside[0].name} in Python and save that"
    return ModelError(f"{path} holds weights only, no model", hint)


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"{path} is damaged or cut short ({path.stat().st_size:,} bytes)",
        "copy or download it again and compare the sizes",
    )


def _other(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path} is {what}, not a Keras model",
        "gradcam explains Keras classifiers saved as .keras or .h5",
    )


def _foreign(path: Path, start: bytes) -> ModelError:
    if start.startswith(b"version https://git-lfs"):
        return ModelError(
            f"{path} is a Git LFS pointer, not the model itself",
            "run `git lfs pull` in that repository, or download the file itself",
        )
    if start[4:8] == b"TFL3":
        return _other(path, "a TensorFlow Lite model, which has no gradients,")
    if path.suffix.lower() == ".onnx":
        return _other(path, "an ONNX model")
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _other(path, "a pickle (PyTorch or scikit-learn), which is never opened,")
    if start.lstrip()[:1] == b"{":
        return ModelError(
            f"{path} is JSON: an architecture without weights, at best",
            "name the .keras or .h5 file of the whole model",
        )
    if start.lstrip()[:1] == b"<":
        return ModelError(
            f"{path} is a web page, not a model", "the download went wrong: get the file itself"
        )
    return ModelError(f"{path} is no Keras model file", f"a .keras or .h5 file; {_EMBEDDED}")


def code_inside(archive: Archive) -> list[str]:
    """Return what in a configuration would run code of the file's author: Lambda layers, classes.

    Each entry is a short phrase for people, such as ``Lambda layer 'scale'``.
    """
    found: list[str] = []
    for node in _objects(archive.config):
        name, module = str(node.get("class_name")), str(node.get("module") or "")
        inner = node.get("config")
        label = inner.get("name", "") if isinstance(inner, dict) else ""
        if name == "Lambda":
            found.append(f"Lambda layer {label!r}")
        elif name == "__lambda__":
            found.append("a pickled lambda function")
        elif module and module.split(".")[0] not in ("keras", "builtins", "keras_core"):
            found.append(f"class {name!r} from {module}")
        elif not module and ">" in str(node.get("registered_name") or name):
            found.append(f"custom class {node.get('registered_name') or name!r}")
    return list(dict.fromkeys(found))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every serialised object inside a configuration, outermost first."""
    waiting = [value]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, dict):
            if "class_name" in item and "config" in item:
                yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
