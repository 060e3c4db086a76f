from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.models.arrays import read_array


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3).T, np.array(3, np.int16), np.zeros((0, 2), bool)]
)
def test_what_numpy_saved(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    found = read_array("x", tmp_path / "a.npy")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def header(text: str, version: bytes = b"\1\0") -> bytes:
    """A file with this header and 8 bytes of numbers."""
    length = len(text).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + length + text.encode("latin-1") + bytes(8)


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"cat",
        pickle.dumps([1]),
        saved(np.array([None])),
        saved(np.array(["cat"])),
        saved(np.zeros(4))[:-1],
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000), }"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (2**80,), }"),
        header("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000,), }"),
        header("(" * 9000),
        header("-" * 9000 + "1"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }" + " " * 20_000),
        header("{}", b"\3\0"),
        header("{}", b"\x09\0"),
        b"PK\3\4" + bytes(100),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ModelError, match=r"--input x: .*a\.npy is not a readable \.npy file"):
        read_array("x", tmp_path / "a.npy")
