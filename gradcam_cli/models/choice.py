"""What the user asked of a model, before anything is loaded."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from gradcam_cli.errors import ModelError
from gradcam_cli.models.catalog import find
from gradcam_cli.models.digest import hash_of, hash_of_folder
from gradcam_cli.models.labels import label_bytes
from gradcam_cli.regular import check_regular

__all__ = ["ModelChoice", "file_digest", "folder_digest", "is_file", "is_handle", "is_preset"]

_MODEL_ENDINGS = (
    *(".keras", ".h5", ".hdf5"),
    *(
        ".ckpt",
        ".index",
        ".onnx",
        ".pb",
        ".pkl",
        ".pt",
        ".pth",
        ".tflite",
    ),  # named for what they are
)
_PRESET_FILES = ("model.weights.h5", "model.weights.json", "task.json")
_HANDLE = re.compile(r"[\w-]+/[\w-]+/keras/[\w.-]+(/\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model by name or file, and what the model itself cannot tell.

    ``mean`` and ``std`` are one number or one a channel, ``input_size`` is the network's own
    ``(h, w)``. ``transpose`` says that it was trained on pictures with rows and columns exchanged;
    ``constants`` are names of further inputs with the ``.npy`` files of their values.
    """

    model: str = "vgg16"
    weights: str = "imagenet"
    seed: int = 0
    labels: Path | None = None
    preprocess: str = "auto"
    channels: str = "auto"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    input_size: tuple[int, int] | None = None
    constants: tuple[tuple[str, Path], ...] = ()
    output: str = ""
    transpose: bool = False
    architecture: Path | None = None
    custom_objects: Path | None = None
    unsafe: bool = False

    def own_file(self) -> Path | None:
        """Return the file that the weights come from, if the user named one."""
        named = self.model if is_file(self.model) else self.weights
        return None if named in ("imagenet", "random") else Path(named)

    def check(self) -> None:
        """Raise what ``fingerprint`` raises, but leave out the weights, which take long to read."""
        if not is_file(self.model) and not is_preset(self.model):
            find(self.model)
        self._digests()

    def fingerprint(self) -> dict[str, object]:
        """Return all that decides what the model computes, files by their content.

        Raises GradcamError when a named file cannot be read, and for an unknown model. A model's
        file that is none is left to ``load``, which says what it is instead.
        """
        weights = self.weights
        if is_file(self.model):
            weights = _digest_if_any(Path(self.model))
        elif is_preset(self.model):
            weights = f"preset {self.model}"
        elif weights == "random":
            weights = f"random, seed {self.seed}"
        elif weights != "imagenet":
            weights = file_digest(Path(weights), "--weights")
        return {
            "model": self._name(),
            "weights": weights,
            "preprocess": self.preprocess,
            "channels": "bgr" if self.channels == "bgr" else "rgb",
            "mean": self.mean,
            "std": self.std,
            "input_size": self.input_size,
            "transpose": self.transpose,
            "output": self.output,
            **self._digests(),
        }

    def _digests(self) -> dict[str, object]:
        architecture, custom = self.architecture, self.custom_objects
        return {
            "labels": _digest(label_bytes(self.labels)) if self.labels else "",
            "constants": [(name, file_digest(path, "--input")) for name, path in self.constants],
            "architecture": file_digest(architecture, "--architecture") if architecture else "",
            "custom_objects": file_digest(custom, "--custom-objects") if custom else "",
        }

    def _name(self) -> str:
        if is_file(self.model):
            return Path(self.model).name
        return self.model if is_preset(self.model) else find(self.model).name


def is_file(model: str) -> bool:
    """Tell whether a model was named by its file or folder rather than by its name."""
    if "://" in model or is_handle(model):
        return False
    if model.lower().endswith(_MODEL_ENDINGS) or os.sep in model:
        return True
    try:
        find(model)
    except ModelError:
        with contextlib.suppress(OSError):  # too long for the name of a file
            return Path(model).exists()
    return False  # a name wins over a folder that is called so


def is_handle(model: str) -> bool:
    """Tell whether a model was named as Kaggle does, and nothing here is called so."""
    return bool(_HANDLE.fullmatch(model)) and not Path(model).exists()


def is_preset(model: str) -> bool:
    """Tell whether a model is a preset of KerasHub: a folder, an address, or maybe by its name.

    A name that is not known counts as one where KerasHub, which knows them, is installed.
    """
    if "://" in model or is_handle(model):
        return True
    if is_file(model):
        inside = Path(model)
        return (inside / "config.json").is_file() and any(
            (inside / name).is_file() for name in _PRESET_FILES
        )
    try:
        find(model)
    except ModelError:
        return importlib.util.find_spec("keras_hub") is not None
    return False


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()[:16]}"


def _digest_if_any(path: Path) -> str:
    if path.is_file():
        return file_digest(path, "--model")
    return folder_digest(path) if is_preset(str(path)) else ""


def folder_digest(path: Path) -> str:
    """Return ``sha256:`` and 16 hexadecimal digits of the files in a folder."""
    try:
        return f"sha256:{hash_of_folder(path)[:16]}"
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}", "check its permissions") from None


def file_digest(path: Path, option: str = "") -> str:
    """Return ``sha256:`` and 16 hexadecimal digits of a file's content.

    Raises ModelError for what is no regular file, or larger than ``option`` takes.
    """
    named = f"{option}: " if option else ""
    try:
        check_regular(path, option)
        return f"sha256:{hash_of(path)[:16]}"
    except FileNotFoundError:
        raise ModelError(f"{named}there is no file {path}", "check the path") from None
    except OSError as error:
        message = f"{named}cannot read {path}: {error.strerror}"
        raise ModelError(message, "name a regular file that you may read") from None
