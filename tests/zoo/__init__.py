"""The zoo: every kind of model structure once, for test_matrix.py and docs/models.md."""

from __future__ import annotations

from tests.zoo import ends, heads, inputs, sequences, structures
from tests.zoo.case import Built, Case

__all__ = ["CASES", "Built", "Case"]

CASES: tuple[Case, ...] = (
    structures.CASES + ends.CASES + heads.CASES + inputs.CASES + sequences.CASES
)
