"""The page's policy in a real browser: nothing runs but the modules that the page is made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.report.browser import evaluate, needs_browser

pytestmark = needs_browser

_RUN = "document.documentElement.dataset.foreign = 'run'"
_ADDRESS = f"data:text/javascript,{_RUN.replace(' ', '%20')}"


def foreign(page: Page) -> str | None:
    found: str | None = page.evaluate("document.documentElement.dataset.foreign ?? null")
    return found


@pytest.mark.parametrize(
    "injected",
    [
        f"<script>{_RUN}</script>",
        f"<script type='module'>{_RUN}</script>",
        f'<script src="{_ADDRESS}"></script>',
        f'<script type="module" src="{_ADDRESS}"></script>',
        f'<script type="importmap">{{"imports": {{"gradcam/text.js": "{_ADDRESS}"}}}}</script>',
        f'<img src="x:" onerror="{_RUN}">',
    ],
)
def test_what_gets_into_the_page_does_not_run(
    browser: Browser, report: Path, tmp_path: Path, injected: str
) -> None:
    """Even markup in the page's head, where no name of a picture can come to stand."""
    path = tmp_path / "page.html"
    text = report.read_text(encoding="utf-8")
    path.write_text(text.replace("<style>", f"{injected}<style>", 1), encoding="utf-8")
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(path.as_uri())
    page.wait_for_selector(".card")
    assert foreign(page) is None
    assert any("Content Security Policy" in text for text in refused), refused
    page.close()


def test_what_a_module_imports_later_does_not_run(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    failed = page.evaluate(f'import("{_ADDRESS}").then(() => "", (error) => error.name)')
    assert failed == "TypeError"
    failed = page.evaluate(
        f"""new Promise((done) => {{
            const script = document.createElement("script");
            script.src = "{_ADDRESS}";
            script.onerror = () => done("refused");
            script.onload = () => done("run");
            document.head.append(script);
        }})"""
    )
    assert failed == "refused"
    assert foreign(page) is None
    page.close()


def test_the_modules_make_no_globals(browser: Browser, report: Path, tmp_path: Path) -> None:
    page = browser.new_page()
    own = "Object.getOwnPropertyNames(window)"
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html>", encoding="utf-8")
    page.goto(empty.as_uri())
    blank = page.evaluate(own)
    page.goto(report.as_uri())
    assert evaluate(page, "data.RECORDS.length") == 31
    assert set(page.evaluate(own)) - set(blank) == set()
    page.close()
