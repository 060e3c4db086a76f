from __future__ import annotations

import unicodedata

import pytest

from gradcam_cli.render.joining import joined, unjoined


def named(*names: str) -> str:
    """Return characters by the names that Unicode's own data give them."""
    return "".join(map(unicodedata.lookup, names))


def forms(*letters: str) -> str:
    """Return shapes of Arabic letters by their names, from left to right."""
    return named(*(f"ARABIC LETTER {each} FORM" for each in letters))


def test_letters_are_joined_and_go_from_right_to_left() -> None:
    cat = forms("HEH FINAL", "BEH INITIAL", "REH FINAL", "GAF INITIAL")  # nothing joins behind reh
    assert joined("گربه", lambda _: True) == cat
    inside = forms("FARSI YEH FINAL", "NOON INITIAL", "ALEF FINAL", "TEH MEDIAL", "KEHEH INITIAL")
    assert joined("کتانی", lambda _: True) == inside


def test_alef_behind_lam_is_one_character() -> None:
    final = named("ARABIC LIGATURE LAM WITH ALEF FINAL FORM")
    seen = forms("MEEM ISOLATED") + final + forms("SEEN INITIAL")
    assert joined("سلام", lambda _: True) == seen


def test_a_non_joiner_parts_letters_and_is_not_drawn() -> None:
    assert joined("می\u200cروم", lambda _: True) == forms(
        *("MEEM ISOLATED", "WAW ISOLATED", "REH ISOLATED", "FARSI YEH FINAL", "MEEM INITIAL")
    )


def test_marks_stand_left_of_their_letters() -> None:
    hamza = named("ARABIC HAMZA ABOVE")
    cat = hamza + forms("HEH FINAL", "BEH INITIAL", "REH FINAL", "GAF INITIAL")
    assert joined("گربه" + hamza, lambda _: True) == cat
    dot, vowel = named("HEBREW POINT SHIN DOT"), named("HEBREW POINT QAMATS")
    assert joined("ש" + dot + vowel + "לו", lambda _: True) == "ול" + vowel + dot + "ש"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Persian cat, 0.9", "Persian cat, 0.9"),
        ("חתול", "לותח"),
        ("rank 1: חתול", "rank 1: לותח"),
        ("חתול (a cat) 12", "12 (a cat) לותח"),
        ("חתול [((א))]", "[((א))] לותח"),
        ("a (חתול) b", "a (לותח) b"),
        ("((a)) א", "((a)) א"),
        ("א < ב", "ב > א"),
        ("\u200fcatus) א 12", "12 א (catus"),
        ("\u200e\u200f(א) b", "(א) b"),
        ("\u200eab", "ab"),
    ],
)
def test_brackets_and_numbers_keep_their_direction(text: str, seen: str) -> None:
    assert joined(text, lambda _: True) == seen


def test_what_cannot_be_joined_is_known() -> None:
    assert not unjoined(joined("گربهٔ ایرانی, ٹھیک, قطة, חתול", lambda _: True))
    assert joined("گ", lambda _: False) == "گ"
    for text in ("ܐܒܓ", "ߒߞߏ", "हिन्दी", "𞤀𞤣"):
        assert unjoined(joined(text, lambda _: True)), text
    assert unjoined(joined("گربه", lambda each: each.isascii()))
