"""What the user named becomes a stream of picture paths, each with a place for its output."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from gradcam_cli.errors import GradcamError, suggestion
from gradcam_cli.images.endings import ending, is_picture, is_unread
from gradcam_cli.images.files import part_of
from gradcam_cli.images.lists import check_list, entries, listed

__all__ = ["Found", "check_output", "find_pictures", "output_stem"]

_WRITTEN = {".jpg", ".png", ".webp", ".npy", ".jsonl"}
_LONGEST = 150  # bytes of a name; leaves room in 255 for a class, a kind and an extension
_MARK = re.compile(r"~[0-9a-f]{8}$")
_MAGIC = re.compile(r"[*?\[]")
_FORBIDDEN = frozenset('<>:"|?*\\/')  # on Windows' disks


@dataclass(frozen=True, slots=True)
class Found:
    """A picture to read: ``path`` opens it, ``source`` is how the user can name it again.

    ``unlisted`` is a folder that stands here for all the pictures that may be in it; ``unread``
    a picture that was come across whose type, by its ending, is not read.
    """

    path: Path
    source: str
    unlisted: bool = False
    unread: bool = False


@dataclass(slots=True)
class _Seen:
    """What was yielded already: files named one by one, and folders walked; what to keep out of."""

    files: set[str] = field(default_factory=set)
    folders: set[object] = field(default_factory=set)
    output: Path | None = None


def find_pictures(
    sources: Sequence[str],
    stdin: Iterable[bytes] | None = None,
    *,
    nul: bool = False,
    output_dir: Path | None = None,
) -> Iterator[Found]:
    """Return the pictures that ``sources`` name, found while they are asked for.

    A source is a picture file, a folder (walked recursively, in order of names, files before
    subfolders), a glob (``*.jpg``, ``a/**/*.png``), ``@list.txt`` (a path a line) or ``-`` (such a
    list on ``stdin``); with ``nul`` the paths in lists end in a zero byte. What is named outright
    is always yielded, whatever its name ends with; folders, and globs that end in a bare ``*``,
    give files with a known extension, those of types that are not read as ``unread``, without
    hidden ones. Links are followed; no folder is walked twice, and no file yielded twice
    under one name. ``output_dir`` is never walked. A folder that cannot be listed is itself
    yielded, so that reading it says why; so is a path in a list that does not exist.

    Raises GradcamError, before anything is yielded, for a source or list that does not exist, and
    for a glob that matches nothing.
    """
    for source in sources:
        _check_source(source, stdin, nul)
    return _find(sources, stdin or (), nul, _Seen(output=output_dir))


def output_stem(found: Found) -> str:
    """Return where a picture's outputs go: a path below the output folder, without a suffix.

    It is the picture's own path with its extension, so ``x/a.jpg`` gives ``x/a.jpg`` (and an
    output ``x/a.jpg.tusker.jpg``); ``/data/a.jpg`` gives ``@root/data/a.jpg`` and ``../a.jpg``
    gives ``@up/a.jpg``. It depends on nothing but ``source``. A path that is not safe on every
    disk, or not distinct on one that ignores case or Unicode composition, is marked with a hash:
    ``IMG_1.JPG`` gives ``IMG_1.JPG~bb992adf``. Names too long for a suffix are cut and marked.
    """
    path = PurePath(found.source)
    clean = ["@root", *_clean(path.drive, folder=True)] if path.anchor else []
    plain = not path.drive
    parts = path.parts[1:] if path.anchor else path.parts
    for place, part in enumerate(parts, 1):
        clean.append("@up" if part == ".." else _clean(part, folder=place < len(parts)))
        plain = plain and (part == ".." or (clean[-1] == part and _is_distinct(part)))
    stem = "/".join(clean)
    if plain:
        return stem
    return f"{stem}~{hashlib.blake2b(os.fsencode(found.source), digest_size=4).hexdigest()}"


def check_output(sources: Sequence[str], output_dir: Path) -> None:
    """Make the output folder, and make sure that it can be written and is no one's source.

    Raises GradcamError when it is a file, cannot be written, lies inside a source folder (the next
    run would take its pictures for sources), or would get an output in a source's place.
    """
    real = _real(output_dir)
    for source in sources:
        folder = _stands_for(source)
        if folder is not None and _is_folder(folder) and real.is_relative_to(_real(folder)):
            raise GradcamError(
                f"the output folder {output_dir} lies inside the source folder {source}",
                "its pictures would be sources of the next run; choose another folder, "
                f"such as -o {Path(os.pardir, output_dir.name or 'gradcam_output')}",
            )
    named = [path for source in sources for path in _files(source, output_dir)]
    stems = {output_stem(Found(path, os.fspath(path))) for path in named}
    for path in named:
        for place in (_real(path), _real(path.parent) / path.name):
            if place.is_relative_to(real) and _starts_with(place.relative_to(real), stems):
                raise GradcamError(
                    f"the source {path} has the name of an output in {output_dir}",
                    "leave it out, or choose another folder with -o",
                )
    _try_writing(output_dir)


def _starts_with(place: Path, stems: set[str]) -> bool:
    pieces = place.as_posix().split(".")
    return any(".".join(pieces[:count]) in stems for count in range(1, len(pieces)))


def _stands_for(source: str) -> Path | None:
    """Return the path that a source is, or the folder that its ``**`` walks."""
    if source == "-" or source.startswith("@"):
        return None
    path = Path(source)
    if os.path.lexists(path) or not _MAGIC.search(source):
        return path
    if "**" not in path.parts:
        return None
    fixed = next(index for index, part in enumerate(path.parts) if _MAGIC.search(part))
    return Path(*path.parts[:fixed])


def _files(source: str, output_dir: Path) -> Iterable[Path]:
    """Return the files that a source names outright; not those in folders, lists and ``**``."""
    path = _stands_for(source)
    if path is not None:
        return () if _is_folder(path) else (path,)
    return _glob(source, output_dir) if source != "-" and not source.startswith("@") else ()


def _try_writing(folder: Path) -> None:
    probe = part_of(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"0")
        finally:
            probe.unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise GradcamError(
            f"the output folder {folder} cannot be made: a file, pipe, device or broken link is in "
            "its place, or above it",
            "choose another with -o",
        ) from error
    except OSError as error:
        raise GradcamError(
            f"the output folder {folder} cannot be written: {error.strerror}",
            "choose another with -o",
        ) from error


def _check_source(source: str, stdin: Iterable[bytes] | None, nul: bool) -> None:
    """Raise GradcamError for a source that cannot be; reads at most one match of a glob."""
    if source == "-":
        if stdin is None:
            raise GradcamError("there is no list on standard input", "name a picture or a folder")
        return
    if source.startswith("@"):
        check_list(Path(source[1:]), nul)
        return
    try:
        os.lstat(source)
    except ValueError as error:
        raise GradcamError(f"{source!r} is no file name", "it holds a zero byte") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if not _MAGIC.search(source):
            raise GradcamError(f"{source} does not exist", _near(Path(source))) from error
        if next(_glob(source, None), None) is None:
            raise GradcamError(f"nothing matches {source}", "check the pattern") from error
    except OSError as error:
        raise GradcamError(f"{source} cannot be reached: {error.strerror}", "check it") from error


def _near(path: Path) -> str:
    return suggestion(path.name, _names(path.parent), "check its name")


def _find(
    sources: Sequence[str], stdin: Iterable[bytes], nul: bool, seen: _Seen
) -> Iterator[Found]:
    for source in sources:
        outright = True
        if source == "-":
            names = entries(stdin, nul)
        elif source.startswith("@"):
            names = listed(Path(source[1:]), nul)
        elif os.path.lexists(source) or not _MAGIC.search(source):
            names = iter((Path(source),))
        else:
            names = _glob(source, seen.output)
            outright = Path(source).name != "*"
        for name in names:
            yield from _named(name, seen, outright)


def _named(path: Path, seen: _Seen, outright: bool) -> Iterator[Found]:
    """Yield what one path names: itself, or everything in a folder."""
    if _is_folder(path):
        yield from _walk(path, seen)
        return
    key = _key(path.parent, path.name)
    walked = _is_taken(path.name) and _identity(path.parent) in seen.folders
    if (not walked or _is_special(path)) and key not in seen.files:
        seen.files.add(key)
        yield Found(path, os.fspath(path), unread=not outright and is_unread(path.name))


def _walk(root: Path, seen: _Seen) -> Iterator[Found]:
    """Yield the pictures below a folder: names in order, files before subfolders."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        identity = _identity(folder)
        if identity in seen.folders or identity == _identity(seen.output):
            continue
        seen.folders.add(identity)
        try:
            files, folders = _listing(folder)
        except OSError:
            yield Found(folder, os.fspath(folder), unlisted=True)
            continue
        for name in files:
            if not seen.files or _key(folder, name) not in seen.files:
                path = folder / name
                yield Found(path, os.fspath(path), unread=is_unread(name))
        waiting += [folder / name for name in reversed(folders)]


