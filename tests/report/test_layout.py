from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from gradcam_cli.report.gather import Run, gather
from gradcam_cli.report.page import write_page
from gradcam_cli.store.runfile import RunFile
from tests.report.browser import evaluate, needs_browser, opened, visit
from tests.report.made import HOSTILE, done, failed, guess, heatmap

pytestmark = needs_browser

_TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
PLACES = ("#?", "#tabby_cat/img_6.png", "#?view=classes", "#?view=confusion", "#?view=about")


def visited(page: Page) -> Iterator[str]:
    for place in PLACES:
        visit(page, place)
        yield place


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_it_fits(browser: Browser, report: Path, width: int) -> None:
    with opened(browser, report, width=width) as page:
        box = page.locator(".card .frames").first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 800, "the first card is above the fold"
        for place in visited(page):
            inside = "document.documentElement.scrollWidth <= window.innerWidth"
            assert page.evaluate(inside), place
            assert page.evaluate("view.scrollWidth <= view.clientWidth"), place


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser: Browser, report: Path, dark: bool) -> None:
    """Dark differs in its colours alone."""
    rules = {"runOnly": ["color-contrast"]} if dark else None
    with opened(browser, report, dark=dark) as page:
        for place in visited(page):
            found = Axe().run(page, options=rules)
            assert found.violations_count == 0, (place, found.generate_report())


@pytest.mark.parametrize("tallest", [15_000_000, 300_000])
def test_cards_exist_only_where_they_are_seen(
    browser: Browser, tmp_path: Path, tallest: int
) -> None:
    """Also where the page would have to be taller than a browser makes it."""
    out, count = tmp_path / "out", 8_000
    many = [done(f"{number:05}.jpg", guess("cat", (number % 97) / 97)) for number in range(count)]
    path = out / "report.html"
    write_page(gather(Run(out, many), path))
    with opened(browser, path, width=360) as page:
        evaluate(page, f"(gallery.gallery.tallest = {tallest}, gallery.layOut(), gallery.paint())")
        for share in (0, 0.31, 0.77, 1):
            page.evaluate(f"window.scrollTo(0, {share} * document.documentElement.scrollHeight)")
            page.evaluate(_TWO_FRAMES)
            assert 0 < page.locator(".card").count() < 80
            seen = page.evaluate(
                "[...document.querySelectorAll('.card')].filter((card) => {"
                "const box = card.getBoundingClientRect();"
                "return box.bottom > 0 && box.top < innerHeight; })"
                ".map((card) => Number(card.dataset.spot))"
            )
            assert seen == sorted(seen)
            assert abs(seen[len(seen) // 2] / count - share) < 0.02
        assert seen[-1] == count - 1, "the end is reached"
        page.locator(".card a").last.focus()
        page.keyboard.press("ArrowUp")
        spot = page.evaluate("Number(document.activeElement.closest('.card').dataset.spot)")
        assert spot == seen[-1] - evaluate(page, "gallery.gallery.columns")


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    out, path = tmp_path / "out", tmp_path / "out" / "report.html"
    told = []
    for number, text in enumerate(HOSTILE):
        maps = [heatmap(text, {"overlay": text}), heatmap(text, reason=text)]
        told += [
            done(text, guess(text, index=number), maps=maps, warning=text),
            failed(f"b{number}", text, text),
        ]
    settings = RunFile({"model": {"model": HOSTILE[0]}}, "")
    write_page(gather(Run(out, told, settings), path, other=Run(tmp_path / HOSTILE[0][:9], told)))
    with opened(browser, path, missing=True) as page:
        parts = "document.querySelectorAll('script, style, iframe, object, svg, b').length"
        before = page.evaluate(parts)
        for place in range(0, len(told), 2):
            evaluate(page, f"address.show({place})")
            assert page.locator("#viewname").count() == 1
            address = evaluate(page, f"address.linkOf(data.RECORDS[{place}])")
            assert page.evaluate("location.hash") == address
            assert evaluate(page, f"address.placeIn({address!r})") == place
        page.keyboard.press("Escape")
        for view in ("classes", "about", "pictures"):
            evaluate(page, f"address.ask({{ view: '{view}' }})")
            assert page.evaluate(parts) == before
            shown = page.evaluate("document.body.innerText")
            assert not set(shown) & set("\x00\x07\x1b\u202e\u2066\u2028\u2029\udce9\ud800")
        assert page.evaluate("document.querySelectorAll('[onclick], [onerror]').length") == 0
