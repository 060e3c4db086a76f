"""The manifest of an output folder: records go in one by one, and tell later what is done."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Any

from gradcam_cli.errors import FailureKind, GradcamError
from gradcam_cli.regular import open_regular
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.run import digest
from gradcam_cli.store.atomic import cannot_write, write_bytes
from gradcam_cli.store.damage import cut_torn_line, last_lines, set_aside
from gradcam_cli.store.names import both_stems
from gradcam_cli.store.reading import (
    MANIFEST,
    Damaged,
    damage,
    latest_first,
    manifests,
    placed,
    read_manifest,
    record_at,
)
from gradcam_cli.store.records import SCHEMA_VERSION, Done, Record, content_digest
from gradcam_cli.store.runfile import Classes, RunFile, differences, read_run, run_name, write_run


@dataclass(frozen=True, slots=True)
class _Known:
    """What of a picture's last record decides whether it still holds."""

    settings: str
    sha256: bytes
    size: int
    mtime_ns: int
    empty: bool
    methods: frozenset[str]
    files: tuple[tuple[str, int, str], ...]
    written_ns: int
    manifest: str
    start: int


class Manifest:
    """An output folder's manifest, open for appending; made by ``folder.open_manifest``.

    ``settings`` is the digest that a finished record must carry, and ``methods`` are those that it
    must have maps of; one that has others too keeps them. ``batch_size`` and ``precision`` are what
    an earlier part of the same run decided on, if any. ``changed`` says what differs from the run
    before, ``warnings`` are sentences on lines that were damaged. ``displaced`` are sources of
    other lists whose files were replaced.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: Mapping[str, Any],
        stems: Mapping[str, str],
        methods: Sequence[str] = (),
        command: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.path = folder / name
        self.settings = digest(settings)
        self.displaced: list[str] = []
        self.warnings: list[str] = []
        self._asked, self._methods = tuple(methods), frozenset(methods)
        self._stems = stems
        self._owners: dict[str, str] = {}
        before = read_run(folder / run_name(name))
        self.changed = differences(before.settings, settings) if before else []
        same = before is not None and before.digest == self.settings
        self._before = before if same else None
        commands = (tuple(command),) if command else ()
        self._new = RunFile(settings, self.settings, self._asked, commands=commands)
        self._run = self._new.after(self._before)
        self._known: dict[str, _Known] = {}
        self._superseded = False
        self._doomed: list[Path] = []
        self._file: FileIO | None = None
        self._end = 0

    @property
    def batch_size(self) -> int:
        """Return the batch size that an earlier part of the same run decided on, or 0."""
        size = self._before.decided.get("batch_size") if self._before else 0
        return size if isinstance(size, int) and size > 0 else 0

    @property
    def precision(self) -> str:
        """Return the precision that an earlier part of the same run computed in, or nothing."""
        return str(self._before.decided.get("precision", "")) if self._before else ""

    def stem(self, source: str) -> str:
        """Return where a source's files go: a path below the folder, without an ending."""
        return self._stems[source]

    def decided(self, classes: Classes = None, **decided: object) -> None:
        """Note what was decided before the first image; it is written with the first record.

        ``classes`` are the model's own, where it has any.
        """
        known = self._run.classes if classes is None else classes
        self._run = replace(self._run, decided=decided, classes=known)

    def load(self) -> None:
        """Read what is there: the last record of a picture counts, a torn last line is cut off.

        Damaged lines go into a file beside the manifest. The manifests of the folder's other shards
        tell what is done as well; of several records of a picture, the one in the manifest that was
        written to last is believed. Raises GradcamError when they were made with other settings:
        each would take the other's files for its own.
        """
        for path in reversed(latest_first(self.folder)):
            if path == self.path:
                self._load_own()
            elif path not in self._doomed:
                self._load_other(path)

    def _load_own(self) -> None:
        if self.path in self._doomed:
            return
        try:
            cut_torn_line(self.path)
            self._read_own()
            self._end = self.path.stat().st_size
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def start_anew(self) -> None:
        """Forget what is there, as soon as the first new record is written and not before.

        Until then the run may still be refused. What old records say is used once more, to remove
        the files that are not made again.
        """
        self._before, self.changed = None, []
        self._run = self._new
        self._doomed = manifests(self.folder) if self.path.name == MANIFEST else [self.path]
        with suppress(GradcamError):  # a manifest that cannot be read is a reason to start anew
            for path in self._doomed:
                for record in read_manifest(self.folder, path.name):
                    self._remember(replace(record, settings=""), path.name, 0)

    def place(self, found: Found) -> Found | Done:
        """Return a picture as Done if it is finished with the same settings, else as it is.

        Its record must be whole, the picture unchanged (size and time, else content), and its files
        there, under the names that this list gives them and as they were written. Where some of the
        methods are missing, it is said which are not.
        """
        record = self._sound(found)
        if record is None:
            return found
        if self._methods <= record.methods:
            return Done(found.source, record.empty, record.manifest, record.start)
        return replace(found, done_by=self._methods & record.methods)

    def missing(self, every: Iterable[Found]) -> tuple[str, ...]:
        """Return the methods that at least one of the pictures has no maps of, or not any more."""
        gone: set[str] = set()
        for found in every if len(self._methods) > 1 else ():
            record = self._sound(found)
            gone |= self._methods - (record.methods if record else frozenset())
            if gone == self._methods:
                break
        return tuple(name for name in self._asked if name in gone) or self._asked

    def _sound(self, found: Found) -> _Known | None:
        """Return what is known of a picture, if it was made with the same settings and holds."""
        record = self._known.get(found.source)
        if record is None or record.settings != self.settings:
            return None
        if not _same_picture(found.path, record):
            return None
        there = all(self._holds(found.source, record, *each) for each in record.files)
        return record if there else None

    def _holds(self, source: str, record: _Known, name: str, size: int, content: str) -> bool:
        """Return whether a file of a record is as it was, where this list has it."""
        same = _same_file(self.folder / name, size, content, record.written_ns)
        return same and _is_below(name, self._stems[source])

    def line(self, done: Done) -> str:
        """Return the record of a picture that was done before as JSON; raises GradcamError."""
        path = self.folder / done.manifest
        record = record_at(path, done.start, done.source)
        try:
            return record.to_json()
        except ValueError as error:  # a number beyond all bounds
            raise GradcamError(f"a record in {path} is damaged: {error}", "remove it") from error

    def append(self, record: Record) -> Record:
        """Write one record whole, and hand it to the operating system at once.

        Maps by other methods that an earlier run with the same settings made of the picture are
        part of it, as it is returned. Other files that an earlier run made of the picture, and this
        one did not, are removed. What was done with the same settings stays where a disk or a
        picture is only out of reach.
        """
        before = self._known.get(record.source)
        if before and before.settings == self.settings:
            if _may_pass(record):
                return record
            record = self._joined(record, before)
        self._superseded |= before is not None and not self._doomed
        line = record.to_json().encode() + b"\n"
        self.check()
        try:
            for path in self._doomed:
                path.unlink(missing_ok=True)
                (self.folder / run_name(path.name)).unlink(missing_ok=True)
            self._doomed.clear()
            self._claim(record)
            if before:
                self._remove(record, before)
            if self._file is None:
                write_run(self.folder / run_name(self.path.name), self._run)
                self._file = self.path.open("ab", buffering=0)
            try:
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                self._file.truncate(self._end)
                raise
            self._end += len(line)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return record

    def _joined(self, record: Record, before: _Known) -> Record:
        """Return a record with the maps by other methods that its picture has from before.

        Those count whose files are still as they were, under the names that this list gives them:
        a run with other settings may have been killed behind its files, before its record.
        """
        made = {each.method for each in record.explanations}
        if record.failed or before.methods <= made or before.sha256.hex() != record.sha256:
            return record
        old = record_at(self.folder / before.manifest, before.start, record.source)
        sound = {each[0] for each in before.files if self._holds(record.source, before, *each)}
        others = [each for each in old.explanations if each.method not in made]
        lost = {each.method for each in others if not sound.issuperset(each.files.values())}
        others = [each for each in others if each.method not in lost]
        every = (*others, *record.explanations)
        names = {name for each in every for name in each.files.values()} | {*record.files.values()}
        digests = {**old.digests, **record.digests}
        return replace(
            record,
            explanations=every,
            digests={name: each for name, each in digests.items() if name in names},
        )

    def check(self) -> None:
        """Raise GradcamError when somebody else has changed the file that the records go to."""
        if self.path in self._doomed:
            return
        try:
            size = self.path.stat().st_size
            if size != self._end:  # some network disks remember a file's size for a while
                with self.path.open("rb") as file:
                    size = file.seek(0, os.SEEK_END)
        except FileNotFoundError:
            size = 0
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if size != self._end:
            self._superseded = False  # what somebody else wrote stays as it is
            raise GradcamError(
                f"{self.path} was changed by somebody else while this run wrote to it",
                "run again: pictures whose records are gone are done again",
            )

    def close(self) -> None:
        """Close the file; of pictures that were done again only the last record is kept."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise cannot_write(self.path, error) from error
        if self._superseded:
            self._superseded = False
            write_bytes(self.path, last_lines(self.path))

    def _load_other(self, path: Path) -> None:
        damaged: list[Damaged] = []
        for record, start in placed(path, damaged.append):
            _check_version(record, self.folder)
            if record.settings != self.settings:
                raise self._of_other_settings(path)
            self._remember(record, path.name, start)
        if damaged:
            self.warnings.append(f"{damage(damaged)} and passed by")

    def _read_own(self) -> None:
        damaged: list[Damaged] = []
        own: set[str] = set()
        gone = counted = 0
        for record, start in placed(self.path, damaged.append):
            gone += sum(line.size for line in damaged[counted:])
            counted = len(damaged)
            _check_version(record, self.folder)
            self._superseded |= record.source in own
            own.add(record.source)
            # Where it will be when the damaged lines before it have gone.
            self._remember(record, self.path.name, start - gone)
        if damaged:
            aside = set_aside(self.path, damaged)
            self.warnings.append(
                f"{damage(damaged)}, now in {aside.name}; pictures without a record are done again"
            )

    def _remember(self, record: Record, manifest: str, start: int) -> None:
        self._claim(record)
        self._known[record.source] = _Known(
            settings="" if record.failed else sys.intern(record.settings),
            sha256=bytes.fromhex(record.sha256),
            size=record.size,
            mtime_ns=record.mtime_ns,
            empty=record.empty,
            methods=frozenset(each.method for each in record.explanations),
            files=tuple((*each, record.digests.get(each[0], "")) for each in record.every_file()),
            written_ns=record.written_ns,
            manifest=sys.intern(manifest),
            start=start,
        )

    def _claim(self, record: Record) -> None:
        """Note whose the names of a record's files are now; whoever had one has lost it."""
        before = self._known.get(record.source)
        for name, *_ in before.files if before else ():
            if self._owners.get(name) == record.source:
                del self._owners[name]
        for name, _ in record.every_file():
            owner = self._owners.get(name)
            if owner is not None and owner != record.source and owner in self._known:
                self._superseded |= self._known[owner].manifest == self.path.name
                del self._known[owner]
                self.displaced.append(owner)
            self._owners[name] = record.source

    def _remove(self, record: Record, before: _Known) -> None:
        # A manifest is a file that anybody can write: only this picture's own places are believed.
        made = {name for name, _ in record.every_file()}
        for name, *_ in before.files:
            mine = any(_is_below(name, stem) for stem in both_stems(record.source, self._stems))
            if mine and name not in made and self._owners.get(name) in (None, record.source):
                (self.folder / name).unlink(missing_ok=True)

    def _of_other_settings(self, path: Path) -> GradcamError:
        other = read_run(self.folder / run_name(path.name))
        which = "; ".join(differences(other.settings, self._run.settings)[:3]) if other else ""
        return GradcamError(
            f"{path} is of a run with other settings" + (f" ({which})" if which else ""),
            "give the same options to every shard, or choose another folder with -o",
        )


