from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from gradcam_cli.models.digest import hash_ahead, hash_of

LARGE = 40 << 20  # more than one block, and worth a thread


def test_hash_of_several_blocks(tmp_path: Path) -> None:
    content = bytes(range(256)) * (LARGE // 256) + b"end"
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    assert hash_ahead(path, "md5")
    assert hash_of(path, "md5") == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert hash_of(path) == hashlib.sha256(content).hexdigest()


def test_a_changed_file_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"one")
    before = hash_of(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert hash_of(path) == hashlib.sha256(b"two").hexdigest() != before


def test_small_and_missing_files_are_left_to_whoever_asks(tmp_path: Path) -> None:
    small = tmp_path / "small.h5"
    small.write_bytes(b"few")
    threads = threading.active_count()
    assert not hash_ahead(small)
    assert not hash_ahead(tmp_path / "missing.h5")
    assert threading.active_count() == threads
    with pytest.raises(FileNotFoundError):
        hash_of(tmp_path / "missing.h5")
