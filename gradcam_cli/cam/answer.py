"""What a network says of one image: predictions, maps, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.images.fit import Cells


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """A layer that is explained: its path, its grid ``(u, v)``, where that lies, its channels K.

    ``tokens`` tells that the grid is folded from the tokens of a transformer.
    """

    path: str
    grid: tuple[int, int]
    cells: Cells | None
    channels: int = 0
    tokens: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of all answers of one traced network.

    ``head`` is the kind of head; ``logits_found`` tells that its scores are logits behind a visible
    softmax or sigmoid. ``precision`` is what the layers that are explained are computed in;
    predictions alone have no ``layers``. ``passes`` are how many times methods that need more than
    one pass run the network for each image, ``cautions`` what misleads about the layers chosen.
    """

    batch_size: int
    head: str
    logits_found: bool
    precision: str = ""
    layers: tuple[LayerFacts, ...] = ()
    passes: Mapping[str, int] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Where one image speaks for one class, by one method at one layer.

    ``slot`` says why the class was chosen: ``top1``, ``top2``, ``class281``. ``raw`` is the signed
    map, float32 ``[u, v]``, before ReLU and scaling; ``cells`` say where its cells lie in the
    network's input, None where that is not known. ``empty_reason`` is empty when the map has
    something positive to show. ``layer`` is a path, empty for methods that need no layer.
    """

    slot: str
    index: int
    probability: float | None
    score: float
    raw: NDArray[np.float32]
    empty_reason: str
    method: str = "gradcam"
    layer: str = ""
    cells: Cells | None = None


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