def _may_pass(record: Record) -> bool:
    """Return whether a failure is one of reaching a picture, and says nothing of what is in it."""
    reach = (FailureKind.VANISHED, FailureKind.TIMEOUT, FailureKind.UNREADABLE)
    return record.error is not None and record.error.kind in reach


def _same_file(path: Path, size: int, content: str, written_ns: int) -> bool:
    """Return whether a file is as a record has it: by its length and time, else by its content.

    A process that was killed may have put another file in its place: arrays are all of one length.
    """
    try:
        facts = path.stat()
        if facts.st_size != size:
            return False
        if not content or facts.st_mtime_ns <= written_ns:
            return True
        with open_regular(path) as file:
            return content_digest(file.read()) == content
    except OSError:
        return False


def _is_below(name: str, stem: str) -> bool:
    """Return whether a file has a picture's stem, and nothing but an ending behind it."""
    return name.startswith(f"{stem}.") and "/" not in name[len(stem) :]


def _check_version(record: Record, folder: Path) -> None:
    if record.version != SCHEMA_VERSION:
        raise GradcamError(
            f"{folder} was made by gradcam 0.1, which gave files other names",
            "choose another folder with -o, or remove this one; `gradcam report` still reads it",
        )


def _same_picture(path: Path, record: _Known) -> bool:
    try:
        facts = path.stat()
        if facts.st_size != record.size:
            return False
        if facts.st_mtime_ns == record.mtime_ns:
            return True
        with open_regular(path) as file:
            return hashlib.sha256(file.read()).digest() == record.sha256
    except OSError:
        return False
