"""Which classes are explained, at which layer, by which method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradcam_cli.spec.setting import check, setting

__all__ = ["EXPLAINED", "RUNNING", "ExplainSpec"]

EXPLAINED = "What is explained"
RUNNING = "Running"


@dataclass(frozen=True, slots=True)
class ExplainSpec:
    """What is asked of every image.

    ``classes`` are as the user names them: ``predicted``, ``topN``, an index, an id, a name.
    ``call`` picks one call of a layer that is called several times (0: the last).
    """

    classes: tuple[str, ...] = setting(
        ("predicted",),
        "predicted, topN, an index, a WordNet id, or a class name; repeatable.",
        *("-c", "--class"),
        panel=EXPLAINED,
        metavar="CLASS",
        repeatable=True,
    )
    layer: str = setting(
        "auto",
        "The layer to explain (`gradcam layers MODEL`).",
        *("-l", "--layer"),
        panel=EXPLAINED,
        metavar="auto|NAME|PATH",
    )
    call: int = setting(
        0,
        "Which call of a layer that is called several times; 0 is the last.",
        "--call",
        panel=EXPLAINED,
        least=0,
    )
    method: str = setting(
        "gradcam",
        "The method (`gradcam methods`).",
        "--method",
        panel=EXPLAINED,
        metavar="METHOD",
    )
    score: Literal["logit", "probability"] = setting(
        "logit", "What the gradient is taken of.", "--score", panel=EXPLAINED
    )
    precision: Literal["float32", "bfloat16", "auto"] = setting(
        "float32",
        "bfloat16 is twice as fast on processors made for it; auto measures.",
        "--precision",
        panel=RUNNING,
    )

    def __post_init__(self) -> None:
        check(self)
