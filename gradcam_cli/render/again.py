"""An overlay is drawn again from its map, as its run drew it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.location import known
from gradcam_cli.images.fit import place, seen, shrink, strips
from gradcam_cli.render.colours import COLORMAPS, blended

Pixels = NDArray[np.uint8]

_CELL = 32
"""Pixels of the network's input for a cell, where that is not known: padding is rounded to them."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the run drew its overlays, from ``run.json``: what is needed to draw one again."""

    colormap: str = "jet"
    intensity: float = 0.4
    blend: str = "add"
    resize: str = "squash"
    white: int = 0
    max_size: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Look:
        """Return how a run drew by its settings, with defaults for what they do not say."""
        look = cls()
        values: dict[str, Any] = {
            name: settings.get(name, getattr(look, name)) for name in cls.__slots__
        }
        sound = (
            str(values["colormap"]) in COLORMAPS
            and values["blend"] in ("add", "mix")
            and values["resize"] in ("squash", "crop", "pad")
            and isinstance(values["intensity"], int | float)
            and 0 <= values["intensity"] <= 1
            and isinstance(values["white"], int)
            and 0 <= values["white"] <= 65535
            and isinstance(values["max_size"], int)
            and values["max_size"] >= 0
        )
        return cls(**values) if sound else look


def overlay_again(
    image: Pixels, heat: NDArray[np.float32], cells: Sequence[float], look: Look
) -> tuple[Pixels, bool]:
    """Return an image under its map as the run drew it, and whether its place was known.

    ``image`` is RGB uint8 ``[H, W, 3]``, ``heat`` ``[u, v]`` in 0..1, as overlays show it. Where
    ``cells`` of the record do not say where they lie, they are taken to tile the input.
    """
    grid = heat.shape[0], heat.shape[1]
    lying = known(cells, grid)
    network, lie = lying or ((_CELL * grid[0], _CELL * grid[1]), None)
    pixels = shrink(image, look.max_size) if look.max_size else image
    placement = place((pixels.shape[0], pixels.shape[1]), network, look.resize)
    warm, covered = strips(heat, placement, lie), seen(placement, lie)
    drawn = blended(pixels, warm, covered, look.intensity, look.blend, look.colormap)
    return drawn, lying is not None
