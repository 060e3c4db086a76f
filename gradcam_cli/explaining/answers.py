"""What was found for a batch of images becomes an Answer for each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer, ClassMap, Facts, LayerFacts
from gradcam_cli.cam.fusion import Grid, finest, fused
from gradcam_cli.cam.maps import why_empty
from gradcam_cli.cam.methods import METHODS
from gradcam_cli.explaining.found import Found
from gradcam_cli.explaining.request import Request

_BY_CELLS = ("segmentation", "sequence")

_SAME = "the same as the reference"
_ALIKE = 1e-6
"""A similarity this near to 1 is as large as it gets: its gradient is nothing but rounding."""


def answer(
    request: Request,
    facts: Facts,
    values: Mapping[str, Any],
    found: Mapping[str, Sequence[Found]],
    row: int,
    methods: Collection[str],
) -> Answer:
    """Return what is known of the image at ``row``: its maps by ``methods``, layer and class."""
    scores, outputs = values["scores"][row], values["probabilities"][row]
    known = facts.logits_found or facts.head == "binary" or _is_distribution(outputs)
    known = known and facts.head != "similarity"
    ranks = outputs if facts.head in _BY_CELLS else scores
    order = np.argsort(-ranks, kind="stable")
    probabilities = outputs if known else None
    plain = Answer(facts, probabilities, scores, order)
    maps = _maps(request, plain, values, found, row, methods) if request.spec else ()
    return Answer(facts, probabilities, scores, order, tuple(maps))


def _maps(
    request: Request,
    plain: Answer,
    values: Mapping[str, Any],
    found: Mapping[str, Sequence[Found]],
    row: int,
    methods: Collection[str],
) -> Iterator[ClassMap]:
    assert request.spec is not None  # noqa: S101  nothing is explained without
    slots: dict[int, tuple[int, str]] = {}
    for place, index in enumerate(values["classes"][row].tolist()):
        slots.setdefault(index, (place, _slot(request, place, index)))
    for method in (name for name in request.methods if name in methods):
        for place, index in ((place, index) for index, (place, _) in slots.items()):
            peak = _at_its_peak(request, method, plain.score(index))
            won = "won" not in values or bool(values["won"][row, index] > 0)
            each = [
                (
                    part.layer,
                    part.maps[row, place],
                    _SAME if peak else _why(request, part, row, place, index, won),
                )
                for part in found[method]
            ]
            if request.spec.fuse != "none" and len(each) > 1:
                each = [_fused(request, each)]
            for layer, raw, reason in each:
                yield ClassMap(
                    slot=slots[index][1],
                    index=index,
                    probability=plain.probability(index),
                    score=plain.score(index),
                    raw=raw,
                    empty_reason=reason,
                    method=method,
                    layer=layer.path,
                    cells=layer.cells,
                )


def _slot(request: Request, place: int, index: int) -> str:
    if request.reference is not None:
        return "similarity"
    return f"top{place + 1}" if place < request.classes.top else f"class{index}"


def _at_its_peak(request: Request, method: str, score: float) -> bool:
    """Return whether a gradient is taken where a similarity is as large as it gets."""
    if request.reference is None or score <= 1 - _ALIKE:
        return False
    smooth = request.spec is not None and request.spec.smooth
    return METHODS[method].needs in ("gradient", "pixels") and not smooth


def _why(request: Request, part: Found, row: int, place: int, index: int, won: bool) -> str:
    """Return why a map has nothing to show; empty when it has."""
    reason = why_empty(part.maps[row, place], bool(part.flat[row, place]), won)
    if reason and index == request.contrast:
        return "contrast with itself"
    if reason == "all negative" and request.spec and request.spec.counterfactual:
        return "nothing against"
    return reason


def _fused(
    request: Request, each: Sequence[tuple[LayerFacts, NDArray[np.float32], str]]
) -> tuple[LayerFacts, NDArray[np.float32], str]:
    """Return one map of several layers', with their names joined."""
    assert request.spec is not None  # noqa: S101  nothing is fused without
    grids = [Grid(layer.path, layer.grid, layer.cells) for layer, _, _ in each]
    raw, reason = fused(
        [raw for _, raw, _ in each],
        [reason for _, _, reason in each],
        grids,
        request.model.ports.size,
        request.spec.fuse,
    )
    best = finest(grids)
    return LayerFacts(" + ".join(grid.layer for grid in grids), best.shape, best.cells), raw, reason


def _is_distribution(values: NDArray[np.float32]) -> bool:
    """Return whether a head without a visible softmax gives probabilities all the same."""
    return len(values) > 1 and bool(values.min() >= 0 and abs(values.sum() - 1) < 1e-3)
