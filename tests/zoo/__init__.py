"""The zoo: every kind of model structure once, for test_matrix.py and docs/models.md."""

from __future__ import annotations

from tests.zoo import ends, heads, inputs, sequences, structures
from tests.zoo.case import Built, Case

__all__ = ["CASES", "EACH_KIND", "Built", "Case"]

CASES: tuple[Case, ...] = (
    structures.CASES + ends.CASES + heads.CASES + inputs.CASES + sequences.CASES
)

EACH_KIND = frozenset(
    {
        *("nested", "shared-first", "residual", "squeeze-excite", "gru", "channels-first-input"),
        *("float16", "transformer-token", "segmentation", "sigmoid", "fixed-batch", "siamese"),
    }
)
"""One case of each kind, by name: for what another test has through every case already."""
