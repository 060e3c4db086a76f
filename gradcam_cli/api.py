"""The program for notebooks and scripts: ``load``, ``explain`` and ``run``, and their values."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer, ClassMap
from gradcam_cli.cam.maps import displayed, normalised
from gradcam_cli.engine.decide import decided
from gradcam_cli.engine.local import stream
from gradcam_cli.engine.steps import Failed, Held, Prepared, drawable, fitted, prepare
from gradcam_cli.errors import GradcamError
from gradcam_cli.images.encode import encode
from gradcam_cli.images.files import Picture
from gradcam_cli.images.fit import Cells, Placement, seen, strips
from gradcam_cli.models.classes import describe
from gradcam_cli.models.load import Model
from gradcam_cli.models.load import load as load_model
from gradcam_cli.render.colours import blended
from gradcam_cli.sources.find import Found, find_pictures
from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.spec.setting import plain

__all__ = ["Explanation", "explain", "load", "run"]

R = TypeVar("R")
Image = str | os.PathLike[str] | NDArray[np.uint8]
Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where one image speaks for one class.

    ``source`` is the image's path, or its place among the arrays that were given. ``probability``
    is 0..1, or None where the model has none; ``score`` is the logit. ``raw`` is the signed map,
    float32 ``[u, v]``, before ReLU and scaling; ``heat`` is the map in 0..1. ``empty_reason`` is
    empty when the map has something to show. ``method`` is the method's name, ``layer`` the layer's
    path in the model.
    """

    source: str
    index: int
    id: str
    name: str
    probability: float | None
    score: float
    method: str
    layer: str
    raw: NDArray[np.float32]
    empty_reason: str
    pixels: NDArray[np.uint8] = field(repr=False)
    _placement: Placement = field(repr=False)
    _cells: Cells | None = field(repr=False)

    @property
    def heat(self) -> NDArray[np.float32]:
        """Return the map ``[u, v]`` in 0..1: what is negative dropped, divided by the maximum."""
        return normalised(self.raw)

    def overlay(
        self, intensity: float = 0.4, blend: str = "add", colormap: str = "jet"
    ) -> NDArray[np.uint8]:
        """Return the heat on the image, RGB uint8 ``[H, W, 3]``, at the image's own size.

        ``add`` is ``clip(image + intensity * colour, 0, 255)``, ``mix`` is
        ``(1 - intensity) * image + intensity * colour``. Raises GradcamError for values that are
        not valid.
        """
        spec = DrawSpec(intensity=intensity, blend=cast("Any", blend), colormap=colormap)
        return blended(
            self.pixels,
            strips(displayed(self.raw, self.method), self._placement, self._cells),
            seen(self._placement, self._cells),
            spec.intensity,
            spec.blend,
            spec.colormap,
        )

    def _repr_png_(self) -> bytes:
        """Return the overlay for a notebook."""
        return encode(self.overlay(), "png")


def load(model: str | os.PathLike[str] = "vgg16", **settings: Any) -> Model:
    """Load a model by its name or file; ``settings`` are those of ModelSpec, such as ``labels``.

    Raises ModelError when it cannot be had, GradcamError for settings that are not valid.
    """
    return load_model(ModelSpec(model=os.fspath(model), **plain(ModelSpec, settings)))


