"""Regions that the user gives for their images: annotation files of the usual kinds, and masks.

Pascal VOC XML, COCO JSON, labelme JSON and mask images become the share of each cell of a grid over
the image that lies inside. Sizes that a file states are held against the image's proportions;
coordinates are taken as shares of them, so that annotations of a scaled image fit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Annotated

import cv2
import msgspec
import numpy as np
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from numpy.typing import NDArray

from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.images.files import read_picture
from gradcam_cli.regular import read_bounded
from gradcam_cli.sources.find import Found

Mask = NDArray[np.float64]
Polygon = list[tuple[float, float]]

_FINER = 4
"""Each cell has so many points each way that are inside or not."""
_UNLIKE = 0.02
"""By how much the proportions of annotation and image may differ."""
_MASKS = (".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_ENDINGS = (".xml", ".json", *_MASKS)
_MOST_FILES = 1_000_000
_MOST_PIXELS = 1e9
"""Of a side, and of a coordinate: what is larger is a mistake, or meant to do harm."""
_HINT = "Pascal VOC XML, COCO JSON, labelme JSON and mask images are read"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Polygons on an image of ``(H, W)``, and COCO's run-lengths.

    Those are where runs of pixels end, column by column, that lie outside and inside in turns.
    """

    size: tuple[float, float]
    polygons: list[Polygon]
    runs: list[NDArray[np.int64]] = field(default_factory=list)


class _CocoImage(msgspec.Struct):
    id: int
    file_name: str
    width: float
    height: float


class _CocoRuns(msgspec.Struct):
    counts: list[Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]] | str
    size: tuple[int, int]


class _CocoAnnotation(msgspec.Struct):
    image_id: int
    bbox: list[float] = []
    segmentation: list[list[float]] | _CocoRuns | None = None


class _Coco(msgspec.Struct):
    images: list[_CocoImage]
    annotations: list[_CocoAnnotation]


class _AnyJson(msgspec.Struct):
    images: msgspec.Raw = msgspec.Raw()
    annotations: msgspec.Raw = msgspec.Raw()


class _Shape(msgspec.Struct):
    points: list[tuple[float, float]]
    shape_type: str = "polygon"


class _Labelme(msgspec.Struct):
    shapes: list[_Shape]
    imageWidth: float  # noqa: N815  labelme's own name
    imageHeight: float  # noqa: N815


class Regions:
    """The regions of images, by their ``source``."""

    def __init__(self, folder: Path, images: Sequence[Found]) -> None:
        """Find each image's file; raises GradcamError where there is none for any of them."""
        files = _files(folder)
        self._files: dict[str, Path] = {}
        for image in images:
            found = _own_file(image, files, folder)
            if found is not None:
                self._files[image.source] = found
        used = set(self._files.values())
        self._coco: dict[str, _Drawn] = {}
        for path in sorted(folder.glob("*.json")):
            if path not in used:
                self._coco |= _read_coco(path)
        if not any(self._has(image) for image in images):
            raise GradcamError(
                f"--regions: no file in {folder} goes with any of the images",
                "an image's regions are named as it is (photos/a.jpg: a.xml, a.json or a.png), or "
                f"are in a COCO file that names it; {_HINT}",
            )

    def __call__(self, image: Found, size: tuple[int, int], cells: int) -> Mask | None:
        """Return how much of each cell of ``cells x cells`` over an image lies inside.

        ``size`` is the upright image's ``(H, W)``. None where nothing is said of the image. Raises
        GradcamError for a file that cannot be read, or belongs to another image.
        """
        path = self._files.get(image.source)
        if path is not None:
            return read_regions(path, size, cells)
        for tail in _tails(image):
            if tail in self._coco:
                return coverage(self._coco[tail], size, cells, f"the COCO annotation of {tail}")
        return None

    def _has(self, image: Found) -> bool:
        return image.source in self._files or any(tail in self._coco for tail in _tails(image))


def read_regions(path: Path, size: tuple[int, int], cells: int) -> Mask:
    """Return how much of each of ``cells x cells`` over an image of ``(H, W)`` a file covers.

    Raises GradcamError for a file that cannot be read, or whose proportions are others.
    """
    if path.suffix.lower() not in (".xml", ".json"):
        return _mask(path, size, cells)
    try:
        data = read_bounded(path, "--regions")
    except OSError as error:
        raise GradcamError(f"--regions: cannot read {path}: {error.strerror}", _HINT) from None
    read: Callable[[bytes, Path], _Drawn] = _voc if path.suffix.lower() == ".xml" else _labelme
    return coverage(read(data, path), size, cells, str(path))


