"""The page of a check: both maps over the image that was checked, worst first."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from gradcam_cli.gate.baseline import Classes, Entry
from gradcam_cli.gate.judge import Case, Judge, MapCase
from gradcam_cli.gate.page import gather_check
from gradcam_cli.gate.reread import read_result
from gradcam_cli.gate.result import Result, write_result
from gradcam_cli.report.page import write_page
from gradcam_cli.spec.gate import GateSpec
from tests.gate.made import LABELS, class_map, entry, noise
from tests.processes import gradcam, problem
from tests.report.browser import needs_browser, opened, started
from tests.report.made import HOSTILE

GREY = 120


def corner(row: int, column: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    raw = np.zeros((4, 4), np.float32)
    raw[row, column] = 1
    return raw


def side(path: Path, raw: np.ndarray[Any, np.dtype[np.float32]], **more: Any) -> Entry:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64
    shown = class_map(raw=raw, **more)
    return entry(shown, picture=str(path), sha256=sha256, width=160, height=120)


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A check of three images, the worst last: heat that went from one corner to another."""
    paths = [tmp_path / f"{name}.png" for name in ("same", "little", "much")]
    for level, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((120, 160, 3), GREY + level, np.uint8))
    judge = Judge(GateSpec(), Classes(4, "", 1, ()), LABELS, 4)
    same, little, much = paths
    cases = [
        judge(str(same), side(same, noise(0)), side(same, noise(0))),
        judge(str(little), side(little, noise(1)), side(little, noise(1), probability=0.8)),
        judge(str(much), side(much, corner(0, 0)), side(much, corner(3, 3))),
        Case("gone.png", "missing", ("it is not there",), before=entry()),
    ]
    path = tmp_path / "out" / "check.json"
    write_result(path, Result("check", cases, changes=["resize squash, now crop"]))
    return path


def page_of(path: Path, embed: bool = False) -> tuple[Path, Any]:
    page = path.with_suffix(".html")
    write_page(gather_check(read_result(path), path, page, embed=embed))
    found = re.search(r'id="records">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return page, json.loads(found[1])


def hottest(url: str) -> tuple[int, int]:
    """Where an overlay on grey is reddest, as the quarter of its height and width."""
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), int)
    red = cv2.blur((pixels[..., 2] - pixels[..., 0]).astype(np.float32), (9, 9))
    y, x = np.unravel_index(red.argmax(), red.shape)
    return int(4 * y / red.shape[0]), int(4 * x / red.shape[1])


def test_both_maps_lie_on_the_image_where_they_were_measured(result: Path) -> None:
    _, data = page_of(result, embed=True)
    assert [Path(row[0]).stem for row in data["records"]] == ["much", "little", "gone", "same"]
    assert [each[0] for each in data["checks"]] == ["changed", "changed", "missing", "same"]
    row, (word, fine, beyond, reasons, _, numbers) = data["records"][0], data["checks"][0]
    assert (hottest(row[4][0][7]), hottest(row[10][1][0][7])) == ((3, 3), (0, 0))
    assert (word, fine, data["runs"]) == ("changed", False, ["now", "baseline"])
    assert row[10][2] == 1, "nowhere the same"
    plain = json.loads(result.read_text())["pictures"][0]
    assert (beyond, reasons) == (plain["beyond"], plain["reasons"])
    wanted = [[n["name"], n["value"], n["limit"]] for n in plain["maps"][0]["numbers"]]
    assert [each[1:4] for each in numbers] == wanted


def test_an_image_that_is_another_by_now_is_not_shown(result: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "much.png"), np.zeros((120, 160, 3), np.uint8))
    page, data = page_of(result, embed=True)
    row = data["records"][0]
    assert row[7:9] == ["", ""]
    assert hottest(row[4][0][7]) == (3, 3), "its map is, on grey"
    assert "are grey: 2." in page.read_text(encoding="utf-8")


