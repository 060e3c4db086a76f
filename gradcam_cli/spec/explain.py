"""Which classes are explained, at which layers, by which methods."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gradcam_cli.spec.parsers import several
from gradcam_cli.spec.setting import check, setting

EXPLAINED = "What is explained"
RUNNING = "Running"


@dataclass(frozen=True, slots=True)
class ExplainSpec:
    """What is asked of every image.

    ``classes`` are as the user names them: ``predicted``, ``topN``, an index, an id, a name. There
    is a map for every class, method and layer; ``fuse`` makes one of all layers' maps. ``call``
    picks one call of a layer that is called several times (0: the last). ``methods`` do not belong
    to the digest: a folder can have those of several runs, and each is recorded with its maps.
    """

    classes: tuple[str, ...] = setting(
        ("predicted",),
        "predicted, topN, an index, a WordNet id, or a class name; repeatable.",
        *("-c", "--class"),
        panel=EXPLAINED,
        metavar="CLASS",
        repeatable=True,
    )
    layers: tuple[str, ...] = setting(
        ("auto",),
        "The layer to explain (`gradcam layers MODEL`); repeatable.",
        *("-l", "--layer"),
        panel=EXPLAINED,
        metavar="auto|NAME|PATH",
        repeatable=True,
    )
    fuse: Literal["none", "mean", "max", "product"] = setting(
        "none",
        "How the maps of several layers, each scaled to 0..1, become one; none keeps them all.",
        "--fuse",
        panel=EXPLAINED,
    )
    call: int = setting(
        0,
        "Which call of a layer that is called several times; 0 is the last.",
        "--call",
        panel=EXPLAINED,
        least=0,
    )
    methods: tuple[str, ...] = setting(
        ("gradcam",),
        "The method (`gradcam methods`); repeatable.",
        "--method",
        panel=EXPLAINED,
        metavar="METHOD",
        repeatable=True,
        decides=False,
    )
    score: Literal["logit", "probability"] = setting(
        "logit", "The score that a method explains.", "--score", panel=EXPLAINED
    )
    counterfactual: bool = setting(
        False,
        "Show what speaks against the class: the score is negated.",
        "--counterfactual",
        panel=EXPLAINED,
    )
    contrast: str = setting(
        "",
        "Show what speaks for the class and not for this one: the difference of their scores.",
        "--contrast",
        panel=EXPLAINED,
        metavar="CLASS",
    )
    smooth: tuple[str, ...] = setting(
        (),
        "Explain mirrored (flips) and resized (scales) versions of every picture too, and average "
        "the maps: flips, or flips,scales.",
        "--smooth",
        panel=EXPLAINED,
        metavar="flips|flips,scales",
        parse=several,
    )
    samples: int = setting(
        8,
        "Noisy versions of a picture that --method smoothgradcampp averages.",
        "--samples",
        panel=EXPLAINED,
        least=1,
        most=1000,
    )
    noise: float = setting(
        0.1,
        "Their noise: its standard deviation as a share of the range of a pixel.",
        "--noise",
        panel=EXPLAINED,
        least=0.0,
        most=1.0,
    )
    target: Path | None = setting(
        None,
        "Explain the cosine similarity of the model's output with this vector, for models whose "
        "output is an embedding.",
        "--target",
        panel=EXPLAINED,
        metavar="FILE.npy",
    )
    like: Path | None = setting(
        None,
        "Explain the similarity with what the model says of this picture.",
        "--like",
        panel=EXPLAINED,
        metavar="PICTURE",
    )
    precision: Literal["float32", "bfloat16", "auto"] = setting(
        "float32",
        "bfloat16 is twice as fast on processors made for it; auto measures.",
        "--precision",
        panel=RUNNING,
    )

    def __post_init__(self) -> None:
        check(self)
