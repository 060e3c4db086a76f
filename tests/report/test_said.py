"""What the page says of names, of what is missing, and of whose numbers it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gradcam_cli.report.gather import Run, gather
from gradcam_cli.report.page import write_page
from gradcam_cli.report.truth import Truth
from gradcam_cli.store.records import Record
from tests.report.browser import evaluate, needs_browser, opened, visit
from tests.report.gallery import SETTINGS, button, names, order
from tests.report.made import HEATS, done, explained, guess, heatmap, pixels, written

pytestmark = needs_browser

PERSIAN, HEBREW = "گربه 12 Felis", "כלב רועה 3 (Dog)"


def paged(out: Path, records: Sequence[Record], other: Run | None = None, **more: Any) -> Path:
    path = out / "report.html"
    write_page(gather(Run(out, records, SETTINGS), path, other=other, **more))
    return path


def out_in(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_names_of_files_are_whole_and_what_steers_is_seen(browser: Browser, tmp_path: Path) -> None:
    known = {
        "in/a\nb.jpg": "a\\x0ab.jpg",
        "in/back\\slash.jpg": "back\\slash.jpg",
        "in/\u202eevil.jpg": "\\u202eevil.jpg",
        "in/caf\udce9.jpg": "caf\\udce9.jpg",
        "in/\u0645 1.jpg": "\u0645 1.jpg",
    }
    page_file = paged(out_in(tmp_path), [done(name, guess("cat")) for name in known])
    with opened(browser, page_file) as page:
        shown = page.locator(".card .name")
        assert shown.all_inner_texts() == list(known.values())
        titles = shown.evaluate_all("(all) => all.map((each) => each.title)")
        assert titles == [f"in/{name}" for name in known.values()]
        labels = page.locator(".card .open").evaluate_all(
            "(all) => all.map((each) => each.ariaLabel)"
        )
        assert [each.rpartition(":")[0] for each in labels] == list(known.values())
        for place, name in enumerate(known.values()):
            evaluate(page, f"address.show({place})")
            assert page.locator("#viewname").inner_text() == name


DIRECTION = "(each) => getComputedStyle(each).direction"


def test_names_have_their_own_direction_of_writing(browser: Browser, tmp_path: Path) -> None:
    out = out_in(tmp_path)
    made = explained(
        out, f"{PERSIAN}/{HEBREW}.png", guesses=(guess(PERSIAN), guess(HEBREW, 0.2, 2))
    )
    (item,) = made.explanations
    made = replace(
        made,
        explanations=(
            replace(item, name=PERSIAN),
            replace(item, name=HEBREW, index=2, id="n2"),
            heatmap("dog", reason="all negative"),
        ),
    )
    other = Run(tmp_path / HEBREW, [made], SETTINGS)
    path = paged(out, [made], other, truth=Truth([(f"{PERSIAN}/{HEBREW}.png", HEBREW)]))
    # Each text with a name of theirs in it: the name is in an element, or a run of characters, of
    # its own direction, so that nothing around it is reordered.
    loose = """() => {
        const rows = [];
        const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            const node = walk.currentNode, at = node.parentElement;
            if (!/[\\u0590-\\u06ff]/.test(node.data)) continue;
            if (at.closest("script, style, noscript, code")) continue;
            if (/\\u2068[^\\u2069]*[\\u0590-\\u06ff]/.test(node.data)) continue;
            if (getComputedStyle(at).direction !== "rtl") rows.push(at.outerHTML.slice(0, 200));
        }
        return rows;
    }"""
    with opened(browser, path, missing=True) as page:
        index = evaluate(page, "data.DATA.classes[0][0]")
        for place in (
            *(f"#?q={PERSIAN}&class={index}&explained={index}&truth=0", "#?view=classes", "#?"),
            *(
                "#?view=confusion",
                "#?view=about",
                evaluate(page, "address.linkOf(data.RECORDS[0])"),
            ),
        ):
            page.evaluate("(place) => (location.hash = place)", place)
            page.evaluate("new Promise((done) => setTimeout(done, 50))")
            assert page.evaluate(loose) == [], place
        assert page.locator("#viewname").evaluate(DIRECTION) == "rtl"
        option = page.locator("#class option").nth(1)
        assert option.evaluate("(each) => each.textContent") == f"\u2068{PERSIAN}\u2069 (1)"
        assert option.evaluate(DIRECTION) == "rtl"
    assert f'<td dir="auto">{PERSIAN}</td>' in path.read_text(encoding="utf-8")
    assert f"<h1><bdi>out</bdi> and <bdi>{HEBREW}</bdi></h1>" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("never", [True, False])
def test_an_overlay_that_is_nowhere_is_said(browser: Browser, tmp_path: Path, never: bool) -> None:
    """The picture without heat is not called an overlay without a word."""
    out = out_in(tmp_path)
    record = explained(out, "a.png")
    (item,) = record.explanations
    item = replace(item, heat="", files={} if never else item.files)
    second = replace(item, name="dog", index=2)
    (out / "a.png.top1.png").unlink()
    absent = "the heatmap is not in the folder"
    path = paged(out, [replace(record, explanations=(item, second))])
    for dark in (False, True):
        with opened(browser, path, dark=dark, missing=True) as page:
            said = page.locator(".card .absent")
            expect(said).to_have_text(absent)
            assert page.locator(".card .wipe").count() == 0
            seen = said.evaluate(
                "(each) => [getComputedStyle(each).color, getComputedStyle(each).backgroundColor]"
            )
            assert contrast(*seen) >= 4.5
            visit(page, "#a.png")
            expect(page.locator(".sheet .absent")).to_have_text(absent)
            assert page.locator("#view .opacity").count() == 0
            expect(page.locator(".mini .absent")).to_have_text(2 * ["not in the folder"])


def contrast(*colours: str) -> float:
    """The contrast of two colours as WCAG defines it; see-through ones have none."""
    lights = []
    for text in colours:
        numbers = [float(part) for part in text.strip("rgba()").split(",")]
        assert len(numbers) == 3 or numbers[3] == 1, text
        linear = [
            each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4
            for each in (number / 255 for number in numbers[:3])
        ]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_the_empty_map_is_named(browser: Browser, tmp_path: Path) -> None:
    out = out_in(tmp_path)
    record = explained(out, "a.png")
    empty = heatmap("Great_Dane", reason="all negative")
    record = replace(record, explanations=(*record.explanations, replace(empty, index=2)))
    with opened(browser, paged(out, [record])) as page:
        assert page.locator(".card .absent").count() == 0
        button(page, "with an empty map").click()
        assert page.locator(".card .absent").inner_text() == "empty map of Great Dane: all negative"
        page.locator(".card .open").click()
        assert page.locator(".strip [aria-pressed=true] .label").inner_text() == "Great Dane"


def test_a_class_leads_to_its_maps(browser: Browser, tmp_path: Path) -> None:
    out = out_in(tmp_path)
    records = [explained(out, f"{number}.png", number) for number in range(3)]
    for number in (0, 2):
        (item,) = records[number].explanations
        second = replace(item, name="sea_lion", index=7, heat=HEATS[1])
        records[number] = replace(records[number], explanations=(item, second))
    (item,) = records[1].explanations
    records[1] = replace(records[1], predictions=(guess("dog", 0.9, 2),))
    with opened(browser, paged(out, records), "#?view=classes") as page:
        tiles = {text.split("\n")[0]: text for text in page.locator(".tile").all_inner_texts()}
        assert "2 pictures" in tiles["cat"]
        assert "mean of 3 maps" in tiles["cat"]
        assert "picture" not in tiles["sea lion"]
        assert "mean of 2 maps" in tiles["sea lion"]
        page.get_by_role("button", name="sea lion").click()
        assert order(page) == ["0.png", "2.png"]
        assert page.locator(".chip").all_inner_texts() == ["explained sea lion ✕"]
        label = page.locator(".card .open").first.get_attribute("aria-label")
        assert label is not None
        assert label.endswith("heatmap for sea lion")
        visit(page, "#2.png")
        assert page.locator(".strip [aria-pressed=true] .label").inner_text() == "sea lion"


def test_of_two_runs_it_is_said_whose_numbers_they_are(
    browser: Browser, folder: Path, every: list[Record]
) -> None:
    path = folder / "two.html"
    other = Run(folder.parent / "theirs", every[1:], SETTINGS)
    write_page(gather(Run(folder, every, SETTINGS), path, other=other, truth=Truth()))
    with opened(browser, path) as page:
        shown = page.locator("#shown").inner_text().replace("\u2068", "").replace("\u2069", "")
        for words in ("right in out", "wrong in out", "failed in out", "with a warning in out"):
            assert words in shown
        verdicts = page.locator(".card .verdict").all_inner_texts()
        assert verdicts
        assert all(each.startswith("out: ") for each in verdicts)
        lone = page.locator(".card", has=page.locator(f"[href='#{every[0].source}']"))
        page.select_option("#sort", "")
        assert lone.locator(".answer").all_inner_texts()[1] == "not in theirs"
        for view, within in (("classes", ".lead p"), ("confusion", "#accuracy")):
            visit(page, f"#?view={view}")
            assert (
                "All numbers here are of out."
                in page.locator(f"#{view} {within}, {within}").first.inner_text()
            )
        visit(page, f"#{every[0].source}")
        below = page.locator("#view .below")
        assert below.locator("h3").all_inner_texts()[:2] == ["out", "theirs"]
        assert "does not have this picture" in below.inner_text()


def test_nothing_jumps_when_a_filter_begins(page: Page, every: list[Record]) -> None:
    top = "document.getElementById('gallery').getBoundingClientRect().top"
    before = page.evaluate(top)
    evaluate(page, "address.ask({ from: 0.5 }, true)")
    assert "of 31" in page.locator("#found").inner_text()
    assert page.evaluate(top) == before
    assert len(order(page)) < len(names(every))


@pytest.mark.parametrize("width", [1280, 1283])
def test_cards_are_behind_the_filters(browser: Browser, report: Path, width: int) -> None:
    with opened(browser, report, width=width) as page:
        ends = page.evaluate(
            "['#filters', '.card:nth-child(5)'].map((each) => document.querySelector(each)"
            ".getBoundingClientRect().right)"
        )
        assert ends[0] >= ends[1] + 5, "also what outlines a card"


def test_a_link_to_what_is_not_there_is_said(browser: Browser, report: Path) -> None:
    with opened(browser, report, "#in/%3Cb%3E.jpg") as page:
        said = page.locator("#lost")
        assert "The link leads to in/<b>.jpg, which is not on this page." in said.inner_text()
        assert page.locator(".card").count() > 0
        visit(page, "#tabby_cat/img_6.png")
        expect(said).to_be_hidden()
        visit(page, "#%ff")
        assert "%ff" in (said.text_content() or "")
        evaluate(page, "address.ask({ q: 'cat' })")
        expect(said).to_be_hidden()


def test_small_shares_are_not_nothing(page: Page) -> None:
    shown = evaluate(
        page,
        "[[0, 1], [0.0004, 1], [0.0005, 1], [0.9996, 1], [1, 1], [0.004, 0], [0.996, 0], [0, 0]]"
        ".map(([value, digits]) => text.percent(value, digits))",
    )
    assert shown == ["0.0 %", "< 0.1 %", "0.1 %", "> 99.9 %", "100.0 %", "< 1 %", "> 99 %", "0 %"]
    axis = page.locator(".axis span").all_inner_texts()
    assert axis == ["0 %", "100 %"]


def test_a_cut_name_is_whole_in_its_title(page: Page) -> None:
    title = page.locator(".card .answer").first.get_attribute("title")
    assert title == "tabby cat (n1)"


def test_a_wide_matrix_says_that_it_scrolls(browser: Browser, tmp_path: Path) -> None:
    many = [done(f"c{n}/{n}.png", guess(f"c{n + n % 2}", 0.5, n + n % 2)) for n in range(38)]
    path = paged(out_in(tmp_path), many, truth=Truth())
    for width, said in ((360, True), (2560, False)):
        with opened(browser, path, "#?view=confusion", width=width) as page:
            text = page.locator("#matrixsaid").inner_text()
            assert ("scroll it sideways" in text) == said


def test_a_page_to_be_mailed_says_nothing_of_this_machine(browser: Browser, tmp_path: Path) -> None:
    out = out_in(tmp_path)
    place = tmp_path / "anna" / "photos"
    records = []
    for name in ("a/one.png", "b/two.png"):
        written(place / name, pixels(1))
        record = explained(out, name)
        written(place / name, pixels(1))
        records.append(replace(record, source=str(place / name), error=None))
    path = tmp_path / "mail.html"
    write_page(gather(Run(out, records, SETTINGS), path, embed=True))
    assert "anna" not in path.read_text(encoding="utf-8")
    with opened(browser, path) as page:
        assert evaluate(page, "data.RECORDS.map(data.source)") == ["a/one.png", "b/two.png"]
        visit(page, "#b/two.png")
        assert page.locator("#viewname").inner_text() == "two.png"
