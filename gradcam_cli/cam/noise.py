"""Random numbers that an image's own bytes decide: the same on every machine and in every version.

NumPy promises its generators' raw bits for ever, but not the numbers that are made of them. So the
bits are those of SHAKE-256 (FIPS 202, in Python's hashlib), which gives as many as are wanted, and
a number is made of 24 of them, as many as float32 holds exactly. ``xp`` is ``numpy``, given and
not imported, for the table of methods is read where nothing heavy may be.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any


def random_map(image: bytes, grid: tuple[int, int], xp: Any) -> Any:
    """Return a map that knows nothing: float32 ``[u, v]``, evenly spread in 0..1 (1 excluded).

    ``image`` is the image's pixels as bytes. No method: the floor that metrics compare with. Other
    tools draw random weights for the channels instead, which leaves the activations in the map.
    """
    return _uniform(b"map", image, math.prod(grid), xp).reshape(grid)


def _uniform(use: bytes, image: bytes, count: int, xp: Any) -> Any:
    """Return ``count`` float32 in 0..1, multiples of 2^-24."""
    digest = hashlib.shake_256(use + b"\0" + hashlib.sha256(image).digest()).digest(4 * count)
    return (xp.frombuffer(digest, dtype=">u4") >> 8).astype("float32") / xp.float32(1 << 24)
