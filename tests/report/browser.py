"""Pages in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gradcam_cli.report.page import MODULES

_NAMES = (
    *("chromium", "chromium-browser", "google-chrome"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), "")

_PATIENCE = 120_000  # milliseconds: others may use the machine as well

expect.set_options(timeout=_PATIENCE)

needs_browser = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"),
    reason="there is no Chromium here: apt-get install chromium",
)
"""In CI a missing browser fails the tests."""


@contextmanager
def started() -> Iterator[Browser]:
    """Start the browser, and end it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox"],
            ignore_default_args=["--disable-ipc-flooding-protection"],  # people have it
            timeout=_PATIENCE,
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """What a page complained of, and what it asked for, that a report never should."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(
    browser: Browser,
    page: Path,
    place: str = "",
    *,
    width: int = 1280,
    dark: bool = False,
    missing: bool = False,
) -> Iterator[Page]:
    """Show a page file; at the end, what it complained of or fetched from elsewhere is an error.

    ``missing`` says that pictures are not where they should be.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
    )
    seen = Seen()
    context.set_default_timeout(_PATIENCE)
    shown = context.new_page()
    shown.on("console", lambda message: seen.complaints.append(message.text))
    shown.on("pageerror", lambda error: seen.complaints.append(str(error)))
    shown.on("request", lambda request: seen.requests.append(request.url))
    try:
        shown.goto(page.as_uri() + place)
        yield shown
        gone = "Failed to load resource: net::ERR_FILE_NOT_FOUND"
        assert [text for text in seen.complaints if not (missing and text == gone)] == []
        assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []
    finally:
        context.close()


_IMPORTS = " ".join(f"const {name[:-3]} = await import('gradcam/{name}');" for name in MODULES)


def evaluate(page: Page, expression: str) -> Any:
    """Evaluate an expression in which each module of the page has its file's name."""
    return page.evaluate(f"async () => {{ {_IMPORTS} return ({expression}); }}")


def visit(page: Page, place: str) -> None:
    """Go to another address of the same page."""
    page.evaluate(
        """(place) => new Promise((done) => {
            if (location.hash === place) return done();
            addEventListener("hashchange", () => done(), { once: true });
            location.hash = place;
        })""",
        place,
    )
