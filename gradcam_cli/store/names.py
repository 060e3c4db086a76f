"""Where each source's outputs go below the output folder, decided by the list of sources alone."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from gradcam_cli.errors import GradcamError
from gradcam_cli.sources.endings import ending
from gradcam_cli.sources.find import Found, fixed_part, own_name
from gradcam_cli.store.atomic import part_of

_WRITTEN = {".jpg", ".png", ".webp", ".npy", ".jsonl", ".json"}
_LONGEST = 150  # bytes of a name; leaves room in 255 for a class, a kind and an extension
_LONGEST_LAYER = 40
USUAL = "gradcam"
"""The method whose files do not carry its name."""
_MARK = re.compile(r"~[0-9a-f]{8}$", re.IGNORECASE)
_FORBIDDEN = frozenset('<>:"|?*\\/')  # on Windows' disks


def stems(sources: Iterable[Found]) -> dict[str, str]:
    """Return where the outputs of each source go: a path below the output folder, without ending.

    By ``source``. ``photos/cats/a.jpg`` from the folder ``photos`` gives ``photos/cats/a.jpg`` (and
    an output ``photos/cats/a.jpg.top1.jpg``); roots and ``..`` are left out, and what no disk takes
    is replaced. Where two of the list would meet, on a disk that ignores case and Unicode
    composition, each carries a hash of its own path, ``a.jpg~bb992adf``; so does a name that is too
    long and was cut.
    """
    plain = {found.source: _stem(found) for found in sources}
    taken = Counter(_alike(stem) for stem, _ in plain.values())
    return {
        source: stem if whole and taken[_alike(stem)] == 1 else f"{stem}~{_hash(source)}"
        for source, (stem, whole) in plain.items()
    }


def map_part(slot: str, method: str, layer: str = "") -> str:
    """Return what a map's files are called behind the image's stem: ``.top1.layercam``.

    Grad-CAM is not named, unless the ``layer`` is, as ``layer_names`` calls it.
    """
    if not layer:
        return f".{slot}" if method == USUAL else f".{slot}.{method}"
    return f".{slot}.{method}.{layer}"


def layer_names(paths: Iterable[str]) -> dict[str, str]:
    """Return what each of several layers is called in the names of files: ``block-conv``.

    One that is too long, or has what no disk takes, carries a hash of its path, and so do two that
    would meet on a disk that ignores case: the layers ``a/b`` and ``a-b``.
    """
    clean = {path: re.sub(r"[^\w-]+", "-", path) for path in paths}
    taken = Counter(map(_alike, clean.values()))

    def whole(path: str, name: str) -> bool:
        short = len(name.encode()) <= _LONGEST_LAYER
        return short and name == path.replace("/", "-") and taken[_alike(name)] == 1

    return {
        path: name if whole(path, name) else f"{_cut(name, _LONGEST_LAYER)}~{_hash(path)}"
        for path, name in clean.items()
    }


def both_stems(source: str, stems: Mapping[str, str]) -> tuple[str, str]:
    """Return a source's stem as it is without a hash and with one: other lists may differ."""
    mark = f"~{_hash(source)}"
    plain = stems[source].removesuffix(mark)
    return plain, plain + mark


def _stem(found: Found) -> tuple[str, bool]:
    """Return a source's path below the output folder, and whether it can stay as it is."""
    path = PurePath(found.below or found.source)
    parts = [part for part in path.relative_to(path.anchor).parts if part != ".."]
    clean = [_clean(part, folder=place < len(parts)) for place, part in enumerate(parts, 1)]
    short = [_cut(part) for part in clean]
    return "/".join(short) or "_", short == clean and not _MARK.search(path.name)


def _alike(stem: str) -> str:
    """Return what is the same for names that some disk takes for the same."""
    return unicodedata.normalize("NFC", stem.upper().casefold())


def _hash(source: str) -> str:
    return hashlib.blake2b(os.fsencode(source), digest_size=4).hexdigest()


def _clean(part: str, folder: bool) -> str:
    """Return a name that can be shown, and that any disk takes.

    A folder's does not end like an output file's: ``a.jpg.top1.jpg/b.jpg`` lies beside ``a.jpg``.
    """
    name = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in part)
    if name.endswith((" ", ".")):
        name = name[:-1] + "_"
    if folder and ending(name) in _WRITTEN:
        name += "_"
    return name


def _cut(name: str, most: int = _LONGEST) -> str:
    """Return a name that leaves room for a suffix."""
    raw = name.encode()
    return name if len(raw) < most else raw[: most - 1].decode(errors="ignore") + "_"


def check_output(
    named: Sequence[str], sources: Sequence[Found], stems: dict[str, str], folder: Path
) -> None:
    """Make the output folder, and make sure that it can be written and is no one's source.

    ``named`` are the sources as the user named them. Raises GradcamError when the folder is a file,
    cannot be written, lies inside a source folder or has one where its outputs go (the next run
    would take its pictures for sources), or would get an output in a source's place.
    """
    real = _real(folder)
    for each in named:
        walked = _walked(each)
        if walked is None:
            continue
        for below in (folder, folder / own_name(walked)):
            if _real(below).is_relative_to(_real(walked)):
                raise GradcamError(
                    f"the output folder {below} lies inside the source folder {each}",
                    "its pictures would be sources of the next run; choose another folder, "
                    f"such as -o {Path(os.pardir, folder.name or 'gradcam_output')}",
                )
    inside = _inside(sources, set(named), real)
    taken = set(stems.values()) if inside else set()
    for source, place in inside:
        if _starts_with(place, taken):
            raise GradcamError(
                f"the source {source} has the name of an output in {folder}",
                "leave it out, or choose another folder with -o",
            )
    _try_writing(folder)


def _walked(source: str) -> Path | None:
    """Return the folder that a source is, or that its ``**`` walks."""
    if source == "-" or source.startswith("@"):
        return None
    path = Path(source)
    if not os.path.lexists(path) and "**" in path.parts:
        path = fixed_part(source)
    try:
        return path if path.is_dir() else None
    except OSError:  # not ours to enter: reading it will say so
        return None


def _inside(sources: Sequence[Found], named: set[str], real: Path) -> list[tuple[str, PurePath]]:
    """Return the sources that lie below the real output folder, with their paths there."""
    folders: dict[Path, Path] = {}
    found: list[tuple[str, PurePath]] = []
    for each in sources:
        folder = each.path.parent
        if folder not in folders:
            folders[folder] = _real(folder)
        places = [folders[folder] / each.path.name]
        if each.source in named:  # others are seldom links
            places.append(_real(each.path))
        found += [(each.source, p.relative_to(real)) for p in places if real in p.parents]
    return found


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve fails on links in circles


def _starts_with(place: PurePath, stems: set[str]) -> bool:
    pieces = place.as_posix().split(".")
    return any(".".join(pieces[:count]) in stems for count in range(1, len(pieces)))


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
            f"the output folder {folder} is a file, or lies in one", "choose another with -o"
        ) from error
    except OSError as error:
        raise GradcamError(
            f"the output folder {folder} cannot be written: {error.strerror}",
            "choose another with -o",
        ) from error
