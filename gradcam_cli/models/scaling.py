"""Pixels of 0..255 become the numbers a network was trained on: the SCALINGS table.

``--preprocess`` names a row; ``--mean`` and ``--std`` go on from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradcam_cli.errors import GradcamError
from gradcam_cli.spelling import suggestion


@dataclass(frozen=True, slots=True)
class Scaling:
    """``(pixel - mean) / std`` a channel, after RGB became BGR where the network wants that.

    ``mean`` and ``std`` are in pixel units (0..255), one number for all channels or one a channel
    in the order that the network sees them.
    """

    name: str
    says: str
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False

    def apply(self, pixels: Any) -> Any:
        """Return the scaled pixels ``[..., channels]`` of float pixels.

        Works on TensorFlow tensors, in their own dtype, and on NumPy arrays.
        """
        if self.bgr:
            pixels = pixels[..., ::-1]
        if any(self.mean):
            pixels = pixels - _channels(self.mean)
        if any(value != 1 for value in self.std):
            pixels = pixels / _channels(self.std)
        return pixels

    def range(self) -> tuple[float, float]:
        """Return what black and white become, over all channels."""
        return (
            min((0 - m) / s for m, s in _pairs(self)),
            max((255 - m) / s for m, s in _pairs(self)),
        )


def _channels(values: tuple[float, ...]) -> Any:
    return list(values) if len(values) > 1 else values[0]


def _pairs(scaling: Scaling) -> list[tuple[float, float]]:
    count = max(len(scaling.mean), len(scaling.std))
    means = scaling.mean * (count if len(scaling.mean) == 1 else 1)
    stds = scaling.std * (count if len(scaling.std) == 1 else 1)
    return list(zip(means, stds, strict=True))


SCALINGS: dict[str, Scaling] = {
    row.name: row
    for row in (
        Scaling("none", "pixels as they are, 0..255"),
        Scaling("unit", "0..1: pixels / 255", std=(255.0,)),
        Scaling("tf", "-1..1: pixels / 127.5 - 1", mean=(127.5,), std=(127.5,)),
        Scaling(
            "torch",
            "0..1, then ImageNet's mean and deviation a channel",
            mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
            std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        ),
        Scaling(
            "caffe",
            "BGR, ImageNet's mean subtracted",
            mean=(103.939, 116.779, 123.68),
            bgr=True,
        ),
        Scaling("lite0", "(pixels - 127) / 128", mean=(127.0,), std=(128.0,)),
    )
}


UNKNOWN = Scaling("unknown", "not known: --preprocess must say it")
"""Where a model is only shown: pixels as they are."""


def find_scaling(name: str, families: Sequence[tuple[str, str]] = ()) -> Scaling:
    """Return the scaling of a row of SCALINGS, or of an application (``vgg16`` is ``caffe``).

    ``families`` pairs application names with rows; an application that scales inside itself has
    the row ``inside`` and needs ``none``. Raises GradcamError for an unknown name.
    """
    key = name.strip().lower()
    for application, row in families:
        if key == application:
            key = "none" if row == "inside" else row
            break
    if key == "try":
        raise GradcamError(
            "--preprocess try goes with `gradcam run` and `gradcam predict`",
            "it shows their first pictures under every scaling",
        )
    if key not in SCALINGS:
        known = list(SCALINGS) + [application for application, _ in families]
        raise GradcamError(
            f"unknown preprocessing {name!r}",
            suggestion(name, known, f"one of auto, {', '.join(SCALINGS)}, or an application"),
        )
    return SCALINGS[key]


def custom_scaling(base: Scaling, mean: Sequence[float], std: Sequence[float]) -> Scaling:
    """Return ``base`` followed by ``(x - mean) / std``, in the base's own units.

    Raises GradcamError when a deviation is not positive, a number not finite, a count neither 1
    nor 3, or the numbers are plainly those of 0..1 images while the base leaves pixels at 0..255.
    """
    mean, std = tuple(mean) or (0.0,), tuple(std) or (1.0,)
    for option, values in (("--mean", mean), ("--std", std)):
        if len(values) not in (1, 3):
            raise GradcamError(
                f"{option} has {len(values)} numbers",
                "give one number, or one a channel: 123.7,116.8,103.9",
            )
        if not all(math.isfinite(value) for value in values):
            raise GradcamError(f"{option} is {listed(values)}", "give finite numbers")
    if any(value <= 0 for value in std):
        raise GradcamError("--std must be positive", "a deviation of 1 changes nothing")
    if base.range()[1] > 2 and max(std) <= 1 and any(0 < value < 1 for value in mean):
        raise GradcamError(
            "--mean and --std look like those of 0..1 pictures, but the pixels are 0..255",
            "add --preprocess unit, or give them in pixel units (times 255)",
        )
    count = max(len(base.mean), len(base.std), len(mean), len(std))
    m0, s0, m1, s1 = (
        values * (count if len(values) == 1 else 1) for values in (base.mean, base.std, mean, std)
    )
    return Scaling(
        name=f"{base.name}+mean/std",
        says=f"{base.says}; then minus {listed(mean)}, divided by {listed(std)}",
        mean=tuple(a + b * c for a, b, c in zip(m0, s0, m1, strict=True)),
        std=tuple(a * b for a, b in zip(s0, s1, strict=True)),
        bgr=base.bgr,
    )


def of_bgr(scaling: Scaling) -> Scaling:
    """Return what a scaling does when it is given pixels in OpenCV's order, blue first.

    Numbers a channel keep their places, as they do in code that reads its images with OpenCV.
    """
    order = "RGB, since it turns OpenCV's BGR round" if scaling.bgr else "BGR"
    says = scaling.says.removeprefix("BGR, ")
    return replace(scaling, says=f"{order}; {says}", bgr=not scaling.bgr)


def check_channels(scaling: Scaling, channels: int) -> None:
    """Raise GradcamError when a scaling distinguishes channels that a model's images lack."""
    count = max(len(scaling.mean), len(scaling.std), 3 if scaling.bgr else 1)
    if count not in (1, channels):
        raise GradcamError(
            f"preprocessing {scaling.name} is for pictures of {count} channels, but the model "
            f"takes {channels}",
            "for grey pictures: --preprocess none, unit or tf, one number for --mean and "
            "--std, no --channels bgr",
        )


def listed(values: Iterable[float]) -> str:
    """Return numbers with commas between them."""
    return ",".join(f"{value:g}" for value in values)
