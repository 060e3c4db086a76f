from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from PIL import ImageFont, features

from gradcam_cli.render import emoji
from gradcam_cli.render.lettering import complaints, width, wrapped
from gradcam_cli.render.page import Line, Page, painted, painted_pdf
from tests.render.colour_font import COLOURS, write
from tests.render.figures import Pixels, opened

SIZE, LEFT = 20.0, 30.0
JOINS = features.check("raqm")
"""Whether Pillow can join characters here; it needs a libfribidi."""


@pytest.fixture(autouse=True)
def _font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the squares be the machine's only font of emoji."""
    path = write(tmp_path / "Squares-Color-Emoji.ttf")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path)])
    for each in (emoji._font, emoji.picture):
        each.cache_clear()
    emoji._parted.clear()
    yield
    for each in (emoji._font, emoji.picture):
        each.cache_clear()


def page(text: str, align: str = "left") -> Page:
    return Page(300, 60, lines=[Line(LEFT, 40, text, SIZE, align)])  # type: ignore[arg-type]


def patch(whole: Pixels, name: str) -> tuple[float, float, float, float] | None:
    """Return left, top, right and bottom of a colour's pixels, in points."""
    near = np.abs(whole.astype(int) - COLOURS[name]).max(axis=2) < 12
    rows, columns = np.nonzero(near)
    if not len(rows):
        return None
    return (
        *(columns.min() / 3, rows.min() / 3),
        *((columns.max() + 1) / 3, (rows.max() + 1) / 3),
    )


def spaced(text: str) -> float:
    """Return how far DejaVu Sans moves on with a text, as FreeType has it, in points."""
    path = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(str(path), 1000).getlength(text) * SIZE / 1000


def test_an_emoji_stands_in_its_place_as_high_as_the_letters() -> None:
    found = patch(opened(painted(page("ab🐱 cd"), "png")), "cat")
    assert found is not None
    left, top, right, bottom = found
    assert left == pytest.approx(LEFT + spaced("ab"), abs=0.5)
    assert (right - left, bottom - top) == pytest.approx((SIZE, SIZE), abs=0.7)
    assert (top + bottom) / 2 == pytest.approx(40 - 0.36 * SIZE, abs=0.5)


@pytest.mark.parametrize("size", [7.0, 8.0, 9.0, 10.0, 12.5])
def test_letters_on_the_grid_of_a_raster_push_an_emoji_along(size: float) -> None:
    text = "H" * 13 + "🐱" + "H" * 13
    whole = opened(painted(Page(300, 60, lines=[Line(20, 40, text, size, "left")]), "png"))
    cat = patch(whole, "cat")
    assert cat is not None
    columns = np.flatnonzero((whole < 100).all(axis=2).any(axis=0)) / 3
    before = cat[0] - columns[columns < cat[0]].max()
    behind = columns[columns > cat[2]].min() - cat[2]
    assert before == pytest.approx(behind, abs=0.8)  # H has the same blank at both sides


def test_several_stand_where_the_direction_of_writing_has_them() -> None:
    whole = opened(painted(page("گربه 🐱 סוס 😀 a"), "png"))
    cat, face = patch(whole, "cat"), patch(whole, "face")
    assert cat is not None
    assert face is not None
    assert face[2] < cat[0]
    _, columns = np.nonzero((whole < 128).all(axis=2))
    assert columns.min() / 3 < face[0]
    assert columns.max() / 3 > cat[2]


@pytest.mark.parametrize(("align", "share"), [("center", 0.5), ("right", 1.0)])
def test_lines_are_aligned_with_their_emoji(align: str, share: float) -> None:
    line = page("😀ab🐱", align)
    line.lines[0] = Line(150, 40, "😀ab🐱", SIZE, line.lines[0].align)
    whole = opened(painted(line, "png"))
    face, cat = patch(whole, "face"), patch(whole, "cat")
    assert face is not None
    assert cat is not None
    wide = 2 * SIZE + spaced("ab")
    assert cat[2] - face[0] == pytest.approx(wide, abs=0.7)
    assert face[0] == pytest.approx(150 - share * wide, abs=0.7)
    assert width("😀ab🐱", SIZE) == pytest.approx(wide, abs=0.2)


