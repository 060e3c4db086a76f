"""The two steps around the network: a source becomes its input, and an answer an outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer
from gradcam_cli.errors import FailureKind, ImageError
from gradcam_cli.images.files import Picture, read_picture
from gradcam_cli.images.fit import Placement, place, to_network
from gradcam_cli.images.memory import MemoryBudget
from gradcam_cli.models.load import Model
from gradcam_cli.sources.endings import ending, how_to_read
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.image import ImageSpec

_MOST_HELD = 1 << 30
_LARGE = 64 << 20
"""Bytes of pixels; those of larger images, and all beyond the most that is held, are read a second
time for drawing, not kept while they wait."""

_BYTES_A_PIXEL = 13
"""What drawing an image takes: its pixels, the overlay or the heat and its colours, that in BGR,
and the file."""

_MEMORY = MemoryBudget()

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image on its way: read, and fitted to the network as uint8 ``[h, w, channels]``.

    ``image`` has no pixels where they are not kept: ``drawable`` gives them back. ``seconds`` is
    what reading took.
    """

    source: Found
    image: Picture
    placement: Placement
    input: NDArray[np.uint8]
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """An image that could not be used, and why."""

    source: Found
    error: ImageError


Sink = Callable[[Prepared, Answer], R]
"""What is done with an answer; called in threads. It may raise ImageError for this image alone."""


class Held:
    """Bytes of pixels that wait for the network's answer; what is beyond ``most`` is not kept."""

    def __init__(self, most: int | None = _MOST_HELD) -> None:
        self._most = most
        self._bytes = 0
        self._lock = threading.Lock()

    def keep(self, image: Picture) -> Picture:
        """Return an image with its pixels if there is room for them, else without."""
        size = image.pixels.nbytes
        with self._lock:
            if self._most is None or (size <= _LARGE and self._bytes + size <= self._most):
                self._bytes += size
                return image
        return replace(image, pixels=np.empty((0, 0, 3), np.uint8))

    def give_back(self, image: Picture) -> None:
        """Make room: nothing is done with the image any more."""
        with self._lock:
            self._bytes -= image.pixels.nbytes


def interpolation(model: Model, spec: ImageSpec) -> str:
    """Return how pixels are interpolated: as asked for, or as the model was trained."""
    return model.interpolation if spec.interpolation == "auto" else spec.interpolation


def prepare(source: Found, model: Model, spec: ImageSpec, held: Held) -> Prepared | Failed:
    """Read one image and fit it to the network."""
    start = time.perf_counter()
    if source.unread:
        kind = ending(source.path.name)
        error = ImageError(FailureKind.UNREAD_TYPE, f"{kind} files are not read", how_to_read(kind))
        return Failed(source, error)
    try:
        image = read_picture(source.path, source.source, white=spec.white)
        item = fitted(source, image, model, spec)
    except ImageError as error:
        return Failed(source, error)
    seconds = time.perf_counter() - start
    return replace(item, image=held.keep(image), seconds=seconds)


def fitted(source: Found, image: Picture, model: Model, spec: ImageSpec) -> Prepared:
    """Fit an image to the network; raises ImageError when memory is too small for it."""
    height, width = image.pixels.shape[:2]
    placement = place((height, width), model.ports.size, spec.resize)
    # The rows that the network's are mixed of become float.
    with _MEMORY.take(image.pixels.nbytes + 24 * width * model.ports.size[0]):
        way = interpolation(model, spec)
        pixels = to_network(image.pixels, placement, model.ports.channels, way)
    return Prepared(source, image, placement, pixels, 0.0)


def write(prepared: Prepared, answer: Answer, sink: Sink[R], held: Held) -> R | Failed:
    """Hand an answer to a sink; an image that it cannot be done for has failed."""
    try:
        return sink(prepared, answer)
    except ImageError as error:
        return Failed(prepared.source, error)
    finally:
        held.give_back(prepared.image)


@contextmanager
def drawable(prepared: Prepared, white: int) -> Iterator[NDArray[np.uint8]]:
    """Give an image's pixels, RGB uint8 ``[H, W, 3]``, and room in memory to draw them.

    Those that were not kept are read again. Raises ImageError when the file has changed.
    """
    with _MEMORY.take(prepared.image.width * prepared.image.height * _BYTES_A_PIXEL):
        pixels = prepared.image.pixels
        if pixels.size == 0:
            source = prepared.source
            again = read_picture(source.path, source.source, white=white)
            if again.sha256 != prepared.image.sha256:
                raise ImageError(
                    FailureKind.CHANGED, "the file changed while it was worked on", "run again"
                )
            pixels = again.pixels
        yield pixels
