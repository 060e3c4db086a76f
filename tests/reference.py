"""What every method finds in the sample pictures with the embedded model, as it was found before.

``python -m tests.reference --write`` stores it anew; look at ``python docs/sheets.py`` first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS
from gradcam_cli.engine.steps import Held, Prepared, prepare
from gradcam_cli.explainer import traced
from gradcam_cli.models.load import Model, load
from gradcam_cli.sources.find import find_pictures
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from tests.asking import ask
from tests.processes import SAMPLES

PATH = Path(__file__).parent / "reference.npz"

WHOLE = ("scorecam", "occlusion")
"""Methods that run the whole network: of the first picture alone, at a layer of 112 channels."""

WHOLE_LAYER = "block5c_add"
FEW = 2
"""Pictures for methods of many passes through the head."""

EDGE = 16
"""Maps of pixels are averaged over squares of so many."""

TOLERANCE = 3e-3
"""Of a map's largest value: 1e-3 is float16's, the rest other processors'."""

Map = NDArray[Any]


def found() -> dict[str, Map]:
    """The raw maps ``[P, u, v]`` of the likeliest class, of every method."""
    model = load(ModelSpec("efficientnet-lite0"))
    inputs = np.stack([_input(each, model) for each in find_pictures([str(SAMPLES)])])
    plain = tuple(name for name in METHODS if name not in WHOLE)
    maps = _maps(model, inputs, plain, [row < FEW for row in range(len(inputs))], "auto")
    return maps | _maps(model, inputs[:1], WHOLE, [True], WHOLE_LAYER)


def _input(picture: Any, model: Model) -> NDArray[np.uint8]:
    prepared = prepare(picture, model, ImageSpec(), Held())
    assert isinstance(prepared, Prepared)
    return prepared.input


def _maps(
    model: Model, inputs: Any, methods: tuple[str, ...], wanted: list[bool], layer: str
) -> dict[str, Map]:
    spec = ask(1, layer=layer, methods=methods, samples=2)
    quick = [name for name in methods if METHODS[name].passes is None]
    every = [methods if each else quick for each in wanted]
    answers = traced(model, spec, max(len(inputs), 8))(inputs, every)
    maps: dict[str, Map] = {}
    for name in methods:
        rows = [each.raw for answer in answers for each in answer.maps if each.method == name]
        if METHODS[name].passes is not None:
            rows = rows[: sum(wanted)]
        maps[name] = np.stack(rows)
        if METHODS[name].needs == "pixels":
            P, h, w = maps[name].shape
            squares = maps[name].reshape(P, h // EDGE, EDGE, w // EDGE, EDGE)
            maps[name] = squares.mean((2, 4))
    return maps


def apart(old: Map, new: Map) -> float:
    """The largest difference as a share of a map's largest value, of the worst picture."""
    size = np.abs(old).max((1, 2), keepdims=True).astype(np.float64)
    return float((np.abs(new.astype(np.float64) - old) / np.maximum(size, 1e-30)).max())


def check(name: str, old: Map, new: Map, folder: Path) -> None:
    """Fail where maps have changed, with a picture of both and their difference in ``folder``."""
    if not apart(old, new) <= TOLERANCE:  # NaN is no agreement
        path = folder / f"{name}.png"
        cv2.imwrite(str(path), side_by_side(old, new))
        raise AssertionError(
            f"{METHODS[name].title} changed by {apart(old, new):.2g} of the map's largest value: "
            f"{path} shows the old maps, the new ones, and the difference"
        )


def side_by_side(old: Map, new: Map) -> NDArray[np.uint8]:
    """A row a picture: before, now, and the difference scaled to its own largest value."""
    rows = []
    for before, now in zip(old.astype(np.float32), new.astype(np.float32), strict=True):
        size = max(float(np.abs(before).max()), 1e-30)
        off = now - before
        panels = [_panel(before / size), _panel(now / size)]
        panels.append(_panel(off / max(float(np.abs(off).max()), 1e-30)))
        rows.append(np.hstack(panels))
    return np.asarray(np.vstack(rows), np.uint8)


def _panel(heat: Map) -> NDArray[np.uint8]:
    """Red is positive, blue negative, white zero."""
    heat = np.clip(np.nan_to_num(heat), -1, 1)[..., None]
    red, blue = np.array([0, 0, 255]), np.array([255, 0, 0])
    colours = 255 + np.where(heat > 0, heat * (red - 255), -heat * (blue - 255))
    large = cv2.resize(colours, (168, 168), interpolation=cv2.INTER_NEAREST)
    framed = cv2.copyMakeBorder(large, 2, 2, 2, 2, cv2.BORDER_CONSTANT)
    return np.asarray(np.rint(framed), np.uint8)


def stored() -> dict[str, Map]:
    with np.load(PATH) as file:
        return {name: file[name] for name in file.files}


if __name__ == "__main__":
    new = found()
    if "--write" in sys.argv:
        half: dict[str, Any] = {name: each.astype(np.float16) for name, each in new.items()}
        np.savez_compressed(PATH, **half)
    old = stored()
    for name in new:
        sys.stdout.write(f"{name:18} {apart(old[name], new[name]):.1e}  {new[name].shape}\n")
