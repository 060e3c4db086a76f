"""What the user named becomes a list of image paths."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gradcam_cli.errors import GradcamError
from gradcam_cli.sources.endings import is_picture, is_unread
from gradcam_cli.sources.lists import check_list, entries, listed
from gradcam_cli.spelling import nearby

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Found:
    """An image to read: ``path`` opens it, ``source`` is how the user can name it again.

    ``below`` is where its outputs belong, as the path of a file: for an image in a folder that was
    named, below that folder's own name; for one that was named by itself, its name; for one from a
    list, its whole path. It may still hold a root or ``..``, and need not be its alone.

    ``unlisted`` is a folder that stands here for all the images that may be in it; ``unread``
    an image that was come across whose type, by its ending, is not read. ``done_by`` are methods
    whose maps of the image the output folder has already.
    """

    path: Path
    source: str
    below: str = ""
    unlisted: bool = False
    unread: bool = False
    done_by: frozenset[str] = frozenset()


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
    """Return the images that ``sources`` name, found while they are asked for.

    A source is an image file, a folder (walked recursively, in order of names, files before
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
        raise GradcamError(f"{source!r} is not a file name", "it holds a zero byte") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if not _MAGIC.search(source):
            raise GradcamError(f"{source} does not exist", nearby(Path(source))) from error
        if next(_glob(source, None), None) is None:
            raise GradcamError(
                f"nothing matches {source}",
                "* stands for any part of a name, ** for any folders; in quotes, so that the shell "
                "leaves it alone",
            ) from error
    except OSError as error:
        raise GradcamError(
            f"{source} cannot be reached: {error.strerror}",
            "name it by another path, or repair what the system says",
        ) from error


def _find(
    sources: Sequence[str], stdin: Iterable[bytes], nul: bool, seen: _Seen
) -> Iterator[Found]:
    for source in sources:
        if source == "-" or source.startswith("@"):
            listed_names = entries(stdin, nul) if source == "-" else listed(Path(source[1:]), nul)
            for name in listed_names:
                yield from _named(name, name, seen)
        elif os.path.lexists(source) or not _MAGIC.search(source):
            yield from _named(Path(source), Path(own_name(Path(source))), seen)
        else:
            fixed = fixed_part(source)
            for name in _glob(source, seen.output):
                below = Path(own_name(fixed), name.relative_to(fixed))
                yield from _named(name, below, seen, outright=Path(source).name != "*")


def own_name(path: Path) -> str:
    """Return what a file or folder is called, also where it was named ``.`` or ``..``."""
    return path.name if path.name not in ("", "..") else _real(path).name


def fixed_part(pattern: str) -> Path:
    """Return the folder that a glob's matches lie below: what stands before its first magic."""
    parts = Path(pattern).parts
    first = next(place for place, part in enumerate(parts) if _MAGIC.search(part))
    return Path(*parts[:first])


def _named(path: Path, below: Path, seen: _Seen, outright: bool = True) -> Iterator[Found]:
    """Yield what one path names: itself, or everything in a folder."""
    if _is_folder(path):
        yield from _walk(path, below, seen)
        return
    key = _key(path.parent, path.name)
    walked = _is_taken(path.name) and _identity(path.parent) in seen.folders
    if (not walked or _is_special(path)) and key not in seen.files:
        seen.files.add(key)
        unread = not outright and is_unread(path.name)
        yield Found(path, os.fspath(path), os.fspath(below), unread=unread)


def _walk(root: Path, top: Path, seen: _Seen) -> Iterator[Found]:
    """Yield the images below a folder: names in order, files before subfolders."""
    waiting = [(root, top)]
    while waiting:
        folder, below = waiting.pop()
        identity = _identity(folder)
        if identity in seen.folders or identity == _identity(seen.output):
            continue
        seen.folders.add(identity)
        try:
            files, folders = _listing(folder)
        except OSError:
            yield Found(folder, os.fspath(folder), os.fspath(below), unlisted=True)
            continue
        for name in files:
            if not seen.files or _key(folder, name) not in seen.files:
                path = folder / name
                unread = is_unread(name)
                yield Found(path, os.fspath(path), os.fspath(below / name), unread=unread)
        waiting += [(folder / name, below / name) for name in reversed(folders)]


def _listing(folder: Path) -> tuple[list[str], list[str]]:
    """Return the images and the folders in a folder, sorted; nothing hidden, nothing special."""
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
    """Return whether a link leads nowhere; it is yielded, so that its record can say so."""
    return entry.is_symlink() and not Path(entry.path).exists()


def _is_special(path: Path) -> bool:
    """Recognise pipes and devices, which a walk leaves alone."""
    try:
        return path.exists() and not path.is_file()
    except OSError:
        return False


def _is_taken(name: str) -> bool:
    """Recognise what is taken from a folder: images, of types that are not read as well."""
    return is_picture(name) or is_unread(name)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # not ours to enter: reading it will say so
        return False


def _identity(folder: Path | None) -> object:
    """Return what distinguishes a folder from every other one, by whatever path it is reached."""
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
