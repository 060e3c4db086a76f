"""Why a map has nothing to show."""

from __future__ import annotations

CAUSES = {
    "not finite": "the layer or its gradient holds infinities or NaN: the weights may be broken, "
    "or too large for the model's precision",
    "all negative": "every part of the picture speaks against this class's own score; where that "
    "is the logit, --score probability looks at the class against the others",
    "no cell won": "the class is the likeliest one in no cell of the model's output here, so there "
    "is no score to explain; --score probability looks at its mean over all cells",
    "nothing against": "every part of the picture speaks for this class's own score, and "
    "--counterfactual shows what speaks against it",
    "the same as the reference": "the similarity cannot grow any more, so nothing speaks for it",
    "contrast with itself": "the class that is explained is the one it was to be contrasted with",
    "zero gradient": "the score does not change with the layer: its units are dead, or the "
    "score is a probability at a flat end of softmax or sigmoid (the logit has none)",
    "zero everywhere": "the layer itself is zero for this picture",
    "no overlap": "the layers have no warm part of the picture in common; --fuse mean keeps what "
    "some of them show",
}
"""Every reason for an empty map, and what lies behind it."""


def cause(reason: str) -> str:
    """Return why a map is empty, with what lies behind it."""
    return f"{reason} ({CAUSES[reason]})" if reason in CAUSES else reason
