"""The manifest of an output folder: records go in one by one, and tell later what is done."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from filelock import FileLock, Timeout

from gradcam_cli.batch.records import Record
from gradcam_cli.errors import GradcamError
from gradcam_cli.images.files import remove_leftovers, write_bytes
from gradcam_cli.images.find import Found

__all__ = ["MANIFEST", "Manifest", "manifest_name", "open_manifest", "read_manifest"]

MANIFEST = "manifest.jsonl"
_LOCK = ".gradcam.lock"


@dataclass(frozen=True, slots=True)
class _Done:
    """What of a finished record decides whether it still holds."""

    settings: str
    sha256: str
    size: int
    mtime_ns: int
    empty: bool
    files: tuple[tuple[str, int], ...]


class Manifest:
    """An output folder's manifest, open for appending; made by ``open_manifest``."""

    def __init__(self, folder: Path, name: str, settings: str) -> None:
        self.folder = folder
        self.path = folder / name
        self._settings = settings
        self._done: dict[str, _Done] = {}
        self._superseded = False
        self._file: FileIO | None = None

    def load(self) -> None:
        """Read what is there: the last record of a picture counts, a torn last line is cut off.

        Manifests of other shards of the folder tell what is done as well.
        """
        for path in sorted(self.folder.glob("manifest*.jsonl")):
            if path != self.path:
                for record in read_manifest(self.folder, path.name):
                    self._remember(record)
        if not self.path.exists():
            return
        known: set[str] = set()
        for record in read_manifest(self.folder, self.path.name):
            self._superseded |= record.source in known
            known.add(record.source)
            self._remember(record)
        _cut_torn_line(self.path)

    def done(self, found: Found) -> bool | None:
        """Tell whether a picture is finished with the same settings: None, or whether it is empty.

        Its record must be whole, the picture unchanged (size and time, else content), and its
        files there with the recorded sizes.
        """
        record = self._done.get(found.source)
        if record is None or record.settings != self._settings:
            return None
        if not _same_picture(found.path, record):
            return None
        for name, size in record.files:
            try:
                if (self.folder / name).stat().st_size != size:
                    return None
            except OSError:
                return None
        return record.empty

    def append(self, record: Record) -> None:
        """Write one record whole, and hand it to the operating system at once."""
        self._superseded |= record.source in self._done
        line = record.to_json().encode() + b"\n"
        try:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            end = self._file.seek(0, os.SEEK_END)
            try:
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                self._file.truncate(end)
                raise
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self._remember(record)

    def close(self) -> None:
        """Close the file; where pictures were done again, only their last records are kept."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._superseded:
            self._superseded = False
            last = {record.source: record for record in read_manifest(self.folder, self.path.name)}
            lines = "".join(record.to_json() + "\n" for record in last.values())
            write_bytes(self.path, lines.encode())

    def _remember(self, record: Record) -> None:
        files = [
            (name, item.sizes[kind])
            for item in record.explanations
            for kind, name in item.files.items()
        ]
        self._done[record.source] = _Done(
            settings="" if record.failed else record.settings,
            sha256=record.sha256,
            size=record.size,
            mtime_ns=record.mtime_ns,
            empty=record.empty,
            files=tuple(files),
        )


@contextmanager
def open_manifest(
    folder: Path, settings: str, *, name: str = MANIFEST, overwrite: bool = False
) -> Iterator[Manifest]:
    """Open the manifest of an output folder, which is made and locked for this process.

    ``settings`` is the digest that a finished record must carry. ``overwrite`` forgets what is
    there. Files half-written by a process that was killed are removed. Raises GradcamError when
    the folder cannot be written or another process is at work in it.
    """
    lock = FileLock(folder / (_LOCK if name == MANIFEST else f".{name}.lock"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise GradcamError(
            f"another gradcam is writing to {folder}",
            "wait for it, or choose another folder with -o",
        ) from None
    except OSError as error:
        raise _cannot_write(folder, error) from error
    manifest = Manifest(folder, name, settings)
    running = folder / f".{name}.running"
    try:
        if running.exists():  # whoever made it was killed
            remove_leftovers(folder)
        running.touch()
        if overwrite:
            manifest.path.unlink(missing_ok=True)
        else:
            manifest.load()
        yield manifest
        manifest.close()
        running.unlink(missing_ok=True)
    finally:
        manifest.close()
        lock.release()


def manifest_name(shard: tuple[int, int] | None = None) -> str:
    """Return the manifest's file name; each shard of a run has its own."""
    return MANIFEST if shard is None else f"manifest-{shard[0]}-of-{shard[1]}.jsonl"


def read_manifest(folder: Path, name: str = MANIFEST) -> Iterator[Record]:
    """Yield the records of an output folder in order; a torn last line is left out.

    Raises GradcamError when there is no manifest, or a line in its middle is not a record.
    """
    path = folder / name
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield Record.from_json(line.decode("utf-8"))
                except ValueError as error:
                    raise GradcamError(
                        f"line {number} of {path} is not a record: {error}",
                        "start anew with --overwrite, or choose another folder with -o",
                    ) from error
    except OSError as error:
        raise GradcamError(
            f"cannot read {path}: {error.strerror or error}", "name the output folder of a run"
        ) from error


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        step, tail = 1 << 16, b""
        while end and b"\n" not in tail:
            start = max(0, end - step)
            file.seek(start)
            tail = file.read(end - start)
            if b"\n" in tail:
                file.truncate(start + tail.rindex(b"\n") + 1)
                return
            end = start
        file.truncate(0)


def _same_picture(path: Path, record: _Done) -> bool:
    try:
        facts = path.stat()
        if facts.st_size != record.size:
            return False
        if facts.st_mtime_ns == record.mtime_ns:
            return True
        return hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256
    except OSError:
        return False


def _cannot_write(path: Path, error: OSError) -> GradcamError:
    return GradcamError(
        f"cannot write {path}: {error.strerror or error}",
        "check the disk's free space and the folder's permissions",
    )