def test_joined_emoji_are_one_and_else_drawn_part_by_part() -> None:
    whole = opened(painted(page("🇮🇷 👩\u200d🚀"), "png"))
    flag = patch(whole, "flag")
    assert flag is not None
    assert flag[2] - flag[0] == pytest.approx(SIZE if JOINS else 2 * SIZE, abs=0.7)
    assert (patch(whole, "cat") is not None) == JOINS
    assert (patch(whole, "suit") is None) == JOINS


@pytest.mark.parametrize("joins", [True, False])
def test_emoji_that_are_not_joined_are_said_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, joins: bool
) -> None:
    """Pillow without FriBiDi sets characters one by one: its other layout does as much."""
    if not joins:
        layout = partial(ImageFont.truetype, layout_engine=ImageFont.Layout.BASIC)
        monkeypatch.setattr(ImageFont, "truetype", layout)
    monkeypatch.setattr(features, "check", lambda _: joins)
    painted(page("👩\u200d🚀👩\u200d🐱 🇮🇷"), "png")
    said = next(each for each in complaints() if "part by part" in each)
    assert "👩\u200d🐱" in said  # of which the font has no picture
    assert ("👩\u200d🚀" in said) == (not (joins and JOINS))
    assert ("libfribidi0" in said) == (not joins)
    assert ("Squares-Color-Emoji.ttf" in said) == joins


def test_what_is_missing_is_said_with_the_package_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    painted(page("\U0001faff \U000e1fff\U000fff81 \U0002fffd"), "png")
    said = {each.split("drawn as")[0]: each for each in complaints()}
    rest = {"\U0001faff": "newer font", "\U000fff81": "fonts-noto)", "\U0002fffd": "noto-cjk"}
    for sign, advice in rest.items():
        assert [advice in each for start, each in said.items() if sign in start] == [True]
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    emoji._font.cache_clear()
    assert any("\U0001faff" in each and "noto-color-emoji" in each for each in complaints())


def test_long_rows_of_emoji_are_wrapped_between_them() -> None:
    lines = wrapped("🇮🇷" * 9, 3.5 * SIZE if JOINS else 7 * SIZE, SIZE)
    assert lines == ["🇮🇷" * 3] * 3


def test_pdf_has_pictures_and_svg_text() -> None:
    assert painted_pdf([page("ab")]).count(b"/Subtype /Image") == 0
    assert painted_pdf([page("ab🐱😀")]).count(b"/Subtype /Image") >= 2
    drawn = painted(page("<🐱 👩\u200d🚀\u2003>"), "svg").decode()
    assert "&lt;🐱\ufe0f 👩\u200d🚀 &gt;" in drawn
    assert "\u202bگربه 🐱\ufe0f\u202c" in painted(page("گربه 🐱"), "svg").decode()


def test_text_that_only_may_be_emoji_stays_text() -> None:
    for text in ("a 1 # ©", "☎", "北京", "🐱\ufe0e"):
        assert emoji.stood_in(text) == (text, [])
    assert emoji.stood_in("a\u2003b") == ("a b", [])


@pytest.mark.parametrize("font", ["none", "gone", "outlines"])
def test_without_a_font_of_pictures_outlines_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, font: str
) -> None:
    path = tmp_path / "emoji.ttf"
    if font == "outlines":
        shutil.copy(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", path)
    fonts = [] if font == "none" else [str(path)]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: fonts)
    emoji._font.cache_clear()
    emoji.picture.cache_clear()
    assert emoji.stood_in("ab🐱") == ("ab🐱", [])
    whole = opened(painted(page("ab🐱"), "png"))
    assert (np.ptp(whole, axis=2) <= 1).all()
    assert not any("🐱" in sentence for sentence in complaints())
