"""What the user asked of a model, before anything is loaded."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.models.catalog import find, is_known
from gradcam_cli.models.digest import hash_of, hash_of_folder
from gradcam_cli.models.labels import label_bytes
from gradcam_cli.regular import check_regular, readable
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.spec.setting import deciding, settings
from gradcam_cli.spelling import nearby

_MODEL_ENDINGS = (
    *(".keras", ".h5", ".hdf5"),
    # Opened to be named for what they are.
    *(".ckpt", ".index", ".onnx", ".pb", ".pkl", ".pt", ".pth", ".tflite"),
)
_PRESET_FILES = ("model.weights.h5", "model.weights.json", "task.json")
_HANDLE = re.compile(r"[\w-]+/[\w-]+/keras/[\w.-]+(/\d+)?", re.IGNORECASE)


def own_file(spec: ModelSpec) -> Path | None:
    """Return the file that the weights come from, if the user named one."""
    named = spec.model if is_file(spec.model) else spec.weights
    return None if named in ("imagenet", "random") else Path(named)


def check_files(spec: ModelSpec) -> None:
    """Raise what ``fingerprint`` raises, but leave out the weights, which take long to read."""
    if not is_file(spec.model) and not is_preset(spec.model):
        find(spec.model)
    _by_content(spec)


def fingerprint(spec: ModelSpec) -> dict[str, object]:
    """Return all that decides what the model computes, files by their content.

    Raises ModelError when a named file cannot be read, and for an unknown model. A model's file
    that is none is left to ``load``, which says what it is instead.
    """
    weights = spec.weights
    if is_file(spec.model):
        weights = _digest_if_any(Path(spec.model))
    elif is_preset(spec.model):
        weights = f"preset {spec.model}"
    elif weights == "random":
        weights = f"random, seed {spec.seed}"
    elif weights != "imagenet":
        weights = file_digest(Path(weights), "--weights")
    values = _by_content(spec)
    del values["seed"]
    channels = "bgr" if spec.channels == "bgr" else "rgb"
    return {**values, "model": _name(spec.model), "weights": weights, "channels": channels}


def deciding_settings(spec: RunSpec) -> dict[str, Any]:
    """Return all settings that decide a run's numbers and pixels, files by their content.

    Raises ModelError as ``fingerprint`` does.
    """
    files = {}
    if spec.explain is not None:
        for name in ("target", "like"):
            path = getattr(spec.explain, name)
            files[name] = None if path is None else file_digest(path, f"--{name}")
    return spec.deciding(fingerprint(spec.model), files)


def _by_content(spec: ModelSpec) -> dict[str, object]:
    """Return the settings that decide what a model computes, files as digests of their content."""

    def digested(value: object, option: str) -> object:
        if isinstance(value, Path):
            if option == "--labels":  # they may come out of a pipe, once
                return _digest(label_bytes(value))
            return file_digest(value, option)
        if isinstance(value, tuple):
            return tuple(digested(each, option) for each in value)
        return value

    known = settings(ModelSpec)
    return {name: digested(value, known[name].option) for name, value in deciding(spec).items()}


def _name(model: str) -> str:
    if is_file(model):
        return Path(model).name
    return model if is_preset(model) else find(model).name


def is_file(model: str) -> bool:
    """Return whether a model was named by its file or folder rather than by its name."""
    if "://" in model or is_handle(model):
        return False
    if model.lower().endswith(_MODEL_ENDINGS) or os.sep in model:
        return True
    if is_known(model):
        return False  # a name wins over a folder that is called so
    with contextlib.suppress(OSError):  # too long for the name of a file
        return Path(model).exists()
    return False


def is_handle(model: str) -> bool:
    """Return whether a model was named as Kaggle does, and nothing here is called so."""
    return bool(_HANDLE.fullmatch(model)) and not Path(model).exists()


def is_preset(model: str) -> bool:
    """Return whether a model is a preset of KerasHub: a folder, an address, or maybe by its name.

    A name that is not known counts as one where KerasHub, which knows them, is installed.
    """
    if "://" in model or is_handle(model):
        return True
    if is_file(model):
        inside = Path(model)
        return (inside / "config.json").is_file() and any(
            (inside / name).is_file() for name in _PRESET_FILES
        )
    return not is_known(model) and importlib.util.find_spec("keras_hub") is not None


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()[:16]}"


def _digest_if_any(path: Path) -> str:
    if path.is_file():
        return file_digest(path, "--model")
    return folder_digest(path) if is_preset(str(path)) else ""


def folder_digest(path: Path) -> str:
    """Return ``sha256:`` and 16 hexadecimal digits of the files in a folder."""
    with readable(path, "", "make it readable: chmod -R u+r"):
        return f"sha256:{hash_of_folder(path)[:16]}"


def file_digest(path: Path, option: str = "") -> str:
    """Return ``sha256:`` and 16 hexadecimal digits of a file's content.

    Raises ModelError for what is not a regular file, or larger than ``option`` takes.
    """
    if option == "--weights" and not os.path.lexists(path):
        hint = f"{nearby(path)}; --weights takes imagenet, random, or a file made for the model"
        raise ModelError(f"{option}: there is no file {path}", hint)
    with readable(path, option, "name a regular file that you may read"):
        check_regular(path, option)
        return f"sha256:{hash_of(path)[:16]}"
