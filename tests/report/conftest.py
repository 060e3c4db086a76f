from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from gradcam_cli.report.gather import Run, gather
from gradcam_cli.report.page import write_page
from gradcam_cli.report.truth import Truth
from gradcam_cli.store.records import Record
from tests.report.browser import opened, started
from tests.report.gallery import SETTINGS, records


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("browser") / "out"
    out.mkdir()
    return out


@pytest.fixture(scope="module")
def every(folder: Path) -> list[Record]:
    return records(folder)


@pytest.fixture(scope="module")
def report(folder: Path, every: list[Record]) -> Path:
    path = folder / "report.html"
    write_page(gather(Run(folder, every, SETTINGS), path, truth=Truth()))
    return path


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    with opened(browser, report) as page:
        yield page
