"""What is still the same, and what is a shortcut: the limits of ``gradcam check`` and ``audit``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from gradcam_cli.errors import GradcamError
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.setting import check, setting, settings

LIMITS = "What counts as a difference"
SHORTCUTS = "Shortcuts"

_BY_CLASS = "; CLASS=VALUE for one class, repeatable."


def _limit(default: str, help: str, option: str, panel: str, least: float = 0.0) -> tuple[str, ...]:  # noqa: A002
    value: tuple[str, ...] = setting(
        (default,) if default else (),
        help + _BY_CLASS,
        option,
        panel=panel,
        metavar="[CLASS=]VALUE",
        least=least,
        most=1.0,
        repeatable=True,
    )
    return value


@dataclass(frozen=True, slots=True)
class GateSpec:
    """How much may differ from a baseline.

    Each limit is one number for all classes, and others for some of them, as they are typed:
    ``("0.9", "tabby=0.8")``. Without a plain number the default holds for the others.
    """

    min_pearson: tuple[str, ...] = _limit(
        "0.999", "The least correlation of two maps", "--min-pearson", LIMITS, least=-1.0
    )
    min_spearman: tuple[str, ...] = _limit(
        "0.995", "The least correlation of the ranks of cells", "--min-spearman", LIMITS, least=-1.0
    )
    min_iou: tuple[str, ...] = _limit(
        "0.6",
        "The least intersection over union of the hottest 20 % of the cells",
        "--min-iou",
        LIMITS,
    )
    max_shift: tuple[str, ...] = _limit(
        "0.01",
        "How far the centre of the heat may move, as a share of the diagonal",
        "--max-shift",
        LIMITS,
    )
    max_probability_change: tuple[str, ...] = _limit(
        "0.03",
        "How much a class's probability may change; one class that overtakes another by less "
        "counts as a tie",
        "--max-probability-change",
        LIMITS,
    )
    allow_missing: bool = setting(
        False, "Pictures of the baseline may be missing.", "--allow-missing", panel=LIMITS
    )
    allow_new: bool = setting(
        False, "Pictures may be new, without an entry.", "--allow-new", panel=LIMITS
    )

    def __post_init__(self) -> None:
        check(self)
        _check_limits(self)


@dataclass(frozen=True, slots=True)
class AuditSpec:
    """What counts as a shortcut; a limit that is not given is not checked.

    ``border`` is how wide the border is, as a share of the image's width and height.
    """

    max_border_heat: tuple[str, ...] = _limit(
        "",
        "The largest share of a map's heat in the picture's border",
        "--max-border-heat",
        SHORTCUTS,
    )
    max_same_place: tuple[str, ...] = _limit(
        "",
        "The largest share of a class's heat, over all pictures, in one tenth of the picture, "
        "where that is not chance",
        "--max-same-place",
        SHORTCUTS,
    )
    regions: Path | None = setting(
        None,
        "Objects or forbidden places: Pascal VOC XML, COCO JSON, labelme JSON or mask images, "
        "named as the pictures are.",
        "--regions",
        panel=SHORTCUTS,
        metavar="DIR",
    )
    min_inside_heat: tuple[str, ...] = _limit(
        "", "The least share of the heat inside the regions", "--min-inside-heat", SHORTCUTS
    )
    max_inside_heat: tuple[str, ...] = _limit(
        "", "The largest share of the heat inside the regions", "--max-inside-heat", SHORTCUTS
    )
    max_outside_heat: tuple[str, ...] = _limit(
        "", "The largest share of the heat outside the regions", "--max-outside-heat", SHORTCUTS
    )
    border: float = setting(
        0.1,
        "How wide the border is, as a share of width and height.",
        "--border",
        panel=SHORTCUTS,
        least=0.0,
        most=0.5,
    )

    def __post_init__(self) -> None:
        check(self)
        _check_limits(self)
        asked = [name for name in _OF_REGIONS if getattr(self, name)]
        if asked and self.regions is None:
            raise GradcamError(
                f"{settings(AuditSpec)[asked[0]].option} needs regions",
                "give their folder with --regions",
            )


_OF_REGIONS = ("min_inside_heat", "max_inside_heat", "max_outside_heat")

Limit = Callable[[int], float | None]
"""The limit for a class by its index, or None."""


def limit_of(group: GateSpec | AuditSpec, name: str, resolve: Callable[[str], int]) -> Limit:
    """Return a limit by class; ``resolve`` gives a class's index by how it was typed.

    Raises GradcamError for a class that the model does not have.
    """
    plain, by_class = _parsed(group, name)
    indices = {resolve(typed): value for typed, value in by_class.items()}
    return lambda index: indices.get(index, plain)


def _check_limits(group: GateSpec | AuditSpec) -> None:
    for name, known in settings(type(group)).items():
        if known.metavar == "[CLASS=]VALUE":
            _parsed(group, name)


def _parsed(group: GateSpec | AuditSpec, name: str) -> tuple[float | None, dict[str, float]]:
    known = settings(type(group))[name]
    default: Any = next(each.default for each in fields(group) if each.name == name)
    plain: float | None = float(default[0]) if default else None
    by_class: dict[str, float] = {}
    for typed in getattr(group, name):
        named, equals, number = typed.rpartition("=")
        value = _number(number)
        if value is None or not (known.least or 0.0) <= value <= (known.most or 1.0):
            raise GradcamError(
                f"{known.option} {typed!r} is not a valid limit",
                f"a number of {known.least:g} to {known.most:g}, or CLASS=NUMBER: "
                f"e.g. {known.option} {default[0] if default else '0.5'}",
            )
        if equals:
            by_class[named] = value
        else:
            plain = value
    return plain, by_class


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _again(kind: type, name: str) -> Any:
    """Return a setting of another group once more, with its default, range and help."""
    known = next(each for each in fields(kind) if each.name == name)
    return field(default=known.default, metadata=known.metadata)


@dataclass(frozen=True, slots=True)
class AgainSpec:
    """Settings of images and network that may take the place of a baseline's own."""

    resize: Literal["squash", "crop", "pad"] = _again(ImageSpec, "resize")
    interpolation: Literal["auto", "bilinear", "bicubic", "area", "nearest", "lanczos"] = _again(
        ImageSpec, "interpolation"
    )
    white: int = _again(ImageSpec, "white")
    batch_size: int | Literal["auto"] = _again(ImageSpec, "batch_size")
    precision: Literal["float32", "bfloat16", "auto"] = _again(ExplainSpec, "precision")

    def __post_init__(self) -> None:
        check(self)
