from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.archive import read_archive, read_pair
from gradcam_cli.keras_files.bounded import LONGEST, parsed

WHOLE = b'{"class_name": "Sequential", "config": {"name": "s", "layers": []}}'
MANY = b"[" + b"{}," * 2_000_000 + b"0]"
DEEP = b"[" * 500 + b"]" * 500


def zipped(path: Path, **members: bytes) -> Path:
    everything = {"config": WHOLE, "metadata": b"{}"} | members
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in everything.items():
            archive.writestr(f"{name}.json", data)
        archive.writestr("model.weights.h5", b"")
    return path


def of_hdf5(path: Path, **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
    return path


@contextmanager
def in_little_memory(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most


@pytest.mark.parametrize("member", ["config", "metadata"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" * (LONGEST + 1), "is longer than 32 MB"),
        (b"[" * 900_000, "is nested more than 200 deep"),
        (DEEP, "is nested more than 200 deep"),
        (b"[" * 201 + b"]" * 201, "is nested more than 200 deep"),
        (MANY, "has more than 1,000,000 values"),
    ],
    ids=["long", "brackets", "deep", "just too deep", "many"],
)
def test_what_no_configuration_is(tmp_path: Path, member: str, text: bytes, said: str) -> None:
    path = zipped(tmp_path / "a.keras", **{member: text})
    with (
        in_little_memory(100 << 20),
        pytest.raises(ModelError, match=rf"a\.keras: {member}\.json {said}"),
    ):
        read_archive(path)


def test_a_size_in_the_directory_that_is_not_true(tmp_path: Path) -> None:
    """A text of 64 MB says that it has 60 characters."""
    path = zipped(tmp_path / "a.keras", config=b"[" * (64 << 20))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    assert struct.unpack_from("<I", data, at + 24) == (64 << 20,)
    struct.pack_into("<I", data, at + 24, 60)
    path.write_bytes(data)
    with in_little_memory(8 << 20), pytest.raises(ModelError, match="is damaged or cut short"):
        read_archive(path)


def test_an_encrypted_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.keras")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature)
        data[at + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"'config\.json' is encrypted"):
        read_archive(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[" * (LONGEST + 1), "is longer than 32 MB"),
        (np.bytes_(b"x" * 60_000), "is damaged"),
        (np.zeros(8), "the attribute model_config is not text"),
        (3, "the attribute model_config is not text"),
        (["a", "b"], "the attribute model_config is not text"),
        (h5py.Empty("S9"), "the attribute model_config is not text"),
        (np.bytes_(b"\xff\xfea"), "is damaged or cut short"),
        (DEEP.decode(), "model_config is nested more than 200 deep"),
        ("[1]", "model_config is a list, not a model"),
    ],
    ids=["long", "fixed", "numbers", "number", "two", "empty", "not UTF-8", "deep", "list"],
)
def test_attributes_that_are_no_configuration(tmp_path: Path, value: Any, said: str) -> None:
    path = of_hdf5(tmp_path / "a.h5", model_config=value)
    with in_little_memory(100 << 20), pytest.raises(ModelError, match=said):
        read_archive(path)


@pytest.mark.parametrize("kind", [str, np.bytes_, lambda text: np.array([text.encode()])])
def test_attributes_as_different_writers_leave_them(tmp_path: Path, kind: Any) -> None:
    text = WHOLE.decode()
    path = of_hdf5(tmp_path / "a.h5", model_config=kind(text), keras_version=kind("2.4.0"))
    archive = read_archive(path)
    assert (archive.config, archive.keras_version) == (json.loads(WHOLE), "2.4.0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b" " * (LONGEST + 1), r"a\.json: it has 33\.6 MB, and --architecture takes at most 32 MB"),
        (MANY, "more than 1,000,000 values"),
        (DEEP, "nested more than 200 deep"),
        (b'{"class_name": "Sequential", "config": {"layers": 3}}', "config.layers is int"),
    ],
    ids=["long", "many", "deep", "shape"],
)
def test_architectures(tmp_path: Path, text: bytes, said: str) -> None:
    weights = of_hdf5(tmp_path / "w.h5", layer_names=[])
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ModelError, match=said):
        read_pair(weights, tmp_path / "a.json")


def test_numbers_as_python_writes_them() -> None:
    assert parsed(b"[Infinity, -1e400]", Path("a"), "it") == [float("inf"), float("-inf")]
    deepest = "[" * 200 + "]" * 200
    assert json.dumps(parsed(deepest, Path("a"), "it")) == deepest
