"""The pictures of a record become small ones, made once, in the output folder."""

from __future__ import annotations

import base64
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.location import known
from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.images.encode import encode
from gradcam_cli.images.files import Picture, read_picture
from gradcam_cli.images.fit import shrink
from gradcam_cli.render.again import Look, overlay_again
from gradcam_cli.report.addresses import inside, way_to
from gradcam_cli.report.maps import drawn_heat
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.store.records import ExplanationRecord, Record, content_digest

FOLDER = "report_files"
"""Where the small pictures lie in the output folder."""

_SIDE, _EMBEDDED_SIDE, _LARGE_SIDE = 400, 560, 1000  # pixels of the longer side
_MANY = 500  # images whose overlays are drawn again on the larger side
_QUALITY, _EMBEDDED_QUALITY = 78, 72
_KEY = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What can be shown of a record.

    ``original`` is the URL of the image that was explained, '' where it is not there, or not the
    same any more. ``image`` and ``maps`` (one an explanation) are small pictures: the keys of
    files, or data URLs where everything is embedded; '' where there is none. ``redrawn`` counts
    those overlays that were drawn again from their maps, ``guessed`` those of them whose cells may
    lie elsewhere. ``missing`` counts the maps that neither file nor drawing shows.
    """

    original: str = ""
    image: str = ""
    maps: tuple[str, ...] = ()
    missing: int = 0
    redrawn: int = 0
    guessed: int = 0


@dataclass(slots=True)
class _Base:
    """The image under a record's overlays: its pixels are read where they are needed only."""

    path: Path | None
    read: Picture | None
    white: int

    def pixels(self) -> NDArray[np.uint8] | None:
        """Return the image, RGB uint8 ``[H, W, 3]``."""
        if self.read is None and self.path is not None:
            with suppress(ImageError):
                self.read = read_picture(self.path, white=self.white)
        return self.read.pixels if self.read else None


@dataclass(slots=True)
class Thumbnails:
    """Makes the small pictures of records; ``fault`` says why they cannot be written, if so.

    ``look`` is how the run drew; ``embed`` gives data URLs of all maps in place of files of the
    first. Overlays that are not there are drawn again, large enough for one image at full size, but
    in a run of many images as small as the others.
    """

    folder: Path
    page: Path
    look: Look = field(default_factory=Look)
    embed: bool = False
    fault: str = ""
    _asked: int = 0
    _roots: tuple[Path, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._roots = (Path.cwd(), self.folder.absolute().parent)

    def __call__(self, record: Record) -> Shown:
        """Return what can be shown of a record, its small pictures in place."""
        if record.failed:
            return Shown()
        many = self._asked >= _MANY  # of a count that threads share: about is enough
        original, read = self.original(record)
        base = _Base(original, read, self.look.white)
        maps, missing, again = [], 0, []
        for place, item in enumerate(record.explanations):
            path = inside(_name(item), self.folder)
            if path is not None:
                maps.append(self._of_map(item, path, record) if self.embed or not place else "")
                continue
            small, lies = self._again(item, record, base, many)
            maps.append(small)
            again += [lies] if small else []
            missing += not small and not item.empty
        self._asked += bool(missing or again)
        return Shown(
            original="" if self.embed or original is None else way_to(original, self.page),
            image=self.of_image(base.read, record) if original else "",
            maps=tuple(maps),
            missing=missing,
            redrawn=len(again),
            guessed=again.count(False),
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
                read = read_picture(path, white=self.look.white)
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

    def _again(
        self, item: ExplanationRecord, record: Record, base: _Base, small: bool
    ) -> tuple[str, bool]:
        """Return an overlay drawn from its map, '' without one, and whether its place is known."""
        heat = None if base.path is None or self.fault else drawn_heat(item, self.folder)
        if heat is None:
            return "", True
        side = _EMBEDDED_SIDE if self.embed else _SIDE if small else _LARGE_SIDE
        lies = known(item.cells, (heat.shape[0], heat.shape[1])) is not None
        facts = (
            record.sha256,
            item.method,
            item.cells,
            self.look,
            side,
            content_digest(heat.tobytes()),
        )
        key = content_digest(repr(facts).encode())
        if not self.embed and self._path(key).exists():
            return key, lies
        image = base.pixels()
        if image is None:
            return "", True
        drawn, _ = overlay_again(shrink(image, side), heat, item.cells, self.look)
        return self.made(key, drawn, side), lies

    def _of_map(self, item: ExplanationRecord, path: Path, record: Record) -> str:
        """Return a map's small picture; '' where its file is not the one that was written."""
        key = record.digests.get(_name(item), "")
        if _KEY.fullmatch(key) and not self.embed and self._path(key).exists():
            return key
        try:
            read = read_picture(path)
        except ImageError:
            return ""
        if key and not read.sha256.startswith(key):
            return ""
        return self.made(read.sha256[:16], read.pixels)

    def made(self, key: str, pixels: NDArray[np.uint8], side: int = 0) -> str:
        """Return a small picture's data URL, or the key of its file, made where it is not there.

        Its longer side is at most ``side`` pixels, or as usual.
        """
        side = side or (_EMBEDDED_SIDE if self.embed else _SIDE)
        try:
            if self.embed:
                data = encode(shrink(pixels, side), "webp", _EMBEDDED_QUALITY)
                return "data:image/webp;base64," + base64.b64encode(data).decode()
            if not self.fault and not self._path(key).exists():
                self._check_place(self._path(key))
                write_bytes(self._path(key), encode(shrink(pixels, side), "webp", _QUALITY))
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
        return shrink(pixels, _EMBEDDED_SIDE if self.embed else _SIDE)

    def _check_place(self, path: Path) -> None:
        """Raise GradcamError where a link would lead a small picture out of the folder."""
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder)):
            raise GradcamError(f"{self.folder / FOLDER} leads out of the folder", "remove the link")

    def _path(self, key: str) -> Path:
        return self.folder / FOLDER / key[:2] / f"{key}.webp"


def _name(item: ExplanationRecord) -> str:
    return item.files.get("overlay", "") or item.files.get("heatmap", "")
