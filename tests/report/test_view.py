"""What the large view and the gallery do when people are quick, or click beside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gradcam_cli.report.gather import Run, gather
from gradcam_cli.report.page import write_page
from gradcam_cli.store.records import Record
from tests.report.browser import evaluate, needs_browser, opened, visit
from tests.report.gallery import names, order, sure
from tests.report.made import HEATS, done, guess, heatmap

pytestmark = needs_browser


def test_a_burst_of_changes_is_followed(page: Page, every: list[Record]) -> None:
    """Browsers ignore an address that changes more than 200 times in 10 seconds, and say so."""
    changes = "Array.from({ length: 300 }, (_, number) => (number * 7) % 90 / 100)"
    last = 299 * 7 % 90 / 100
    evaluate(page, f"{changes}.forEach((from) => address.ask({{ from }}, true))")
    assert order(page) == names([r for r in every if r.predictions and sure(r) >= last])
    page.wait_for_url(f"**from={last}")
    evaluate(page, "address.show(0)")
    evaluate(page, "Array.from({ length: 300 }, (_, n) => address.show(n % 20, true)).length")
    expect(page.locator("#viewname")).to_have_text("img_19.png")
    page.wait_for_url("**/img_19.png")
    page.go_back()
    expect(page.locator("#view")).to_be_hidden()
    assert order(page) == names([r for r in every if r.predictions and sure(r) >= last])


def test_a_click_beside_the_view_closes_it_and_none_inside(page: Page) -> None:
    dialog = page.locator("#view")
    for _ in range(2):
        page.locator(".card a").nth(6).click()
        expect(dialog).to_be_visible()
        box = dialog.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 5, box["y"] + box["height"] / 2)
        page.mouse.move(box["x"] + 200, box["y"] + 30)
        page.mouse.down()
        page.mouse.move(4, 400)
        page.mouse.up()
        assert dialog.is_visible()
        page.mouse.click(4, 400)
        expect(dialog).to_be_hidden()
        expect(page.locator(":focus")).to_have_attribute("href", "#tabby_cat/img_6.png")


def test_the_next_picture_is_announced(page: Page) -> None:
    said = page.locator("#view [role=status]")
    visit(page, "#tabby_cat/img_6.png")
    assert said.text_content() == ""
    page.keyboard.press("ArrowRight")
    assert said.text_content() == "img_7.png: Great Dane, 40 %, heatmap for cat, 8 of 31"


def test_another_order_begins_at_the_beginning(page: Page) -> None:
    below = "gallery.getBoundingClientRect().top - filters.getBoundingClientRect().bottom"
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    assert page.evaluate(below) < 0
    page.select_option("#sort", "name")
    assert page.evaluate(below) >= 0
    assert page.locator(".card").first.get_attribute("aria-posinset") == "1"


def test_ends_that_meet_can_be_parted(page: Page) -> None:
    at = """() => {
        const box = document.getElementById("to").getBoundingClientRect();
        return document.elementFromPoint(box.right - 7, (box.top + box.bottom) / 2).id;
    }"""
    assert page.evaluate(at) == "to"
    evaluate(page, "address.ask({ from: 1, to: 1 }, true)")
    assert page.evaluate(at) == "from"
    assert page.locator("#from").get_attribute("aria-valuetext") == "100 %"


def test_heat_without_its_picture_is_whole(page: Page) -> None:
    card = page.locator(".card").first
    card.locator(".wipe").fill("30")
    page.locator("#opacity").fill("40")
    card.locator(".under").evaluate(
        "(each) => { for (let n = 0; n < 3; n += 1) each.dispatchEvent(new Event('error')); }"
    )
    assert card.locator(".under").count() == 0
    style = card.locator(".over").evaluate(
        "(each) => [getComputedStyle(each).opacity, getComputedStyle(each).clipPath]"
    )
    assert style == ["1", "none"]


@pytest.mark.parametrize(("width", "height"), [(1200, 100), (100, 1200)])
def test_all_rows_of_the_heat_are_seen(
    browser: Browser, tmp_path: Path, width: int, height: int
) -> None:
    item = replace(heatmap(), heat=HEATS[0], peak=(width // 4, height // 4))
    record = replace(done("a.png", guess("cat"), maps=[item]), width=width, height=height)
    path = tmp_path / "out" / "report.html"
    write_page(gather(Run(tmp_path / "out", [record]), path))
    with opened(browser, path, "#a.png", missing=True) as page:
        canvas = page.locator("#view canvas")
        shape = canvas.evaluate("(each) => [each.clientWidth, each.clientHeight]")
        frame = canvas.evaluate("({ parentNode: box }) => [box.clientWidth, box.clientHeight]")
        assert shape == frame
        assert shape[0] / shape[1] == pytest.approx(width / height, rel=0.05)
