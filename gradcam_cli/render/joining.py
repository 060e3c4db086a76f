"""Arabic and Hebrew letters for a renderer that neither joins nor turns: matplotlib before 3.11.

Unicode has characters for the joined shapes of Arabic, Persian, Urdu and their kin; other scripts
that join have none.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from arabic_reshaper import ArabicReshaper
from bidi import get_display
from bidi.mirror import MIRRORED

_BESIDE = "\u034f"
"""Takes the direction of what it follows, and shows nothing."""
_PAIRED = f"[{re.escape(''.join(MIRRORED))}]"
_TURNED = re.compile(f"{_BESIDE}({_PAIRED})|({_PAIRED}){_BESIDE}")
_JOINERS = re.compile("[\u200c\u200d]")
_TURNING = re.compile("[\u200e\u200f]")
_UNJOINED = re.compile(
    "[\u0620-\u063f\u0641-\u064a\u066e-\u06d3\u06fa-\u06ff\u0700-\u074f\u0750-\u07ff\u0840-\u08ff"
    "\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\u1800-\u18af\U00010ac0-\U00010aff\U0001e900-\U0001e95f]"
)
"""Letters that join their neighbours, or stand on them, and have not been replaced."""


def joined(text: str, has: Callable[[str], bool]) -> str:
    """Return a line's characters from left to right, joined letters as single characters.

    Marks stand left of their letters, over which DejaVu Sans has them. A shape that no font ``has``
    stays a letter. Marks of direction steer, and are not drawn.
    """
    if not any(unicodedata.bidirectional(each) in ("R", "AL", "AN") for each in text):
        return _TURNING.sub("", text)
    shaped = "".join(
        each if has(each) else unicodedata.normalize("NFKC", each)
        for each in str(_reshaper().reshape(text))
    )
    marked = re.sub(_PAIRED, rf"\g<0>{_BESIDE}", _JOINERS.sub("", shaped))
    seen = _TURNING.sub("", str(get_display(marked)))
    return _TURNED.sub(lambda match: MIRRORED[match[1]] if match[1] else match[2], seen)


def unjoined(text: str) -> bool:
    """Return whether a text that was ``joined`` has letters that should be and are not."""
    return bool(_UNJOINED.search(text))


@functools.cache
def _reshaper() -> Any:
    # A word for God would become one character, which few fonts have.
    kept = {"delete_harakat": False, "delete_tatweel": False, "ARABIC LIGATURE ALLAH": False}
    return ArabicReshaper(configuration=kept)
