"""Maps of several layers become one.

Every map is cut off at zero and divided by its maximum first, so that layers count alike, however
large their numbers are. Then each cell is the ``mean`` of the layers, their ``max``, or their
``product``, which leaves only what all layers show.

LayerCAM's authors take the maximum of maps that went through ``tanh(2 M / max M)`` (Jiang et al.
2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", eq. 9 as torch-cam
cites it). That lifts faint heat. Taken for every layer it changes no order, so ``max`` is that map
behind one curve of brightness, which is left out here. torch-cam takes the curve for its LayerCAM
alone and stretches maps over one another as if every grid tiled the input; pytorch-grad-cam takes
the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.grids import centres, resampled, tiling
from gradcam_cli.cam.maps import normalised
from gradcam_cli.errors import GradcamError
from gradcam_cli.images.fit import Cells
from gradcam_cli.spelling import suggestion

FUSIONS = {
    "mean": "the mean of the layers",
    "max": "what any layer shows",
    "product": "only what all layers show; for layers of one grid",
}


class Grid(NamedTuple):
    """A layer's path, the ``(u, v)`` of its grid, and where the cells lie in the network's input.

    ``cells`` is None where that is not known; the grid then counts as spread evenly.
    """

    layer: str
    shape: tuple[int, int]
    cells: Cells | None


class Fused(NamedTuple):
    """One map of several layers, float32 ``[u, v]`` in 0..1, and why it is empty, if it is."""

    raw: NDArray[np.float32]
    empty_reason: str


def finest(grids: Sequence[Grid]) -> Grid:
    """Return the grid that the fused map has: that of the most cells, of equal ones the first."""
    return max(grids, key=lambda grid: grid.shape[0] * grid.shape[1])


def check_fusion(grids: Sequence[Grid], size: tuple[int, int], how: str) -> None:
    """Raise GradcamError where layers cannot be fused so; ``size`` is the input's ``(h, w)``."""
    if how not in FUSIONS:
        raise GradcamError(f"unknown fusion {how!r}", suggestion(how, FUSIONS, _listed()))
    if how != "product":
        return
    first = grids[0]
    for other in grids[1:]:
        if not _alike(first, other, size):
            one, two = (_described(grid) for grid in (first, other))
            apart = " elsewhere in the image" if first.shape == other.shape else ""
            raise GradcamError(
                f"a product needs layers of one grid, but {one} and {two}{apart}",
                "use --fuse mean or --fuse max, which resample, or layers of one grid",
            )


def fused(
    maps: Sequence[NDArray[np.float32]],
    reasons: Sequence[str],
    grids: Sequence[Grid],
    size: tuple[int, int],
    how: str,
) -> Fused:
    """Return the maps of several layers as one, on the ``finest`` of their grids.

    ``maps`` are raw, float32 ``[u, v]``, ``reasons`` say why each is empty (or are empty),
    ``grids`` where it lies, and ``size`` is the network input's ``(h, w)``. Other grids are
    resampled by where their cells lie, and count only where they see the image.

    An empty map is a map of zeros: it lowers a mean everywhere alike, adds nothing to a maximum,
    and makes a product empty. So a mean or a maximum is empty when all maps are, a product when one
    is, or when no cell is warm in all of them. One map that is not finite makes all of it so.

    Raises GradcamError like ``check_fusion``.
    """
    check_fusion(grids, size, how)
    base = finest(grids)
    points = centres(base.shape, _placed(base, size))
    total = np.ones(base.shape) if how == "product" else np.zeros(base.shape)
    count = np.zeros(base.shape, np.intp)
    for each, grid in zip(maps, grids, strict=True):
        if not np.isfinite(each).all():
            return Fused(np.full(base.shape, np.nan, np.float32), "not finite")
        heat, seen = resampled(normalised(each), _placed(grid, size), points)
        heat = np.where(seen, heat, 0)
        if how == "product":
            total *= heat
        else:
            total = np.maximum(total, heat) if how == "max" else total + heat
        count += seen
    if how == "mean":
        total /= np.maximum(count, 1)
    raw = total.astype(np.float32)
    return Fused(raw, "" if raw.max() > 0 else _why_empty(reasons))


def _why_empty(reasons: Sequence[str]) -> str:
    """Return why nothing is left: the first layer's reason that has one, or that none agree."""
    return next(filter(None, reasons), "no overlap")


def _listed() -> str:
    *names, last = FUSIONS
    return f"there are {', '.join(names)} and {last}"


def _placed(grid: Grid, size: tuple[int, int]) -> Cells:
    return grid.cells or tiling(grid.shape, size)


def _described(grid: Grid) -> str:
    return f"{grid.layer} has {grid.shape[0]} x {grid.shape[1]} cells"


def _alike(one: Grid, other: Grid, size: tuple[int, int]) -> bool:
    """Return whether two grids are one, cell for cell, to less than half a cell."""
    if one.shape != other.shape:
        return False
    placed = _placed(one, size), _placed(other, size)
    return all(
        bool((np.abs(here - there) < abs(span.step) / 2).all())
        for here, there, span in zip(
            *(centres(one.shape, cells) for cells in placed), placed[0], strict=True
        )
    )
