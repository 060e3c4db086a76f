"""Shortcuts: heat in the border, heat outside what counts, and one place lit in every picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.gate.baseline import ClassMapEntry, Entry
from gradcam_cli.gate.compare import raster
from gradcam_cli.gate.judge import Measured, at_least, at_most
from gradcam_cli.gate.packed import unpack
from gradcam_cli.gate.regions import Regions
from gradcam_cli.models.classes import resolve
from gradcam_cli.models.labels import Labels
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.gate import AuditSpec, Limit, limit_of

Map = NDArray[np.float64]

_CELLS = 100
"""Rows and columns of the grid that border and regions are measured on."""
_COARSE = 16
"""Rows and columns of the grid that places are compared on."""
_FEWEST = 5
"""Pictures of a class; of fewer, nothing can be said of all."""
_MOST = 2000
"""Pictures of a class whose places are compared; the first ones."""
_DRAWS = 999
_HOT = 0.1
"""The share of the picture that counts as the place of a mean map."""
_MUCH = 0.3
"""The share of all heat in a tenth of the picture that is worth a word; of even heat, 0.1 is."""
_CHANCE = 0.01


@dataclass(frozen=True, slots=True)
class Place:
    """Where the heat of one class lies over all pictures.

    ``mean`` is the mean map over the image, ``[16, 16]`` of sum 1; its hottest tenth is the place,
    ``centre`` the middle of that ``(y, x)`` as shares of the image, and ``share`` how much of the
    heat lies there. ``sameness`` is how alike the maps are, 0 to 1 (see ``same_place``), ``chance``
    how probable that is for maps that are mirrored at random; both None for fewer than five
    pictures. ``ranked`` has the pictures and the share of their heat in the place, most first.
    """

    index: int
    name: str
    pictures: int
    mean: Map
    share: float
    sameness: float | None
    chance: float | None
    centre: tuple[float, float]
    ranked: tuple[tuple[str, float], ...]
    measured: Measured | None

    @property
    def found(self) -> bool:
        """Return whether one place lights up whatever the picture, more than by chance."""
        by_chance = self.chance is None or self.chance > _CHANCE
        return self.share >= _MUCH and not by_chance


@dataclass
class _Heats:
    name: str
    count: int = 0
    total: Map = field(default_factory=lambda: np.zeros((_COARSE, _COARSE)))
    pictures: list[str] = field(default_factory=list)
    heats: list[NDArray[np.float32]] = field(default_factory=list)


class Auditor:
    """Measures entries for shortcuts, and collects where the heat of each class lies."""

    def __init__(
        self, spec: AuditSpec, labels: Labels, count: int, images: Sequence[Found]
    ) -> None:
        """Raise GradcamError for a limit of a class that is not there, or regions of no image."""

        def limit(name: str) -> Limit:
            return limit_of(spec, name, lambda typed: resolve(typed, labels, count))

        self._border = spec.border
        self._limits: Mapping[str, Limit] = {
            name: limit(name)
            for name in (
                *("max_border_heat", "min_inside_heat", "max_inside_heat"),
                *("max_outside_heat", "max_same_place"),
            )
        }
        self._regions = Regions(spec.regions, images) if spec.regions else None
        self._classes: dict[int, _Heats] = {}

    def __call__(self, entry: Entry, source: Found) -> list[tuple[Measured, ...]]:
        """Return what is measured of each map of an entry; nothing of a map without heat.

        It may be called in threads. Raises GradcamError for regions that cannot be read.
        """
        size = entry.height, entry.width
        mask = self._regions(source, size, _CELLS) if self._regions else None
        found: list[tuple[Measured, ...]] = []
        for item in entry.maps:
            heat = _heat(item, _CELLS)
            found.append(() if heat is None else tuple(self._measured(item.index, heat, mask)))
        return found

    def _measured(self, index: int, heat: Map, mask: Map | None) -> list[Measured]:
        limits = {name: limit(index) for name, limit in self._limits.items()}
        border = border_share(heat, self._border)
        found = [at_most("heat in the border", border, limits["max_border_heat"])]
        if mask is not None:
            inside = inside_share(heat, mask)
            name = "heat inside the regions"
            found.append(at_least(name, inside, limits["min_inside_heat"]))
            if limits["max_inside_heat"] is not None:
                found.append(at_most(name, inside, limits["max_inside_heat"]))
            outside = at_most("heat outside the regions", 1 - inside, limits["max_outside_heat"])
            found += [outside] if outside.limit is not None else []
        return found

    def remember(self, entry: Entry, source: Found) -> None:
        """Remember where the heat of an entry's classes lies; entries come in the list's order.

        Several maps of one class, by other methods or at other layers, count as their mean: they
        are one image, and chance is about images.
        """
        by_class: dict[int, list[Map]] = {}
        names = {}
        for item in entry.maps:
            heat = _heat(item, _COARSE)
            if heat is not None:
                by_class.setdefault(item.index, []).append(heat)
                names[item.index] = item.name
        for index, heats in by_class.items():
            heat = np.asarray(np.mean(heats, axis=0))
            known = self._classes.setdefault(index, _Heats(names[index]))
            known.count += 1
            known.total += heat
            if len(known.heats) < _MOST:
                known.pictures.append(source.source)
                known.heats.append(heat.astype(np.float32))

    def places(self) -> list[Place]:
        """Return where the heat of each class lies, the most alike first."""
        found = [self._place(index, known) for index, known in sorted(self._classes.items())]
        return sorted(found, key=lambda each: (not each.found, -each.share))

    def _place(self, index: int, known: _Heats) -> Place:
        heats = np.stack(known.heats)
        mean = known.total / known.count
        hot = np.zeros(mean.shape, bool)  # a tenth, also where cells are equally hot
        hot.flat[np.argsort(-mean, axis=None, kind="stable")[: round(mean.size * _HOT)]] = True
        shares = np.minimum(heats[:, hot].sum(axis=1), 1)
        share = float(mean[hot].sum())
        sameness = chance = measured = None
        if known.count >= _FEWEST:
            sameness, chance = same_place(heats)
            limit = self._limits["max_same_place"](index)
            if limit is not None:
                number = at_most("heat in one place", share, limit)
                measured = number if chance <= _CHANCE else replace(number, beyond=0.0)
        ranked = sorted(
            zip(known.pictures, map(float, shares), strict=True),
            key=lambda each: (-each[1], each[0]),
        )
        rows, columns = np.nonzero(hot)
        weights = mean[hot] / mean[hot].sum()
        centre = tuple(float((axis + 0.5) @ weights / _COARSE) for axis in (rows, columns))
        return Place(
            index=index,
            name=known.name or f"class {index}",
            pictures=known.count,
            mean=mean,
            share=share,
            sameness=sameness,
            chance=chance,
            centre=(centre[0], centre[1]),
            ranked=tuple(ranked),
            measured=measured,
        )


def _heat(item: ClassMapEntry, cells: int) -> Map | None:
    """Return a map's heat over the image, ``[cells, cells]`` of sum 1; None where there is none."""
    values = unpack(item.map)
    if values is None or item.empty:
        return None
    drawn = raster(np.maximum(values, 0.0), item.map.frame, (cells, cells))
    total = drawn.sum()
    return drawn / total if total > 0 else None


