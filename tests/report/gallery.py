"""Thirty pictures to look through, and what a page shows of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from gradcam_cli.store.records import Record
from gradcam_cli.store.runfile import RunFile
from tests.report.browser import evaluate
from tests.report.made import HEATS, explained, failed, guess, heatmap

CLASSES = (("tabby_cat", 1), ("Great_Dane", 2), ("sea_lion", 3))
SETTINGS = RunFile({"model": {"model": "efficientnet-lite0"}, "top_k": 2}, "0" * 16)


def predicted(number: int) -> tuple[Any, Any]:
    """Two guesses for picture ``number``: all confidences and margins differ."""
    (one, first), (two, second) = CLASSES[number % 3], CLASSES[(number + 1) % 3]
    sure = round(0.97 - 0.03 * ((7 * number) % 30), 4)
    return guess(one, sure, first), guess(
        two, round((1 - sure) * 0.9 / (1 + number % 5), 4), second, 2
    )


def records(out: Path) -> list[Record]:
    """Thirty pictures, every fifth of another class than predicted, and three odd ones."""
    made = []
    for number in range(30):
        shift = 1 if number % 5 == 0 else 0
        truth = CLASSES[(number + shift) % 3][0]
        name = f"{truth}/img_{number}.png"
        made.append(explained(out, name, number, guesses=predicted(number)))
    made[3] = replace(made[3], warning="the JPEG is damaged")
    made[4] = replace(made[4], explanations=(heatmap("Great_Dane", reason="all negative"),))
    second = replace(heatmap("Great_Dane"), index=2, heat=HEATS[2], peak=(20, 15))
    made[6] = replace(made[6], explanations=(*made[6].explanations, second))
    return [*made, failed("sea_lion/torn.png", "truncated", "the file is not whole")]


def order(page: Page) -> list[str]:
    """The pictures of the gallery in its order, those that have no card yet as well."""
    found: list[str] = evaluate(
        page, "gallery.gallery.places.map((place) => data.basename(data.RECORDS[place]))"
    )
    return found


def names(kept: list[Record]) -> list[str]:
    return [record.source.rpartition("/")[2] for record in kept]


def is_right(record: Record) -> bool:
    return bool(record.predictions) and record.predictions[0].name == record.source.split("/")[0]


def sure(record: Record) -> float:
    probability = record.predictions[0].probability
    assert probability is not None
    return probability


def button(page: Page, words: str) -> Any:
    return page.get_by_role("button", name=re.compile(words))
