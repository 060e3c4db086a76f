"""The values of options that have just a few."""

from __future__ import annotations

from enum import Enum

__all__ = ["Blend", "Channels", "Format", "Interpolation", "Precision", "Resize", "Score"]


class Score(str, Enum):
    """What the gradient is taken of."""

    logit = "logit"
    probability = "probability"


class Blend(str, Enum):
    """How the heat goes onto the picture."""

    add = "add"
    mix = "mix"


class Channels(str, Enum):
    """The order of a pixel's channels in the images that the model was trained on."""

    auto = "auto"
    rgb = "rgb"
    bgr = "bgr"


class Precision(str, Enum):
    """What the network computes in, up to the layer that is looked at."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    auto = "auto"


class Format(str, Enum):
    """The format of written pictures."""

    jpg = "jpg"
    png = "png"
    webp = "webp"


class Resize(str, Enum):
    """How a picture becomes the network's square."""

    squash = "squash"
    crop = "crop"
    pad = "pad"


class Interpolation(str, Enum):
    """How pixels are interpolated on the way to the network."""

    auto = "auto"
    bilinear = "bilinear"
    bicubic = "bicubic"
    area = "area"
    nearest = "nearest"
    lanczos = "lanczos"
