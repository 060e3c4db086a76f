"""A file gets another name for a while, since Keras goes by the name and not by content."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py

from gradcam_cli.keras_files.container import check_space


@contextlib.contextmanager
def named(path: Path, name: str) -> Iterator[Path]:
    """Give a file the name ``name`` in a folder of its own.

    HDF5 files that Keras could not lock, because another program is writing them or their disk
    knows no locks, are copied: reading needs no lock, but Keras asks for one.
    """
    with tempfile.TemporaryDirectory(prefix="gradcam-") as folder:
        link = Path(folder) / name
        try:
            if _cannot_be_locked(path):
                raise OSError
            link.symlink_to(path.resolve())
        except OSError:  # or symbolic links are not allowed here
            check_space(path.stat().st_size, link.parent)
            shutil.copyfile(path, link)
        yield link


def _cannot_be_locked(path: Path) -> bool:
    try:
        with h5py.File(path, "r"):
            return False
    except OSError:
        return bool(h5py.is_hdf5(path))
