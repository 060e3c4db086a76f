"""How far an image's proportions are from those of the network's input."""

from __future__ import annotations

FAR = 2.0
"""Times; a 16:9 photograph squashed to 1:1 is at 1.8, which networks are trained on. From
here on a crop leaves out more than half of the image, and padding is more than half of the input.
"""


_MARK = "the picture is more than"


def is_far_off(note: str) -> bool:
    """Return whether a note of a record is such a sentence."""
    return _MARK in note


def far_off(
    picture: tuple[int, int], network: tuple[int, int], resize: str, transposed: bool
) -> str:
    """Return a sentence on an image whose proportions are far from the network input's, or none.

    ``picture`` and ``network`` are ``(h, w)``, the latter as ``--transpose`` leaves it. Where the
    image is cropped or padded, which is the user's own answer, only images count that would
    fit if they were transposed. The sentence is the same for all images that are off alike.
    """
    wide = _ratio(picture) / _ratio(network)
    turned = 1 / _ratio(picture) / _ratio(network)
    fits = max(turned, 1 / turned) <= FAR
    if max(wide, 1 / wide) <= FAR or (resize != "squash" and not fits):
        return ""
    side, other = ("wide", "height") if wide > 1 else ("tall", "width")
    sentence = (
        f"for its {other}, {_MARK} {FAR:g} times as {side} as the network's input "
        "({} high, {} wide)".format(*network)
    )
    if fits and transposed:
        return f"{sentence}; without --transpose it would fit"
    if fits:
        return f"{sentence}; --transpose is for networks trained on transposed pictures"
    return f"{sentence}, so what it shows is stretched; --resize crop or pad keeps its shape"


def _ratio(size: tuple[int, int]) -> float:
    return size[1] / size[0]
