"""Methods that are asked for by name: those that exist, and go together with the other options."""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_cli.cam.methods import METHODS, Method
from gradcam_cli.cam.smoothing import SMOOTHINGS
from gradcam_cli.errors import GradcamError
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spelling import suggestion

_PREDICTED = ("predicted",)
_LISTED = "`gradcam methods` lists them"


def check_methods(spec: ExplainSpec) -> tuple[str, ...]:
    """Return the methods asked for, each once, in the order of METHODS.

    Raises GradcamError for a method that does not exist, and for one that cannot do what else is
    asked for.
    """
    for name in spec.methods:
        if name not in METHODS:
            raise GradcamError(f"unknown method {name!r}", suggestion(name, METHODS, _LISTED))
    if not spec.methods:
        raise GradcamError("no method is named", _LISTED)
    methods = tuple(name for name in METHODS if name in spec.methods)
    _check_signs(methods, spec)
    _check_smooth(methods, spec)
    _check_similarity(methods, spec)
    return methods


def _check_signs(methods: Sequence[str], spec: ExplainSpec) -> None:
    for name in methods:
        row = METHODS[name]
        blind = row.needs in ("activations", "nothing")
        if blind and (spec.counterfactual or spec.contrast):
            option = "--counterfactual" if spec.counterfactual else "--contrast"
            raise GradcamError(
                f"{row.title} does not depend on the class, so {option} changes nothing",
                f"choose other methods, such as {_like('gradient')}",
            )
        if row.target is not None and spec.contrast:
            raise GradcamError(
                f"{row.title} chooses the classes that it contrasts with by itself",
                "leave out --contrast, or use --method gradcam with it",
            )


def _check_smooth(methods: Sequence[str], spec: ExplainSpec) -> None:
    for name in spec.smooth:
        if name not in SMOOTHINGS:
            raise GradcamError(
                f"--smooth does not know {name!r}", suggestion(name, SMOOTHINGS, "flips, scales")
            )
    for name in methods if spec.smooth else ():
        row = METHODS[name]
        if row.needs not in ("activations", "gradient", "curvature"):
            raise GradcamError(
                f"--smooth is for methods of one pass, and {row.title} is not one",
                f"choose other methods, such as {_like('gradient')}",
            )


def _check_similarity(methods: Sequence[str], spec: ExplainSpec) -> None:
    if spec.target is None and spec.like is None:
        return
    option = "--target" if spec.like is None else "--like"
    if spec.target is not None and spec.like is not None:
        raise GradcamError("--target and --like both name what to compare with", "give one of them")
    if spec.classes != _PREDICTED:
        raise GradcamError(
            f"{option} explains a similarity, and not a class", f"leave out --class, or {option}"
        )
    if spec.contrast:
        raise GradcamError(
            f"{option} explains a similarity, which no class can be contrasted with",
            f"leave out --contrast, or {option}",
        )
    if spec.score != "logit":
        raise GradcamError(
            "a similarity is not a probability", f"leave out --score probability, or {option}"
        )
    for name in methods:
        row = METHODS[name]
        if row.needs_pooled_head or row.target is not None:
            raise GradcamError(
                f"{row.title} is defined for classes, and not for a similarity",
                f"choose other methods, such as {_like('gradient')}",
            )


def _like(needs: str) -> str:
    """Return a few methods that need no more than this."""
    fit = [name for name, row in METHODS.items() if _is_plain(row, needs)]
    return ", ".join(fit[:3])


def _is_plain(row: Method, needs: str) -> bool:
    return row.needs == needs and row.target is None and not row.needs_pooled_head
