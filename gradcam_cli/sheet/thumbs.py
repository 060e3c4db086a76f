"""A map's files become small pictures; what is gone is noted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.compact import expanded
from gradcam_cli.cam.maps import displayed
from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.images.files import read_picture
from gradcam_cli.models.arrays import read_array
from gradcam_cli.render.again import Look, overlay_again
from gradcam_cli.sheet.choose import Shown

Pixels = NDArray[np.uint8]


@dataclass(slots=True)
class Thumbs:
    """Makes small pictures of a run's maps, ``beside`` the original or alone.

    ``redrawn``, ``stretched``, ``left_out`` and ``moved`` collect the pictures whose overlay was
    drawn again from its map, was without knowing where its cells lie, could not be, and those that
    are not where they were.
    """

    folder: Path
    look: Look
    beside: bool = False
    redrawn: list[str] = field(default_factory=list)
    stretched: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)

    def __call__(self, shown: Shown, width: int, height: int) -> list[Pixels]:
        """Return the overlay, or the original and the overlay, none where it cannot be had.

        Each fits into ``width`` x ``height`` pixels.
        """
        overlay = self._read(shown.overlay)
        original = None
        if self.beside or overlay is None:
            original = self._original(shown)
        if overlay is None:
            overlay = self._again(shown, original)
            if overlay is None:
                self.left_out.append(shown.source)
                return []
        pictures = [overlay]
        if self.beside and original is None:
            self.moved.append(shown.source)
        elif self.beside and original is not None:
            pictures = [original, overlay]
        return [_fitted(each, width, height) for each in pictures]

    def _original(self, shown: Shown) -> Pixels | None:
        """Return the image that was explained; None where it is gone, or another one by now.

        A manifest may name any file of this machine: only the very content that it states counts.
        """
        try:
            picture = read_picture(Path(shown.source), white=self.look.white)
        except ImageError:
            return None
        return picture.pixels if picture.sha256 == shown.sha256 else None

    def _read(self, name: str) -> Pixels | None:
        path = self._own(name)
        if path is not None:
            with suppress(ImageError):
                return read_picture(path).pixels
        return None

    def _own(self, name: str) -> Path | None:
        """Return a file of the folder, which a link in it may not lead out of."""
        root, path = (os.path.realpath(each) for each in (self.folder, self.folder / name))
        return Path(path) if name and Path(path).is_relative_to(root) else None

    def _again(self, shown: Shown, original: Pixels | None) -> Pixels | None:
        """Return an overlay drawn from its map as the run drew it."""
        heat = self._heat(shown)
        if original is None or heat is None:
            return None
        drawn, known = overlay_again(original, heat, shown.cells, self.look)
        (self.redrawn if known else self.stretched).append(shown.source)
        return drawn

    def _heat(self, shown: Shown) -> NDArray[np.float32] | None:
        """Return a map in 0..1 as overlays show it, from its array or its record."""
        path = self._own(shown.array)
        if path is not None:
            with suppress(GradcamError):
                raw = read_array("map", path)
                if raw.ndim == 2 and raw.size:
                    return displayed(raw.astype(np.float32), shown.method)
        heat = expanded(shown.heat)
        return None if heat is None else displayed(heat, shown.method)


def problems(thumbs: Thumbs) -> Iterable[str]:
    """Yield what there is to say of pictures that are not shown as they should be."""
    for sources, sentence in (
        (thumbs.left_out, "left out: overlay and picture are gone or changed, or the map is"),
        (thumbs.redrawn, "drawn again from the map: the overlay is gone"),
        (thumbs.stretched, "drawn again from the map, as if its cells tiled the whole input"),
        (thumbs.moved, "shown as overlays alone: the pictures are not as or where they were"),
    ):
        if sources:
            first = min(sources)
            more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
            yield f"{first}{more} {sentence}"


def _fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return a picture as large as it can be within ``width`` x ``height`` pixels."""
    share = min(width / pixels.shape[1], height / pixels.shape[0])
    size = max(1, round(pixels.shape[1] * share)), max(1, round(pixels.shape[0] * share))
    way = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