def border_share(heat: Map, border: float) -> float:
    """Return the share of a map's heat in the border, whose width is a share of each side."""
    inner = [_overlap(count, border, 1 - border) for count in heat.shape]
    return float(np.clip(1 - inner[0] @ heat @ inner[1] / heat.sum(), 0, 1))


def _overlap(count: int, low: float, high: float) -> Map:
    """Return how much of each of ``count`` cells that tile 0..1 lies between two places."""
    edges = np.clip(np.arange(count + 1) / count, low, max(low, high))
    return np.asarray(np.diff(edges) * count)


def inside_share(heat: Map, mask: Map) -> float:
    """Return the share of a map's heat inside a mask of 0..1, both over the whole image."""
    return float(np.clip((heat * mask).sum() / heat.sum(), 0, 1))


def same_place(heats: NDArray[np.floating]) -> tuple[float, float]:
    """Return how alike the places of heat are, 0..1, and how probable that is by chance.

    ``heats`` is ``[n, u, v]``, each map of sum 1, n at least 2. Sameness is the mean product of two
    different maps over the mean square of one: 1 where all are the same, 0 where none overlap.
    Chance is the share of draws that are as alike when each map is mirrored at random, left to
    right and top to bottom: what lies in the middle stays there and never surprises, a corner does.
    """
    whole = heats.astype(np.float64)
    count = len(whole)
    flat = [part.reshape(count, -1) for part in _parities(whole)]
    squares = sum(float((part * part).sum()) for part in flat)
    rng = np.random.default_rng(0)
    signs = rng.choice((-1.0, 1.0), (2, _DRAWS, count))
    signs = np.concatenate([np.ones((2, 1, count)), signs], axis=1)
    by_part = (np.ones((_DRAWS + 1, count)), signs[0], signs[1], signs[0] * signs[1])
    totals = np.zeros(_DRAWS + 1)
    for sign, part in zip(by_part, flat, strict=True):
        totals += ((sign @ part) ** 2).sum(axis=1)
    alike = (totals - squares) / (count - 1) / squares
    chance = float((1 + (alike[1:] >= alike[0] - 1e-12).sum()) / (_DRAWS + 1))
    return float(np.clip(alike[0], 0, 1)), chance


def _parities(heats: Map) -> list[Map]:
    """Return maps as sums of four parts that mirroring leaves alone, or turns the sign of.

    The parts are orthogonal: even both ways, odd up and down, odd left and right, odd both ways.
    """
    up, left = heats[:, ::-1], heats[:, :, ::-1]
    both = up[:, :, ::-1]
    return [
        (heats + up + left + both) / 4,
        (heats - up + left - both) / 4,
        (heats + up - left - both) / 4,
        (heats - up - left + both) / 4,
    ]
