"""An output folder is opened, and locked for one process, or for a shard beside other shards."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gradcam_cli.errors import GradcamError
from gradcam_cli.store.atomic import cannot_write, remove_leftovers
from gradcam_cli.store.manifest import Manifest
from gradcam_cli.store.reading import MANIFEST, manifest_name

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_A_MOMENT = 2.0
"""Seconds that a shard waits for other shards to have looked for a whole run."""


@contextmanager
def open_manifest(
    folder: Path,
    settings: Mapping[str, Any],
    stems: Mapping[str, str],
    *,
    methods: Sequence[str] = (),
    command: Sequence[str] = (),
    shard: tuple[int, int] | None = None,
    overwrite: bool = False,
    resume: bool = True,
    made: bool = False,
) -> Iterator[Manifest]:
    """Open the manifest of an output folder, which is made and locked for this process.

    ``settings`` are all that decide a run's results, ``stems`` say where each source's files go,
    ``methods`` are those that every image gets maps of, and ``command`` is what was typed, the
    output folder last.
    ``overwrite`` forgets what is there; a shard forgets only its own part. Without ``resume`` a
    folder with anything in it, but for other shards' parts, is refused. Files half-written by a
    process that was killed are removed; ``made`` says that the folder was made for this run, so
    that it is removed again if nothing gets into it. Raises GradcamError when the folder cannot be
    written or another process is at work in it; shards of one run work side by side.
    """
    name = manifest_name(shard)
    if not resume:
        _check_unused(folder, name)
    manifest = Manifest(folder, name, settings, stems, methods, command)
    running = folder / f".{name}.running"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _lock(folder, name, stack)
            if made:
                stack.callback(_leave_nothing, folder)
            if any(folder.glob(".manifest*.running")):  # whoever made it was killed, or is a shard
                remove_leftovers(folder)
            running.touch()
            stack.callback(_forget, running)
        except Timeout:
            raise GradcamError(
                f"another gradcam is writing to {folder}",
                "wait for it, or choose another folder with -o",
            ) from None
        except NotImplementedError as error:  # some versions of filelock say ENOSYS so
            raise _no_locks(folder) from error
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise _no_locks(folder) from error
            raise cannot_write(folder, error) from error
        stack.callback(manifest.close)
        if overwrite:
            manifest.start_anew()
        manifest.load()
        yield manifest
        manifest.check()


def _check_unused(folder: Path, name: str) -> None:
    """Refuse a folder that anything but other shards of this run has written to."""
    there = folder.iterdir() if folder.is_dir() else ()
    theirs = [path for path in there if not path.name.startswith(".")]
    if (folder / name).exists() or (theirs and name == MANIFEST):
        raise GradcamError(
            f"{folder} is not empty",
            "leave out --no-resume to go on with an earlier run, or give --overwrite to start anew",
        )


def _lock(folder: Path, name: str, stack: ExitStack) -> None:
    """Lock a folder for a whole run, or for one shard beside other shards; raises Timeout.

    The locks die with the process. A whole run takes every shard's lock as well; a shard makes
    sure that no whole run has the folder.
    """
    whole = folder / ".gradcam.lock"
    if name == MANIFEST:
        stack.enter_context(FileLock(whole).acquire(timeout=0))
        for path in sorted(folder.glob(".manifest*.lock")):
            stack.enter_context(FileLock(path).acquire(timeout=0))
    else:
        stack.enter_context(FileLock(folder / f".{name}.lock").acquire(timeout=0))
        with FileLock(whole).acquire(timeout=_A_MOMENT):  # other shards look at the same time
            pass


def _leave_nothing(folder: Path) -> None:
    """Remove a folder that holds nothing but our own locks: the model was refused, say."""
    with suppress(OSError):
        locks = {*folder.glob(".gradcam.lock"), *folder.glob(".manifest*.lock")}
        if set(folder.iterdir()) == locks:
            for path in locks:
                path.unlink()
            folder.rmdir()


def _forget(path: Path) -> None:
    with suppress(OSError):  # the next run takes it for a killed process's, and cleans up
        path.unlink(missing_ok=True)


def _no_locks(folder: Path) -> GradcamError:
    return GradcamError(
        f"the disk of {folder} has no file locks, which keep two runs apart",
        "choose a folder on another disk with -o, and copy it afterwards",
    )
