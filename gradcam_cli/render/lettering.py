"""Names become letters: fit for print, in fonts that have them, wrapped to a width."""

from __future__ import annotations

import functools
import importlib
import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.backends.backend_agg import get_hinting_flag
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import text_to_path

from gradcam_cli.render import emoji

FAMILY = "DejaVu Sans"
"""Comes with matplotlib: Latin, Cyrillic, Greek, Arabic and Persian, Hebrew, some emoji."""

_LONGEST = 200
"""Letters of a name; what is longer is somebody's mistake, and ends in dots."""
_BLANK = re.compile(r"[_\s\x00-\x1f\x7f-\x9f]+")
_STEERING = re.compile(r"[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""What turns the direction of writing or has no shape; the joiners of Persian and emoji stay."""
_JOINERS = "\u200c\u200d"
_IGNORED = re.compile(r"[\u00ad\u034f\u200c-\u200f\ufe00-\ufe0f\U000e0000-\U000e0fff]")
"""What fonts need not have to show a text."""
_IDEOGRAPH = "\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_IDEOGRAPH += "\U00020000-\U0003ffff"
_WORD = rf"[^\s_/\-{_IDEOGRAPH}]"
_ATOM = re.compile(rf"[{_IDEOGRAPH}]|{_WORD}*[_/-]+|{_WORD}+|\s+")
_SIGN = re.compile(f"[{_IDEOGRAPH}]")
_WHOLE = re.compile(f"{emoji.CLUSTER.pattern}|.", re.DOTALL)
_TURNS = {"L": "\u200e", "R": "\u200f", "AL": "\u200f"}
"""Marks that steer as letters of these directions do, and have no shape; DejaVu Sans has them."""
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"

_SHAPES = mpl.__version_info__ >= (3, 11)
"""Before, letters were set one by one, from left to right."""
_MARK = "\N{EN SPACE}"
_SCALE = 100
_joining: Any = None if _SHAPES else importlib.import_module("gradcam_cli.render.joining")
"""Its libraries are installed where it is needed."""

# A weight that a font lacks is drawn in the nearest one, which nobody needs to be told.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

_HEAVIER = (500, "medium")
_WEIGHTS = (400, "normal", "regular", "book", *_HEAVIER)
"""Some fonts, such as WenQuanYi's, are of medium weight alone."""

_SAID = 12
"""Characters that a sentence names."""

_missing: set[str] = set()
_unjoined: set[str] = set()


def plain_name(name: str) -> str:
    """Return a class's name as people write it: no underscores, and nothing that steers."""
    whole = name.encode("utf-8", "replace").decode("utf-8")
    text = _STEERING.sub("", _BLANK.sub(" ", whole)).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"


def complaints() -> list[str]:
    """Return what could not be set as it should be so far, a sentence each."""
    sentences = []
    for remedy, signs in sorted(_by_remedy(_missing).items()):
        sentences.append(
            f"no font of this machine has {_some(signs)}, drawn as {_UNKNOWN}: {remedy}"
        )
    if parts := emoji.parted():
        sentences.append(f"{_some(parts)} are drawn part by part: {emoji.remedy(joined=True)}")
    if _unjoined:
        sentences.append(
            f"some letters of {min(_unjoined)!r} are not joined: that takes matplotlib 3.11, which "
            "needs Python 3.11"
        )
    return sentences


def _by_remedy(signs: Iterable[str]) -> dict[str, list[str]]:
    """Return what no font has by what helps."""
    found: dict[str, list[str]] = {}
    for sign in signs:
        if _SIGN.match(sign):
            remedy = "install a Chinese, Japanese or Korean one (Debian: fonts-noto-cjk)"
        elif emoji.CLUSTER.fullmatch(sign) and emoji.is_emoji(sign):
            remedy = emoji.remedy(len(sign) > 1)
        else:
            remedy = "install one that has, such as the Noto fonts (Debian: fonts-noto)"
        found.setdefault(remedy, []).append(sign)
    return found


def _some(signs: Iterable[str]) -> str:
    first, more = sorted(signs)[:_SAID], len(set(signs)) - _SAID
    return " ".join(first) + (f" and {more} more" if more > 0 else "")


def fonts(text: str) -> tuple[str, ...]:
    """Return the families that a text needs, the first one first."""
    found = dict.fromkeys(each for each in map(_family, text) if each)
    return (FAMILY, *(each for each in found if each != FAMILY))


def set_in(
    text: str, size: float, bold: bool = False, logical: bool = False
) -> tuple[str, FontProperties]:
    """Return a text without what no font has, and the font that it is set in, ``size`` points.

    What no font has becomes a question mark on a black diamond, and ``complaints`` says so. Where
    matplotlib does not join and turn letters, they are, unless it is a ``logical`` text that others
    will set. Emoji that have a picture have a stand-in.
    """
    return _set(_stood_in(text)[0], size, bold, logical)


def _stood_in(text: str) -> tuple[str, list[str]]:
    return emoji.stood_in(text.replace(_MARK, " "))


def _set(text: str, size: float, bold: bool, logical: bool = False) -> tuple[str, FontProperties]:
    text = text if _SHAPES or logical else _joined(text)
    known = "".join(map(_known, _WHOLE.findall(text)))
    if logical and _from_the_right(known):
        known = f"\N{RIGHT-TO-LEFT EMBEDDING}{known}\N{POP DIRECTIONAL FORMATTING}"
    weight = "bold" if bold else "normal"
    return known, FontProperties(family=list(fonts(known)), size=size, weight=weight)


def _from_the_right(text: str) -> bool:
    """Return whether a text begins at the right, and has more in it than letters from there."""
    kinds = {unicodedata.bidirectional(each) for each in text if each != " "}
    return _begins_right(text) and not kinds <= {"R", "AL", "NSM", "BN"}


def _begins_right(text: str) -> bool:
    """Return whether a text begins at the right, as its first letter says."""
    return next(_turns(text), "L") != "L"


def _turns(text: str) -> Iterator[str]:
    """Yield the directions of a text's letters; blanks, digits and stops have none of their own."""
    return (kind for kind in map(unicodedata.bidirectional, text) if kind in _TURNS)


def _joined(text: str) -> str:
    """Return a text as matplotlib before 3.11 needs it, and note what cannot be had."""
    seen = str(_joining.joined(text, lambda each: _family(each) is not None))
    if _joining.unjoined(seen):
        _unjoined.add(text)
    return seen


def width(text: str, size: float, bold: bool = False) -> float:
    """Return how wide a text is, in points."""
    known, font = set_in(text, size, bold)
    drawn = float(text_to_path.get_text_width_height_descent(known, font, ismath=False)[0])
    return max([drawn, *(place + size for place, _ in pictures(text, size, bold))])


def pictures(
    text: str, size: float, bold: bool = False, dots: float = 0
) -> list[tuple[float, str]]:
    """Return the emoji of a text that have a picture, and how far from its left end each stands.

    A raster has ``dots`` pixels a point, on which its letters are put.
    """
    stood, found = _stood_in(text)
    at = [place for place, each in enumerate(stood) if each == emoji.STAND_IN]
    marked = (stood[:place] + _MARK + stood[place + 1 :] for place in at)
    return [
        (_mark_in(each, size, bold, dots), one) for each, one in zip(marked, found, strict=True)
    ]


def _mark_in(text: str, size: float, bold: bool, dots: float) -> float:
    """Return where the mark in a text begins, in points; letters may run either way."""
    known, font = _set(text, size, bold)
    faces = [FontProperties(family=[each], weight=font.get_weight()) for each in font.get_family()]
    face = font_manager.get_font([font_manager.findfont(each) for each in faces])
    face.set_size(_SCALE, 72)
    mark = text_to_path.get_glyphs_with_font(face, _MARK)[0][0][0]
    glyphs = text_to_path.get_glyphs_with_font(face, known)[0]
    number, x = next((n, x) for n, (glyph, x, *_) in enumerate(glyphs) if glyph == mark)
    if not dots:
        return float(x / _SCALE * size)
    face.set_size(size, 72 * dots)
    way = get_hinting_flag()  # type: ignore[no-untyped-call]
    return float(face.set_text(known, 0, way)[number][0]) / 64 / dots


def wrapped(text: str, most: float, size: float, bold: bool = False) -> list[str]:
    """Return a text as lines that are at most ``most`` points wide; nothing is cut off.

    Lines end at blanks, behind hyphens and slashes, and between ideographs; only a word that has no
    line wide enough is broken. Lines run as the whole text does: where one alone would not, it has
    marks that turn it.
    """
    if width(text, size, bold) <= most:
        return [text]
    lines = _lines(text, most, size, bold)
    if len(lines) > 1 and lines[-2] + lines[-1] in text:
        lines[-2:] = _shared(*lines[-2:])
    if {"L"}.issuperset(_turns(text)):
        return lines
    return [_turned(line, place, lines) for place, line in enumerate(lines)]


def _shared(line: str, last: str) -> tuple[str, str]:
    """Return the last two lines of a word such that no letter stands alone in one of them."""
    letters = list(_letters(line))
    moved = "".join(letters[-2:])
    alone = len(list(_letters(last))) == 1 and not _SIGN.match(last)
    if not (alone and len(letters) > 4 and (moved + last).isalpha()):
        return line, last
    return "".join(letters[:-2]).rstrip(), moved + last


def shortened(text: str, most: float, size: float, lines: int) -> str:
    """Return a text that ``wrapped`` makes at most ``lines`` of, without its middle if need be."""
    letters = list(_letters(text if len(text) < _LONGEST else text[:99] + text[-99:]))
    taken = len(wrapped("".join(letters), most, size))
    if len(text) < _LONGEST and taken <= lines:
        return text
    number = len(letters) * lines // max(lines, taken)
    while True:
        start, end = letters[: number // 2], letters[len(letters) - (number + 1) // 2 :]
        cut = "".join([*start, "…", *end])
        if number < 2 or len(wrapped(cut, most, size)) <= lines:
            return cut
        number -= 1 + number // 40


def _turned(line: str, place: int, lines: Sequence[str]) -> str:
    """Return a line that begins at the side where all of its text does.

    What has no direction at its ends takes that of the letters before and behind.
    """
    before, behind = "".join(lines[:place]), "".join(lines[place + 1 :])
    start = "" if any(_turns(line[0])) else _TURNS.get(next(_turns(before[::-1]), ""), "")
    end = "" if any(_turns(line[-1])) else _TURNS.get(next(_turns(behind), ""), "")
    right, line = _begins_right("".join(lines)), start + line + end
    return line if _begins_right(line) == right else _TURNS["R" if right else "L"] + line


def _lines(text: str, most: float, size: float, bold: bool) -> list[str]:
    lines: list[str] = []
    line = ""
    for atom in _atoms(text, most, size, bold):
        if line and width(line + atom.rstrip(), size, bold) > most:
            lines.append(line.rstrip())
            line = ""
        line = line + atom if line else atom.lstrip()
    return [*lines, line.rstrip()] if line.strip() else lines


def _atoms(text: str, most: float, size: float, bold: bool) -> Iterator[str]:
    """Yield what lines may be made of: words, blanks, ideographs, parts of overlong words."""
    for atom in _ATOM.findall(text):
        if len(atom) > 1 and width(atom, size, bold) > most:
            yield from _letters(atom)
        else:
            yield atom


def _letters(word: str) -> Iterator[str]:
    """Yield a word's letters, each with its marks, and emoji whole."""
    letter = ""
    for each in _WHOLE.findall(word):
        joined = letter.endswith("\u200d") or each in _JOINERS or _IGNORED.match(each)
        if letter and not (joined or unicodedata.category(each[0]).startswith("M")):
            yield letter
            letter = ""
        letter += each
    yield letter


def _known(sign: str) -> str:
    """Return a character or an emoji, and what no font has replaced and noted."""
    known = "".join(_UNKNOWN if _family(each) is None else each for each in sign)
    if known != sign:
        _missing.add(sign)
    elif len(sign) > 1 and "\u200d" in sign:
        emoji.note_parted(sign)
    return known


@functools.cache
def _family(character: str) -> str | None:
    """Return the family that has a character: '' where any will do, None where none has it."""
    if _IGNORED.match(character) or character.isspace():
        return ""
    known = _having(character, _listed())
    return known if known is not None else _having(character, _unlisted())


def _having(character: str, faces: Iterable[tuple[str, str]]) -> str | None:
    return next((name for name, path in faces if ord(character) in _characters(path)), None)


@functools.cache
def _listed() -> tuple[tuple[str, str], ...]:
    """Return the fonts of matplotlib's list, which is as old as its cache file."""
    return _fit(font_manager.fontManager.ttflist)


@functools.cache
def _unlisted() -> tuple[tuple[str, str], ...]:
    """Let matplotlib have the fonts that were installed since it made its list; return these."""
    manager = font_manager.fontManager
    before = len(manager.ttflist)
    for path in sorted(
        {*font_manager.findSystemFonts()} - {each.fname for each in manager.ttflist}
    ):
        with suppress(Exception):  # damaged, of pictures, or of a kind that is not read
            manager.addfont(path)
    return _fit(manager.ttflist[before:])


def _fit(found: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    """Return the upright fonts of plain weight, by name and file: ours, then the system's."""
    faces: dict[str, str] = {}
    for face in sorted(found, key=_liking):
        upright = face.style == "normal" and face.weight in _WEIGHTS
        if upright and "last resort" not in face.name.casefold():
            faces.setdefault(face.name, face.fname)
    return tuple(faces.items())


def _liking(face: Any) -> tuple[bool, bool, bool, bool, bool, str]:
    """Return what fonts are sorted by: plain ones without serifs come first."""
    name = face.name.casefold()
    odd = any(part in name for part in ("mono", "display", "condensed", "math", "stix", "cm"))
    heavy = face.weight in _HEAVIER
    return face.name != FAMILY, odd, heavy, "sans" not in name, not name.startswith("noto"), name


@functools.cache
def _characters(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError, NotImplementedError):  # damaged, or of pictures
        return frozenset()
