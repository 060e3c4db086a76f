"""A file that is not a whole Keras model is named for what it is, with what helps."""

from __future__ import annotations

from pathlib import Path

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.bounded import parsed
from gradcam_cli.regular import read_bounded

_EMBEDDED = "`--model efficientnet-lite0` works without any file"
_CHECKPOINTS = b"model_checkpoint_path: "


def folder(path: Path) -> ModelError:
    """Return the error for a folder."""
    if (path / "saved_model.pb").exists():
        return _saved_model(path, f"{path} is a SavedModel folder")
    inside = sorted(one.name for one in path.iterdir() if one.suffix in (".keras", ".h5", ".hdf5"))
    if inside:
        return ModelError(f"{path} is a folder, not a model file", f"--model {path / inside[0]}")
    if any(path.glob("*.index")):
        return checkpoint(path)
    return ModelError(
        f"{path} is a folder without a .keras or .h5 file", f"name a model file; {_EMBEDDED}"
    )


def _saved_model(folder: Path, what: str) -> ModelError:
    return ModelError(
        f"{what}, which Keras 3 does not open as a model",
        "in the environment that trained it: "
        f"tf.keras.models.load_model({str(folder)!r}).save('model.h5')",
    )


def checkpoint(path: Path) -> ModelError:
    """Return the error for a path that belongs to a TensorFlow checkpoint."""
    return ModelError(
        f"{path} is part of a TensorFlow checkpoint: weights without the model",
        "in the program that trained it: build the model, model.load_weights('...') with the "
        "checkpoint's path without .index or .data, then model.save('model.keras')",
    )


def foreign_zip(path: Path, names: set[str]) -> ModelError:
    """Return the error for a zip file with these names in it, none of them config.json."""
    if any(name.endswith("data.pkl") for name in names):
        return _other(path, "a PyTorch file")
    if any(name.endswith("saved_model.pb") for name in names):
        return ModelError(
            f"{path} is a zipped SavedModel",
            "unzip it, and in the environment that trained it: "
            "tf.keras.models.load_model('FOLDER').save('model.h5')",
        )
    if names and all(name.endswith(".npy") for name in names):
        return _other(path, "a file of NumPy arrays")
    inner = sorted(name for name in names if name.endswith((".keras", ".h5", ".hdf5")))
    if inner:
        return ModelError(f"{path} is a zip file with {inner[0]} in it", "unzip it first")
    return ModelError(f"{path} is a zip file, not a Keras model", "a .keras file is needed")


def weights_only(path: Path) -> ModelError:
    """Return the error for HDF5 weights; a JSON file beside them may be their architecture."""
    beside = [one for one in sorted(path.parent.glob("*.json")) if _is_architecture(one)]
    # The more of its name a file shares with the weights, the likelier it belongs to them.
    beside.sort(key=lambda one: -_shared(one.name, path.name))
    hint = (
        "save the whole model with model.save('x.keras'), or its architecture with "
        "open('x.json', 'w').write(model.to_json()) and add --architecture x.json"
    )
    if beside:
        hint = f"if {beside[0].name} is its architecture, add --architecture {beside[0]}"
    return ModelError(f"{path} holds weights only, no model", hint)


def _is_architecture(path: Path) -> bool:
    try:
        value = parsed(read_bounded(path, "--architecture"), path, "it")
    except (OSError, ValueError, ModelError):
        return False
    return isinstance(value, dict) and {"class_name", "config"} <= value.keys()


def _shared(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def damaged(path: Path) -> ModelError:
    """Return the error for a file that begins as a Keras model does, and is not whole."""
    return ModelError(
        f"{path} is damaged or cut short ({path.stat().st_size:,} bytes)",
        "copy or download it again and compare the sizes",
    )


def _other(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path} is {what}, not a Keras model",
        "gradcam explains Keras classifiers saved as .keras or .h5",
    )


def foreign(path: Path, start: bytes) -> ModelError:
    """Return the error for a file that begins with these bytes, and as no Keras model does."""
    if start.startswith(b"version https://git-lfs"):
        return ModelError(
            f"{path} is a Git LFS pointer, not the model itself",
            "run `git lfs pull` in that repository, or download the file itself",
        )
    if start[4:8] == b"TFL3":
        return _other(path, "a TensorFlow Lite model, which has no gradients")
    # A protocol buffer whose first field is a small number, the version; what follows says which.
    if start[:3] == b"\x08\x01\x12":
        return _saved_model(path.parent, f"{path} is the graph of a SavedModel")
    if start[:1] == b"\x08" and start[1:2] < b"\x20" and start[2:3] in (b"\x12", b"\x1a", b"\x3a"):
        return _other(path, "an ONNX model")
    if path.suffix.lower() == ".pb":
        return _other(path, "a TensorFlow graph")
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _other(path, "a pickle (PyTorch or scikit-learn), which is never opened")
    if path.suffix in (".ckpt", ".index") or ".data-" in path.name or start[:23] == _CHECKPOINTS:
        return checkpoint(path)
    if start.lstrip()[:1] == b"{":
        return ModelError(
            f"{path} is JSON: an architecture without weights, at best",
            "name the .keras or .h5 file of the whole model",
        )
    if start.lstrip()[:1] == b"<":
        return ModelError(
            f"{path} is a web page, not a model", "the download went wrong: get the file itself"
        )
    return ModelError(f"{path} is not a Keras model file", f"a .keras or .h5 file; {_EMBEDDED}")