def _listing(folder: Path) -> tuple[list[str], list[str]]:
    """Return the pictures and the folders in a folder, sorted; nothing hidden, nothing special."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    folders.append(entry.name)
                elif _is_taken(entry.name) and (entry.is_file() or _is_broken(entry)):
                    files.append(entry.name)
            except OSError:  # a link in circles, for one: reading it will say so
                files.append(entry.name)
    return sorted(files, key=os.fsencode), sorted(folders, key=os.fsencode)


def _is_broken(entry: os.DirEntry[str]) -> bool:
    """Tell whether a link leads nowhere; it is yielded, so that its record can say so."""
    return entry.is_symlink() and not Path(entry.path).exists()


def _is_special(path: Path) -> bool:
    """Tell pipes and devices, which a walk leaves alone."""
    try:
        return path.exists() and not path.is_file()
    except OSError:
        return False


def _is_taken(name: str) -> bool:
    """Tell what is taken from a folder: pictures, those of types that are not read among them."""
    return is_picture(name) or is_unread(name)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # not ours to enter: reading it will say so
        return False


def _identity(folder: Path | None) -> object:
    """Return what tells a folder from every other one, by whatever path it is reached."""
    if folder is None:
        return None
    try:
        facts = folder.stat()
        return (facts.st_dev, facts.st_ino) if facts.st_ino else os.path.realpath(folder)
    except (OSError, ValueError):
        return os.fspath(folder)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve fails on links in circles


def _key(folder: Path, name: str) -> str:
    """Return a file's name in its real folder: the same by whatever path it was named."""
    return os.fspath(_real(folder) / name)


