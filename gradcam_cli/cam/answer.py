"""What a network says of one image: predictions, maps, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.images.fit import Cells

__all__ = ["Answer", "ClassMap", "Facts"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of all answers of one traced network.

    ``layer`` is the path of the layer that is explained, empty for predictions only; ``grid`` its
    ``(u, v)``, and ``cells`` say where the grid lies in the network's input (None where that is
    not known). ``head`` is the kind of head; ``logits_found`` tells that its scores are logits
    behind a visible softmax or sigmoid. ``precision`` is what the layer is computed in.
    """

    batch_size: int
    head: str
    logits_found: bool
    layer: str = ""
    grid: tuple[int, int] = (0, 0)
    cells: Cells | None = None
    precision: str = ""


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Where one image speaks for one class.

    ``slot`` says why the class was chosen and names its files: ``top1``, ``top2``, ``class281``.
    ``raw`` is the signed map, float32 ``[u, v]``, before ReLU and scaling. ``empty_reason`` is
    empty when the map has something positive to show.
    """

    slot: str
    index: int
    probability: float | None
    score: float
    raw: NDArray[np.float32]
    empty_reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network says of one image: values a class, float32 ``[C]``, and the maps.

    ``probabilities`` is None when the head gives none (a linear output that is not a distribution).
    ``order`` ranks the classes, likeliest first.
    """

    facts: Facts
    probabilities: NDArray[np.float32] | None
    scores: NDArray[np.float32]
    order: NDArray[np.intp]
    maps: tuple[ClassMap, ...] = ()

    def ranked(self, count: int) -> list[int]:
        """Return the indices of the ``count`` likeliest classes, best first."""
        return [int(index) for index in self.order[:count]]

    def probability(self, index: int) -> float | None:
        """Return a class's probability in 0..1, or None."""
        return None if self.probabilities is None else float(self.probabilities[index])

    def score(self, index: int) -> float:
        """Return a class's logit."""
        return float(self.scores[index])
