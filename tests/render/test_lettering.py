from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcam_cli.render.lettering import complaints, plain_name, width, wrapped
from gradcam_cli.render.page import Line, Page, painted
from tests.render import plain_font
from tests.render.figures import Pixels, inked, lettered, opened, reads


def drawn(text: str) -> Pixels:
    return inked(opened(painted(Page(300, 60, lines=[Line(150, 40, text, 16)]), "png")))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Egyptian_cat", "Egyptian cat"),
        ("  two__words\t", "two words"),
        ("\x1b[2Jred\x07", "[2Jred"),
        ("\u202egnp.exe\u2069", "gnp.exe"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\ud83d", "?"),
        ("y" * 500, "y" * 199 + "…"),
    ],
)
def test_names_are_shown_as_people_write_them(name: str, shown: str) -> None:
    assert plain_name(name) == shown


@settings(max_examples=30, deadline=None)
@given(st.text(st.sampled_from("ab i猫犬گربه\u0301кошка-"), min_size=1, max_size=60))
def test_lines_fit_and_lose_nothing(text: str) -> None:
    name = plain_name(text)
    lines = wrapped(name, 40, 8)
    whole = re.sub("[\u200e\u200f]", "", "".join(lines))  # which turn lines
    assert whole.replace(" ", "") == name.replace(" ", "")
    for line in lines:
        marks = sum(unicodedata.combining(each) > 0 for each in line)
        assert width(line, 8) <= 40 or len(line) - marks <= 1
    assert len(lines) <= 1 or all(lines)


def test_words_stay_whole_where_a_line_holds_them() -> None:
    assert wrapped("great white shark", width("great white", 8) + 1, 8) == ["great white", "shark"]
    assert wrapped("tabby", 500, 8) == ["tabby"]


def test_no_letter_of_a_broken_word_is_left_alone() -> None:
    word = "Rindfleischetikettierungsstelle"
    lines = wrapped(word, width(word[:-1], 8) + 0.2, 8)
    assert lines == [word[:-3], word[-3:]]
    assert wrapped("abcdefgh i", width("abcdefgh", 8) + 0.2, 8) == ["abcdefgh", "i"]
    assert wrapped("猫犬鳥馬牛", width("猫犬鳥馬", 8) + 0.2, 8) == ["猫犬鳥馬", "牛"]


def test_persian_is_joined_and_runs_from_right_to_left() -> None:
    ink = drawn("گربه")
    apart = sum(drawn(letter).shape[1] for letter in "گربه")
    assert ink.shape[1] < 0.9 * apart
    gaf = lettered("\ufb94", 16, 216)  # at the beginning of a word
    match = cv2.matchTemplate(ink, np.ascontiguousarray(gaf[:, 12:]), cv2.TM_CCOEFF_NORMED)
    assert match.max() > 0.9
    assert np.unravel_index(match.argmax(), match.shape)[1] > ink.shape[1] / 2


@pytest.mark.parametrize(
    ("text", "measure", "seen"),
    [
        (
            "חתול ישן (Felis catus) מספר 12",
            "12 (Felis catus) ",
            ["Felis) ןשי לותח", "12 רפסמ (catus"],
        ),
        ("חתול Felis catus: קטן", "catus: קטן", ["Felis לותח", "ןטק :catus"]),
        ("A cat חתול ישן, גזע that goes", "A cat חתול ישן,", ["A cat ,ןשי לותח", "עזג that goes"]),
        ("חתול 12 a, 3", "חתול 12", ["12 לותח", "a, 3"]),
    ],
)
def test_every_line_of_a_text_runs_as_its_first_letter_says(
    text: str, measure: str, seen: list[str]
) -> None:
    """Seen is what stands there, letter by letter from left to right, whatever its direction."""
    lines = wrapped(text, width(measure, 16) + 0.5, 16)
    assert len(lines) == len(seen)
    for line, expected in zip(lines, seen, strict=True):
        whole = opened(painted(Page(300, 60, lines=[Line(150, 40, line, 16)]), "png"))
        assert len(reads(f"\N{LEFT-TO-RIGHT OVERRIDE}{expected}", whole, 16)) == 1, line


def test_cyrillic_is_set_as_matplotlib_sets_it() -> None:
    np.testing.assert_array_equal(drawn("Сибирская кошка"), lettered("Сибирская кошка", 16, 216))


def test_what_no_font_has_is_shown_and_said() -> None:
    np.testing.assert_array_equal(drawn("a\U000fff80b"), lettered("a\ufffdb", 16, 216))
    assert any("\U000fff80" in each and "\ufffd" in each for each in complaints())


def test_a_font_that_was_installed_after_matplotlib_listed_all_is_found(tmp_path: Path) -> None:
    """The list is in a cache file, and never made anew."""
    (tmp_path / "fonts").mkdir()
    plain_font.write(tmp_path / "fonts/square.ttf", "\U000fff90")
    (tmp_path / "fonts/damaged.ttf").write_bytes(b"no font")
    out = str(tmp_path / "out.png")
    code = (
        "from gradcam_cli.render.lettering import complaints\n"
        "from gradcam_cli.render.page import Line, Page, painted\n"
        "line = Line(10, 40, '\\U000fff90', 20, 'left')\n"
        f"open({out!r}, 'wb').write(painted(Page(60, 60, lines=[line]), 'png'))\n"
        "print(complaints())"
    )
    own = {"XDG_DATA_HOME": str(tmp_path), "MPLCONFIGDIR": mpl.get_cachedir()}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **own},
    )
    assert result.stdout.strip() == "[]"
    square = inked(opened((tmp_path / "out.png").read_bytes()))
    assert (square[2:-2, 2:-2] < 40).all()
    assert square.shape[:2] == pytest.approx((60, 60), abs=2)


def test_a_users_own_settings_change_nothing() -> None:
    line = Page(80, 20, lines=[Line(40, 15, "cat $x$", 8)])
    before = painted(line, "png")
    with mpl.rc_context({"text.color": "red", "savefig.facecolor": "red", "savefig.bbox": "tight"}):
        assert painted(line, "png") == before
        assert mpl.rcParams["savefig.bbox"] == "tight"


def test_keras_does_not_bring_matplotlib_to_the_command_line() -> None:
    code = (
        "import sys, gradcam_cli.cli; from gradcam_cli.isolation import keras; "
        "print('matplotlib' in sys.modules); import matplotlib"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