def _glob(pattern: str, avoid: Path | None) -> Iterator[Path]:
    """Yield the paths that match a pattern, in order; ``**`` is any number of folders.

    The folder ``avoid`` is entered only where the pattern spells its name out. A pattern that ends
    in a bare ``*`` gives only folders, and what is taken from a folder.
    """
    path = Path(pattern)
    parts = path.parts[1:] if path.anchor else path.parts
    for match in _matches(Path(path.anchor), parts, frozenset(), _identity(avoid)):
        if parts[-1] != "*" or _is_taken(match.name) or _is_folder(match):
            yield match


def _matches(
    base: Path, parts: tuple[str, ...], above: frozenset[object], avoid: object
) -> Iterator[Path]:
    """Yield what matches below ``base``; ``**`` must not enter the folders ``above`` again."""
    if not parts:
        yield base
        return
    head, rest = parts[0], parts[1:]
    if head == "**":
        identity = _identity(base)
        if identity in above or identity == avoid:
            return
        if not rest:
            yield base  # a folder, to be walked
            return
        yield from _matches(base, rest, above, avoid)
        for name in _names(base):
            if not name.startswith(".") and _is_folder(base / name):
                yield from _matches(base / name, parts, above | {identity}, avoid)
    elif not _MAGIC.search(head):
        if os.path.lexists(base / head):
            yield from _matches(base / head, rest, above, avoid)
    else:
        for name in _names(base):
            hidden = name.startswith(".") and not head.startswith(".")
            fits = not hidden and fnmatch.fnmatchcase(name, head)
            if fits and (not rest or _is_folder(base / name)) and _identity(base / name) != avoid:
                yield from _matches(base / name, rest, above, avoid)


def _names(folder: Path) -> list[str]:
    try:
        return sorted((path.name for path in folder.iterdir()), key=os.fsencode)
    except OSError:
        return []


def _clean(part: str, folder: bool) -> str:
    """Return a name that can be shown, that any disk takes, and that leaves room for a suffix.

    A folder's does not end like an output file's: ``a.jpg.top1.jpg/b.jpg`` lies beside ``a.jpg``.
    """
    name = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in part)
    if name.endswith((" ", ".")):
        name = name[:-1] + "_"
    if folder and ending(name) in _WRITTEN:
        name += "_"
    raw = name.encode()
    return name if len(raw) <= _LONGEST else raw[: _LONGEST - 1].decode(errors="ignore") + "_"


def _is_distinct(part: str) -> bool:
    """Tell whether a name is its own form on a disk that ignores case or Unicode composition.

    Names that look like this module's own marks are not.
    """
    if part.startswith("@") or _MARK.search(part):
        return False
    folded = unicodedata.normalize("NFC", part).casefold()
    return folded == part and part.upper().lower() == part