def explain(
    model: Model | str | os.PathLike[str],
    images: Image | Iterable[Image],
    classes: str | int | Sequence[str | int] = "predicted",
    layer: str | Sequence[str] = "auto",
    method: str | Sequence[str] = "gradcam",
    *,
    resize: str = "squash",
    batch_size: int = 16,
    **more: Any,
) -> list[Explanation]:
    """Explain images: one Explanation an image, method, class and layer, in order.

    ``images`` are paths, or uint8 RGB arrays ``[H, W, 3]``, one or several. ``classes`` are
    ``predicted``, ``topN``, indices, WordNet ids or names. ``layer`` and ``method`` are one or
    several; ``more`` are the other settings of ExplainSpec, such as ``score`` or ``smooth``.
    Everything stays in memory; ``run`` is for many images.

    Raises ImageError for an image that cannot be used, ModelError for a layer, class or method that
    the model does not allow, GradcamError for values that are not valid.
    """
    loaded = model if isinstance(model, Model) else load(model)
    asked = [classes] if isinstance(classes, str | int | np.integer) else classes
    spec = RunSpec(
        images=ImageSpec(resize=cast("Any", resize), batch_size=int(batch_size)),
        explain=ExplainSpec(
            classes=tuple(map(str, asked)),
            layers=_several(layer),
            methods=_several(method),
            **plain(ExplainSpec, more),
        ),
    )
    one = isinstance(images, str | os.PathLike | np.ndarray)
    several = cast("list[Image]", [images] if one else list(cast("Iterable[Image]", images)))
    prepared = [_prepared(each, place, loaded, spec.images) for place, each in enumerate(several)]
    if not prepared:
        return []
    explainer = decided(loaded, spec, len(prepared))
    loaded = explainer.model
    answers = explainer.many([item.input for item in prepared])
    return [
        each
        for item, answer in zip(prepared, answers, strict=True)
        for each in _explanations(loaded, item, answer, item.image.pixels)
    ]


@overload
def run(
    sources: Sources, spec: RunSpec = ..., sink: None = None
) -> Iterator[list[Explanation] | Failed]: ...
@overload
def run(
    sources: Sources, spec: RunSpec, sink: Callable[[Prepared, Answer], R]
) -> Iterator[R | Failed]: ...
def run(
    sources: Sources,
    spec: RunSpec | None = None,
    sink: Callable[[Prepared, Answer], Any] | None = None,
) -> Iterator[Any]:
    """Explain any number of images, and yield an outcome for each, in order.

    ``sources`` are paths of images and folders, globs, or ``@list.txt``, as on the command line.
    ``sink`` is called with every image and its answer, in threads, and what it returns is the
    outcome; without one it is a list of Explanation. An image that cannot be used is yielded as
    Failed. Reading and the sink's work go on beside the network; memory is bounded.

    Raises GradcamError for sources that do not exist, and what ``load`` and ``explain`` raise.
    """
    spec = spec or RunSpec()
    one = isinstance(sources, str | os.PathLike)
    named = [sources] if one else list(cast("Iterable[str | os.PathLike[str]]", sources))
    found = list(find_pictures([os.fspath(cast("Any", each)) for each in named]))
    if not found:
        return
    model = load_model(spec.model)
    white = spec.images.white

    def explanations(prepared: Prepared, answer: Answer) -> list[Explanation]:
        with drawable(prepared, white) as pixels:
            return _explanations(model, prepared, answer, pixels)

    explainer = decided(model, spec, len(found))
    model = explainer.model
    yield from stream(found, explainer, spec.images, sink or explanations)


def _several(named: str | Sequence[str]) -> tuple[str, ...]:
    return (named,) if isinstance(named, str) else tuple(named)


def _prepared(image: Image, place: int, model: Model, spec: ImageSpec) -> Prepared:
    """Return an image fitted to a model's input, with its pixels."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise GradcamError(
                f"image {place} is an array of {image.dtype} {list(image.shape)}",
                "give RGB pixels: uint8, [height, width, 3]",
            )
        height, width = image.shape[:2]
        read = Picture(str(place), image, "", width, height, 0, 0)
        return fitted(Found(Path(str(place)), str(place)), read, model, spec)
    path = os.fspath(image)
    item = prepare(Found(Path(path), path), model, spec, Held(most=None))
    if isinstance(item, Failed):
        raise item.error
    return item


def _explanations(
    model: Model, prepared: Prepared, answer: Answer, pixels: NDArray[np.uint8]
) -> list[Explanation]:
    def explanation(item: ClassMap) -> Explanation:
        synset, name = describe(item.index, model.labels)
        return Explanation(
            source=prepared.source.source,
            index=item.index,
            id=synset,
            name=name,
            probability=item.probability,
            score=item.score,
            method=item.method,
            layer=item.layer,
            raw=item.raw,
            empty_reason=item.empty_reason,
            pixels=pixels,
            _placement=prepared.placement,
            _cells=item.cells,
        )

    return [explanation(item) for item in answer.maps]
