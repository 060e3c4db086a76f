"""What a method found at a layer, for a batch of images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import LayerFacts


class Found(NamedTuple):
    """Raw maps, float32 ``[N, T, u, v]``, of N images and T classes of each.

    ``layer`` says where they lie; its path is empty for methods that need no layer. ``flat`` tells
    whose gradient is zero everywhere, ``[N, T]``.
    """

    layer: LayerFacts
    maps: NDArray[np.float32]
    flat: NDArray[np.bool_]