def coverage(drawn: _Drawn, size: tuple[int, int], cells: int, what: str) -> Mask:
    """Return how much of each of ``cells x cells`` over an image polygons cover, 0..1."""
    _check_size(drawn.size, size, what)
    height, width = drawn.size
    side = cells * _FINER
    inside = np.zeros((side, side), bool)
    for polygon in drawn.polygons:
        inside |= _filled(np.array(polygon, np.float64) / (width, height), side)
    for ends in drawn.runs:
        inside |= _run_over(ends, (round(height), round(width)), side)
    return np.asarray(inside.reshape(cells, _FINER, cells, _FINER).mean(axis=(1, 3)))


def _filled(corners: Mask, side: int) -> NDArray[np.bool_]:
    """Return which of ``side x side`` points, at the centres of cells, a polygon holds.

    A point is inside when a ray from it crosses an odd number of edges. (OpenCV's ``fillPoly``
    draws the outline as well, which makes a small region larger by a pixel all round.)
    """
    places = (np.arange(side) + 0.5) / side
    crossed = np.zeros((side, side + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        first, last = np.searchsorted(places, (min(y0, y1), max(y0, y1)))
        if first < last:
            x = x0 + (places[first:last] - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.clip(np.ceil(np.clip(x, -1, 2) * side - 0.5), 0, side).astype(np.intp)
            crossed[np.arange(first, last), columns] += 1
    return np.asarray(np.cumsum(crossed[:, :side], axis=1) % 2 == 1)


def _run_over(ends: NDArray[np.int64], size: tuple[int, int], side: int) -> NDArray[np.bool_]:
    """Return which of ``side x side`` points, at the centres of cells, lie in pixels of a run."""
    rows, columns = (((np.arange(side) + 0.5) / side * each).astype(np.int64) for each in size)
    pixels = columns * size[0] + rows[:, np.newaxis]
    return np.asarray(np.searchsorted(ends, pixels, side="right") % 2 == 1)


def _mask(path: Path, size: tuple[int, int], cells: int) -> Mask:
    """Return how much of each cell is not black in a mask image."""
    try:
        pixels = read_picture(path, str(path)).pixels
    except ImageError as error:
        raise GradcamError(f"--regions: {path}: {error.message}", error.hint or _HINT) from None
    inside = pixels.any(axis=2).astype(np.float64)
    _check_size((inside.shape[0], inside.shape[1]), size, str(path))
    if min(inside.shape) < cells:
        high, wide = (-(-side // cells) * cells for side in inside.shape)
        inside = np.asarray(cv2.resize(inside, (wide, high), interpolation=cv2.INTER_NEAREST))
    small = cv2.resize(inside, (cells, cells), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small, 0, 1))


def _check_size(stated: tuple[float, float], size: tuple[int, int], what: str) -> None:
    """Raise GradcamError where an annotation's image has other proportions than the image."""
    (h, w), (height, width) = stated, size
    if min(h, w) <= 0 or abs((w / h) / (width / height) - 1) > _UNLIKE:
        raise GradcamError(
            f"--regions: {what} is for an image of {w:g} x {h:g}, and the image has "
            f"{width} x {height}",
            "regions are of the whole upright image, in its own proportions",
        )


def _voc(data: bytes, path: Path) -> _Drawn:
    try:
        root = ElementTree.fromstring(data)
        size = tuple(float(root.findtext(f"size/{name}", "")) for name in ("height", "width"))
        boxes = [
            [
                float(each.findtext(f"bndbox/{name}", ""))
                for name in ("xmin", "ymin", "xmax", "ymax")
            ]
            for each in root.iter("object")
        ]
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise _unread(path, "Pascal VOC XML", error) from None
    # Pascal VOC counts pixels from 1, and a box holds its last row and column.
    polygons = [_box(x0 - 1, y0 - 1, x1, y1) for x0, y0, x1, y1 in boxes]
    return _checked(_Drawn((size[0], size[1]), polygons), path, "Pascal VOC XML")


def _labelme(data: bytes, path: Path) -> _Drawn:
    try:
        found = msgspec.json.decode(data, type=_Labelme)
        polygons = [_outline(shape) for shape in found.shapes]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _unread(path, "labelme JSON", error) from None
    drawn = _Drawn((found.imageHeight, found.imageWidth), polygons)
    return _checked(drawn, path, "labelme JSON")


def _outline(shape: _Shape) -> Polygon:
    """Return a labelme shape as a polygon; raises ValueError for what has no area."""
    if shape.shape_type == "rectangle" and len(shape.points) == 2:
        (x0, y0), (x1, y1) = shape.points
        return _box(x0, y0, x1, y1)
    if shape.shape_type == "circle" and len(shape.points) == 2:
        (x, y), (x1, y1) = shape.points
        radius = float(np.hypot(x1 - x, y1 - y))
        turns = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        return [(x + radius * np.cos(turn), y + radius * np.sin(turn)) for turn in turns]
    if shape.shape_type == "polygon" and len(shape.points) >= 3:
        return list(shape.points)
    raise ValueError(f"a shape of type {shape.shape_type!r:.40} has no area")


def _read_coco(path: Path) -> dict[str, _Drawn]:
    """Return the regions of a COCO file by the images' names; nothing for another JSON file."""
    try:
        data = read_bounded(path, "--regions")
        parts = msgspec.json.decode(data, type=_AnyJson)
        if not (parts.images and parts.annotations):
            return {}
        found = msgspec.json.decode(data, type=_Coco)
        drawn = {each.id: _Drawn((each.height, each.width), []) for each in found.images}
        for item in found.annotations:
            if isinstance(item.segmentation, _CocoRuns):
                drawn[item.image_id].runs.append(_ends(item.segmentation, drawn[item.image_id]))
            else:
                drawn[item.image_id].polygons.extend(_coco_polygons(item))
    except OSError as error:
        raise GradcamError(f"--regions: cannot read {path}: {error.strerror}", _HINT) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _unread(path, "COCO JSON", error) from None
    except KeyError as error:
        raise _unread(path, "COCO JSON", f"image {error} is not in it") from None
    names = [PurePath(each.file_name).as_posix() for each in found.images]
    pairs = zip(names, found.images, strict=True)
    return {name: _checked(drawn[each.id], path, "COCO JSON") for name, each in pairs}


def _coco_polygons(item: _CocoAnnotation) -> Iterable[Polygon]:
    if isinstance(item.segmentation, list) and item.segmentation:
        return [list(zip(each[::2], each[1::2], strict=True)) for each in item.segmentation]
    x, y, w, h = item.bbox
    return [_box(x, y, x + w, y + h)]


def _ends(runs: _CocoRuns, drawn: _Drawn) -> NDArray[np.int64]:
    """Return where runs end; raises ValueError where they are damaged, or of another image."""
    counts = _unpacked(runs.counts) if isinstance(runs.counts, str) else runs.counts
    ends = np.cumsum(np.array(counts, np.int64))
    if runs.size != drawn.size or not counts or ends[-1] != runs.size[0] * runs.size[1]:
        raise ValueError("a mask has another size than its image")
    return np.asarray(ends)


def _unpacked(text: str) -> list[int]:
    """Return the run-lengths of COCO's compressed form; raises ValueError for other text.

    A number is written in signs of five bits, the lowest ones first; a sixth bit says that it goes
    on, and the highest of the last five that it is negative. From the fourth run on, a number is
    what is added to the run two before.
    """
    counts: list[int] = []
    number = shift = 0
    for sign in text:
        bits = ord(sign) - ord("0")
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("a compressed mask is damaged")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    if shift or min(counts, default=0) < 0:
        raise ValueError("a compressed mask is damaged")
    return counts


def _box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _checked(drawn: _Drawn, path: Path, kind: str) -> _Drawn:
    values = [*drawn.size, *(value for each in drawn.polygons for point in each for value in point)]
    if not (np.abs(np.array(values)) <= _MOST_PIXELS).all():
        raise _unread(path, kind, "a coordinate is not a number of pixels")
    if not min(drawn.size) >= 1:
        raise _unread(path, kind, "it states no size of the image")
    if not all(map(len, drawn.polygons)):
        raise _unread(path, kind, "a polygon has no corner")
    return drawn


def _unread(path: Path, kind: str, error: object) -> GradcamError:
    said = str(error).replace("\n", " ")[:200]
    return GradcamError(f"--regions: {path} is not {kind}: {said}", _HINT)


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return all files that may hold regions, by their path below a folder without its ending."""
    if not folder.is_dir():
        raise GradcamError(f"--regions: {folder} is not a folder", _HINT)
    found: dict[str, list[Path]] = {}
    count = 0
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place, name)
            count += 1
            if path.suffix.lower() in _ENDINGS and count <= _MOST_FILES:
                key = path.relative_to(folder).with_suffix("").as_posix()
                found.setdefault(key, []).append(path)
    return found


def _own_file(image: Found, files: dict[str, list[Path]], folder: Path) -> Path | None:
    """Return the file that is named as an image, with most of its folders."""
    for tail in _tails(image):
        for key in (tail, PurePath(tail).with_suffix("").as_posix()):
            paths = [path for path in files.get(key, []) if not _is(path, image.path)]
            if len(paths) > 1:
                names = ", ".join(path.name for path in paths)
                raise GradcamError(
                    f"--regions: several files in {folder} go with {image.source}: {names}",
                    "keep one of them",
                )
            if paths:
                return paths[0]
    return None


def _tails(image: Found) -> list[str]:
    """Return an image's path without its first folders, the longest first: a/b.jpg, b.jpg."""
    parts = [part for part in PurePath(image.source).parts if part not in ("..", "/", ".")]
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _is(path: Path, other: Path) -> bool:
    return path.absolute() == other.absolute()
