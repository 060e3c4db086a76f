"""The pictures of a record become small ones, made once, in the output folder."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.images.encode import encode
from gradcam_cli.images.files import Picture, read_picture
from gradcam_cli.report.addresses import inside, way_to
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.store.records import ExplanationRecord, Record

FOLDER = "report_files"
"""Where the small pictures lie in the output folder."""

_SIDE, _EMBEDDED_SIDE = 400, 560  # pixels of the longer side
_QUALITY, _EMBEDDED_QUALITY = 78, 72
_KEY = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What can be shown of a record.

    ``original`` is the URL of the image that was explained, '' where it is not there, or not the
    same any more. ``image`` and ``maps`` (one an explanation) are small pictures: the keys of
    files, or data URLs where everything is embedded; '' where there is none. ``missing`` counts
    the overlays that the record names and the folder lacks.
    """

    original: str = ""
    image: str = ""
    maps: tuple[str, ...] = ()
    missing: int = 0


@dataclass(slots=True)
class Thumbnails:
    """Makes the small pictures of records; ``fault`` says why they cannot be written, if so.

    ``white`` is the level that is white in deep images, as in the run; ``embed`` gives data URLs
    of all maps in place of files of the first.
    """

    folder: Path
    page: Path
    white: int = 0
    embed: bool = False
    fault: str = ""
    _roots: tuple[Path, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._roots = (Path.cwd(), self.folder.absolute().parent)

    def __call__(self, record: Record) -> Shown:
        """Return what can be shown of a record, its small pictures in place."""
        if record.failed:
            return Shown()
        overlays = [inside(_name(item), self.folder) for item in record.explanations]
        named = sum(bool(_name(item)) for item in record.explanations)
        original, read = self.original(record)
        maps = [
            self._of_map(item, path, record) if self.embed or not place else ""
            for place, (item, path) in enumerate(zip(record.explanations, overlays, strict=True))
        ]
        return Shown(
            original="" if self.embed or original is None else way_to(original, self.page),
            image=self.of_image(read, record) if original else "",
            maps=tuple(maps),
            missing=named - sum(path is not None for path in overlays),
        )

    def original(self, record: Record) -> tuple[Path | None, Picture | None]:
        """Return the image that a record is about, and what was read of it, if it had to be.

        A manifest may name any file of this machine, and what is shown may be passed on: only a
        file with the very content that the record states is believed. A record without a size says
        nothing that would spare reading the file.
        """
        if not _DIGEST.fullmatch(record.sha256) or record.source.startswith(("//", "\\\\")):
            return None, None
        key = record.sha256[:16]
        for root in self._roots:
            path = root / record.source
            try:
                facts = path.stat()
            except (OSError, ValueError):
                continue
            if record.size and facts.st_size != record.size:
                continue
            same = record.size and facts.st_mtime_ns == record.mtime_ns
            if same and not self.embed and (self.fault or self._path(key).exists()):
                return path, None
            try:
                read = read_picture(path, white=self.white)
            except ImageError:
                continue
            if read.sha256 == record.sha256:
                return path, read
        return None, None

    def of_image(self, read: Picture | None, record: Record) -> str:
        """Return the small picture of what was read of an image."""
        key = record.sha256[:16]
        if read is None:
            return "" if self.fault else key
        return self.made(key, read.pixels)

    def _of_map(self, item: ExplanationRecord, path: Path | None, record: Record) -> str:
        """Return a map's small picture; '' where its file is not the one that was written."""
        key = record.digests.get(_name(item), "")
        if path is None:
            return ""
        if _KEY.fullmatch(key) and not self.embed and self._path(key).exists():
            return key
        try:
            read = read_picture(path)
        except ImageError:
            return ""
        if key and not read.sha256.startswith(key):
            return ""
        return self.made(read.sha256[:16], read.pixels)

    def made(self, key: str, pixels: NDArray[np.uint8]) -> str:
        """Return a small picture's data URL, or the key of its file, made where it is not there."""
        try:
            if self.embed:
                data = encode(self.shrunk(pixels), "webp", _EMBEDDED_QUALITY)
                return "data:image/webp;base64," + base64.b64encode(data).decode()
            if not self.fault and not self._path(key).exists():
                self._check_place(self._path(key))
                write_bytes(self._path(key), encode(self.shrunk(pixels), "webp", _QUALITY))
        except ImageError:
            return ""
        except GradcamError as error:  # a folder that cannot be written to can be read all the same
            self.fault = error.message
        return "" if self.fault else key

    def way(self, original: Path) -> str:
        """Return the URL of an image as seen from the page."""
        return way_to(original, self.page)

    def shrunk(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image as large as small pictures are."""
        return _small(pixels, _EMBEDDED_SIDE if self.embed else _SIDE)

    def _check_place(self, path: Path) -> None:
        """Raise GradcamError where a link would lead a small picture out of the folder."""
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder)):
            raise GradcamError(f"{self.folder / FOLDER} leads out of the folder", "remove the link")

    def _path(self, key: str) -> Path:
        return self.folder / FOLDER / key[:2] / f"{key}.webp"


def _name(item: ExplanationRecord) -> str:
    return item.files.get("overlay", "") or item.files.get("heatmap", "")


def _small(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
