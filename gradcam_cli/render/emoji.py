"""Emoji become small pictures in colour, where the machine has a font of such pictures."""

from __future__ import annotations

import functools
import re
import unicodedata
from pathlib import PurePath

import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

STAND_IN = "\N{EM SPACE}"
"""Stands in a line where a picture will, which is as wide as the letters are high."""

_ANY = "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2900-\u2bff"
_ANY += "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
_UNIT = f"{_ANY}(?:\ufe0f|[\U0001f3fb-\U0001f3ff])?(?:[\U000e0020-\U000e007e]+\U000e007f)?"
CLUSTER = re.compile(
    f"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3|{_UNIT}(?:\u200d{_UNIT})*(?!\ufe0e)"
)
"""What is one emoji as Unicode's grammar has it: flags, keycaps, tones of skin, joined ones."""

_SIZES = (109, 160, 128)
"""Pixels: of Noto's pictures, of Apple's, and of fonts that have any size."""
_PICTURED = re.compile("emoji", re.IGNORECASE)

_parted: set[str] = set()


def stood_in(text: str) -> tuple[str, list[str]]:
    """Return a text with a stand-in for each emoji that can be drawn, and these, in order."""
    found: list[str] = []

    def parts(match: re.Match[str]) -> str:
        whole = match[0]
        if not is_emoji(whole) or _font() is None:
            return whole
        # What the font has no picture of, or Pillow cannot join, is drawn part by part.
        pieces = [whole] if picture(whole) else list(re.sub("[\u200d\ufe0f\u20e3]", "", whole))
        shown = [each for each in pieces if picture(each)]
        if len(shown) < len(pieces):
            return whole
        if len(pieces) > 1:
            note_parted(whole)
        found.extend(shown)
        return STAND_IN * len(shown)

    return CLUSTER.sub(parts, text.replace(STAND_IN, " ")), found


def is_emoji(cluster: str) -> bool:
    """Return whether an emoji's picture is meant by it, and not a sign of text such as an arrow."""
    newer = cluster > "\U0001f000" and unicodedata.category(cluster[0]) == "Cn"  # than Python
    return len(cluster) > 1 or newer or unicodedata.east_asian_width(cluster) == "W"


def note_parted(joined: str) -> None:
    """Note an emoji that is drawn part by part."""
    _parted.add(joined)


def parted() -> frozenset[str]:
    """Return the emoji that were drawn part by part so far."""
    return frozenset(_parted)


def remedy(joined: bool) -> str:
    """Return why emoji, single or ``joined`` ones, have no picture here, and what helps."""
    font = _font()
    if font is None:
        return "install a font of emoji (Debian: fonts-noto-color-emoji)"
    if joined and not features.check("raqm"):
        return "Pillow joins them with FriBiDi, which is not installed (Debian: libfribidi0)"
    return f"{PurePath(str(font.path)).name} is without them: install a newer font of emoji"


@functools.lru_cache(maxsize=1024)
def picture(emoji: str) -> Image.Image | None:
    """Return an emoji as an RGBA picture; None where it is not a single one of the font's."""
    font = _font()
    if font is None:
        return None
    text = emoji if len(emoji) > 2 else emoji.removesuffix("\ufe0f")
    left, top, right, bottom = font.getbbox(text)
    if bottom <= top or font.getlength(text) > 1.1 * font.getlength("\N{GRINNING FACE}"):
        return None
    drawn = Image.new("RGBA", (round(right - left), round(bottom - top)))
    ImageDraw.Draw(drawn).text((-left, -top), text, font=font, embedded_color=True)
    return drawn if drawn.getbbox() else None


def as_text(emoji: str) -> str:
    """Return an emoji such that whoever sets it looks for a coloured one first."""
    return emoji + "\ufe0f" if len(emoji) == 1 else emoji


def pixels(emoji: str, wide: int) -> NDArray[np.uint8]:
    """Return the picture of an emoji, RGBA uint8 ``[h, wide, 4]``."""
    drawn = picture(emoji)
    assert drawn is not None  # noqa: S101  only those that have one stand in a text
    high = max(1, round(wide * drawn.height / drawn.width))
    return np.asarray(drawn.resize((wide, high), Image.Resampling.LANCZOS), np.uint8)


@functools.cache
def _font() -> ImageFont.FreeTypeFont | None:
    """Return the machine's first font of coloured emoji that Pillow can draw with."""
    paths = filter(_PICTURED.search, map(str, font_manager.findSystemFonts()))
    for path in sorted(paths, key=lambda path: ("color" not in PurePath(path).name.lower(), path)):
        for size in _SIZES:
            try:
                font = ImageFont.truetype(path, size)
                drawn = Image.new("RGBA", (2 * size, 2 * size))
                face = "\N{GRINNING FACE}"
                ImageDraw.Draw(drawn).text((0, 0), face, font=font, embedded_color=True)
            except OSError:
                continue
            levels = np.asarray(drawn, int)
            if (levels[..., 0] - levels[..., 2]).max() > 50:  # a yellow face, not an outline
                return font
    return None
