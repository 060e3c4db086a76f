"""Objects that read, write or run something, as a model's configuration would name them.

Their paths and addresses point at ``baits``, a folder that nobody has any business in. What the
names after ``cve`` say was published of Keras in 2024 to 2026; the others are of the same kinds.
"""

from __future__ import annotations

import base64
import marshal
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CALLED", "OBJECTS", "Json", "function", "make_baits", "thing"]

Json = dict[str, Any]

NOWHERE = "http://127.0.0.1:9/x"


def make_baits(folder: Path, weights: bytes) -> Path:
    """Fill a folder with what crafted files point at."""
    for name in ("home", "pictures/a", "saved", "made"):
        (folder / name).mkdir(parents=True)
    (folder / "secret.txt").write_text("alpha\nbeta\n", encoding="utf-8")
    (folder / "secret.bin").write_bytes(np.arange(4096, dtype=np.float32).tobytes())
    (folder / "pictures/a/a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "saved/saved_model.pb").write_bytes(b"\x08\x01")
    (folder / "other.weights.h5").write_bytes(weights)
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("../escaped", b"x")
    return folder


def thing(module: str | None, name: str, config: Any) -> Json:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def function(module: str, name: str) -> Json:
    return thing(module, "function", name) | {"registered_name": "function"}


def _bytecode(baits: Path) -> str:
    source = f"lambda x: (open({os.fspath(baits / 'made/ran')!r}, 'w').close(), x)[1]"
    code = compile(source, "<lambda>", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(code)).decode()


def _lambda(baits: Path) -> Json:
    packed = {"code": _bytecode(baits), "defaults": None, "closure": None}
    return thing(
        "keras.layers", "Lambda", {"name": "l", "function": thing(None, "__lambda__", packed)}
    )


def _old_lambda(baits: Path) -> Json:
    config = {"name": "l", "function": [_bytecode(baits), None, None], "function_type": "lambda"}
    return {"class_name": "Lambda", "config": config}


def _pickled(module: str, name: str, argument: str, baits: Path) -> Json:
    pickle = f"cposix\nsystem\n(S'touch {baits / 'made/ran'}'\ntR."
    packed = base64.b64encode(pickle.encode()).decode()
    return thing(module, name, {"name": "p", argument: packed, "module": packed, "kwargs": {}})


CALLED: dict[str, Callable[[Path], tuple[str, str, list[Any], Json]]] = {
    "cve-2025-1550-system": lambda b: ("os", "system", [f"touch {b}/made/ran"], {}),
    "cve-2025-1550-exec": lambda b: ("builtins", "exec", [f"open('{b}/made/ran', 'w')"], {}),
    "cve-2025-1550-popen": lambda b: ("subprocess", "Popen", [["touch", f"{b}/made/ran"]], {}),
    "cve-2025-8747-get-file": lambda b: (
        "keras.utils",
        "get_file",
        ["x"],
        {"origin": NOWHERE, "cache_dir": f"{b}/made"},
    ),
    "cve-2025-12060-get-file-extract": lambda b: (
        "keras.src.utils.file_utils",
        "get_file",
        ["x.zip"],
        {"origin": f"file://{b}/archive.zip", "extract": True, "cache_dir": f"{b}/made"},
    ),
    "cve-2025-12638-extract": lambda b: (
        "keras.src.utils.file_utils",
        "extract_archive",
        [f"{b}/archive.zip", f"{b}/made"],
        {},
    ),
    "cve-2025-9906-unsafe": lambda _: (
        "keras.config",
        "enable_unsafe_deserialization",
        [],
        {},
    ),
    "load-model": lambda b: ("keras.saving", "load_model", [f"{b}/other.weights.h5"], {}),
    "load-weights": lambda b: ("keras.src.saving.saving_api", "load_weights", ["x", f"{b}/x"], {}),
    "mnist": lambda b: ("keras.datasets.mnist", "load_data", [f"{b}/made/m.npz"], {}),
    "imdb": lambda _: ("keras.datasets.imdb", "get_word_index", [], {}),
    "load-img": lambda b: ("keras.utils", "load_img", [f"{b}/pictures/a/a.png"], {}),
    "folder": lambda b: (
        "keras.utils",
        "image_dataset_from_directory",
        [f"{b}/pictures"],
        {},
    ),
    "func-load": lambda b: ("keras.src.utils.python_utils", "func_load", [_bytecode(b)], {}),
    "random-seed": lambda _: ("keras.utils", "set_random_seed", [1], {}),
    "clear-session": lambda _: ("keras.utils", "clear_session", [], {}),
    "set-floatx": lambda _: ("keras.config", "set_floatx", ["float64"], {}),
}


def _constructed(module: str, kind: str, /, **config: Any) -> Json:
    return thing(module, kind, config)


OBJECTS: dict[str, Callable[[Path], Json]] = {
    "cve-2024-3660-lambda": _lambda,
    "cve-2025-9905-lambda": _old_lambda,
    "cve-2025-49655-torch": lambda b: _pickled("keras.layers", "TorchModuleWrapper", "module", b),
    "jax": lambda b: _pickled("keras.layers", "JaxLayer", "call_fn", b),
    "flax": lambda b: _pickled("keras.layers", "FlaxLayer", "module", b),
    "cve-2026-1462-saved-model": lambda b: _constructed(
        "keras.layers", "TFSMLayer", name="t", filepath=f"{b}/saved"
    ),
    "cve-2025-12058-strings": lambda b: _constructed(
        "keras.layers", "StringLookup", name="s", vocabulary=f"{b}/secret.txt"
    ),
    "cve-2025-12058-strings-by-net": lambda _: _constructed(
        "keras.layers", "StringLookup", name="s", vocabulary=NOWHERE
    ),
    "integers": lambda b: _constructed(
        "keras.layers", "IntegerLookup", name="i", vocabulary=f"{b}/secret.txt"
    ),
    "text": lambda b: _constructed(
        "keras.layers", "TextVectorization", name="t", vocabulary=f"{b}/secret.txt"
    ),
    "file-editor": lambda b: _constructed(
        "keras.saving", "KerasFileEditor", filepath=f"{b}/other.weights.h5"
    ),
    "directory-iterator": lambda b: _constructed(
        "keras.src.legacy.preprocessing.image",
        "DirectoryIterator",
        directory=f"{b}/pictures",
        image_data_generator=None,
        color_mode="rgb",
        data_format="channels_last",
        dtype="float32",
    ),
    "application": lambda b: _constructed(
        "keras.applications", "MobileNet", weights=f"{b}/other.weights.h5"
    ),
    "application-function": lambda b: _constructed(
        "keras.src.applications.mobilenet", "MobileNet", weights=f"{b}/other.weights.h5"
    ),
    "csv-logger": lambda b: _constructed(
        "keras.callbacks", "CSVLogger", filename=f"{b}/made/log.csv"
    ),
    "backup": lambda b: _constructed(
        "keras.callbacks", "BackupAndRestore", backup_dir=f"{b}/made/backup"
    ),
    "tensor-board": lambda b: _constructed(
        "keras.callbacks", "TensorBoard", log_dir=f"{b}/made/board"
    ),
    "store": lambda b: _constructed(
        "keras.src.saving.saving_lib", "DiskIOStore", root_path=f"{b}/made/store", mode="w"
    ),
    "hdf5-store": lambda b: _constructed(
        "keras.src.saving.saving_lib", "H5IOStore", path_or_io=f"{b}/made/x.h5", mode="w"
    ),
    "optimizer": lambda _: _constructed("keras.optimizers", "Adam", name="adam"),
    "unknown-module": lambda _: _constructed("antigravity", "x"),
}


def _uncalled(name: str) -> Callable[[Path], Json]:
    return lambda baits: function(*CALLED[name](baits)[:2])


# A function that is not called, as an activation or an initializer would be.
OBJECTS |= {name: _uncalled(name) for name in CALLED}