def test_classes_are_named_as_people_write_them(result: Path) -> None:
    values = json.loads(result.read_text())
    first = values["pictures"][0]
    classes = [("Egyptian_cat", 0), ("cat_", 1), ("Persian", 2)]
    made = [{**first["now"]["predictions"][0], "name": name, "index": i} for name, i in classes]
    first["now"]["predictions"] = made
    pair = first["maps"][0]
    pair["name"] = "tiger_cat"
    first["reasons"] = ["predicted Egyptian_cat (0.5), was tiger_cat", "not_a_class, Egyptian_cats"]
    first["notes"] = ["the map of tiger_cat is empty now"]
    place = {"name": "great_auk", "pictures": 3, "share": 0.5, "chance": 0.1, "one_place": True}
    values["places"] = [place]
    result.write_text(json.dumps(values))
    page, data = page_of(result)
    assert data["checks"][0][3:5] == [
        ["predicted Egyptian cat (0.5), was tiger cat", "not_a_class, Egyptian_cats"],
        ["the map of tiger cat is empty now"],
    ]
    text = page.read_text(encoding="utf-8")
    assert "great auk: 50% of the heat" in text
    assert "great_auk" not in text


def test_the_command_writes_the_page_beside_the_result(result: Path) -> None:
    done = gradcam("report", result, "--embed", cwd=result.parent)
    assert done.returncode == 0, done.stderr
    assert "1 of 4 pictures as in the baseline, 2 changed, 1 missing" in done.stderr
    assert [each.name for each in sorted(result.parent.iterdir())] == ["check.html", "check.json"]
    result.write_text('{"schema_version": 1, "kind": "check"}')
    assert "is damaged" in problem(gradcam("report", result, cwd=result.parent))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@needs_browser
def test_worst_first_with_both_maps_and_the_slider(browser: Browser, result: Path) -> None:
    page_file, _ = page_of(result)
    with opened(browser, page_file) as page:
        cards = page.locator(".card")
        assert cards.locator(".name").all_inner_texts() == [
            *("much.png", "little.png", "gone.png", "same.png")
        ]
        assert cards.first.locator("img.over").count() == 2
        assert cards.first.locator("input.wipe").count() == 2
        assert "changed" in cards.first.inner_text()
        page.locator("button[data-show=missing]").click()
        assert cards.locator(".name").all_inner_texts() == ["gone.png"]
        page.locator("button[data-show=missing]").click()
        cards.first.locator("a").click()
        over = page.locator("#view img.over")
        expect(over).to_have_count(2)
        page.locator("#view input.opacity").fill("0")
        assert over.evaluate_all("all => all.map((e) => getComputedStyle(e).opacity)") == ["0"] * 2
        assert page.locator("#view strong").all_inner_texts()[1:3] == ["now", "baseline"]
        assert "correlation" in page.locator(".judged table").inner_text()
        assert "0.9990" in page.locator(".judged table").inner_text()


@needs_browser
def test_names_in_a_result_are_text_and_frames_anywhere_are_drawn(
    browser: Browser, result: Path
) -> None:
    values = json.loads(result.read_text())
    values["baseline"] = values["changes"][0] = HOSTILE[0]
    first = values["pictures"][0]
    first["reasons"] = first["notes"] = [each for each in HOSTILE if each.isascii()]
    pair = first["maps"][0]
    pair["name"] = pair["method"] = pair["now"]["layer"] = HOSTILE[2]
    pair["now"]["map"].update(rows=[-1e6, 1e-6, -1e6, 1e6], columns=[1e6, 1e6, 1e6, -1e6])
    pair["before"]["map"].update(low=-1e38, high=1e38)
    first.update(width=1 << 31, height=1)
    result.write_text(json.dumps(values))
    page_file, _ = page_of(result)
    with opened(browser, page_file) as page:
        page.locator(".card a").first.click()
        expect(page.locator(".judged h3")).to_contain_text("changed")
        assert page.locator(".judged").inner_text().count("alert(1)") >= 4


def test_an_audit_has_one_map_of_each_image(result: Path, tmp_path: Path) -> None:
    path = tmp_path / "much.png"
    case = Case(str(path), "changed", ("too much",), 1.5, now=side(path, corner(0, 3)))
    assert case.now is not None
    maps = tuple(MapCase(None, item) for item in case.now.maps)
    write_result(result, Result("audit", [replace(case, maps=maps), Case("b", "same")]))
    page, data = page_of(result, embed=True)
    assert "runs" not in data
    assert [each[:3] for each in data["checks"]] == [["beyond", False, 1.5], ["within", True, 0]]
    assert len(data["records"][0]) <= 9, "no other side"
    assert hottest(data["records"][0][4][0][7]) == (0, 3)
    assert ">Audit in check.json</h1>" in page.read_text(encoding="utf-8")
