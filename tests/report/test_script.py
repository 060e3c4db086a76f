from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gradcam_cli.report.gather import Run, gather
from gradcam_cli.report.page import write_page
from gradcam_cli.store.records import Record
from tests.report.browser import evaluate, needs_browser, opened, visit
from tests.report.gallery import SETTINGS, button, is_right, names, order, sure
from tests.report.made import HEATS, heatmap

pytestmark = needs_browser


def number_in(record: Record) -> int:
    return int("".join(filter(str.isdigit, record.source)) or 10**6)


def test_counts_lead_to_their_pictures(page: Page, every: list[Record]) -> None:
    done_ones = [record for record in every if not record.failed]
    wanted = {
        "right": [record for record in done_ones if is_right(record)],
        "wrong": [record for record in done_ones if not is_right(record)],
        "failed": [record for record in every if record.failed],
        "empty map": [record for record in every if record.empty],
        "warning": [record for record in every if record.warning],
    }
    assert order(page) == names(every)
    for words, kept in wanted.items():
        one = button(page, words).first
        assert one.locator("strong").inner_text() == str(len(kept))
        one.click()
        assert order(page) == names(kept)
        assert page.locator("#found").inner_text() == f"{len(kept)} of 31 pictures"
    assert "80.0 %" in button(page, "right").inner_text()


def test_every_order_against_python_s_own(page: Page, every: list[Record]) -> None:
    known = [record for record in every if record.predictions]
    margin = {r.source: sure(r) - (r.predictions[1].probability or 0) for r in known}
    mapped = [r for r in known if r.explanations[0].heat]
    wanted = {
        "least": [*sorted(known, key=sure), every[-1]],
        "surest": [*sorted(known, key=sure, reverse=True), every[-1]],
        "narrow": [*sorted(known, key=lambda r: margin[r.source]), every[-1]],
        "wide": [*sorted(known, key=lambda r: -margin[r.source]), every[-1]],
        "": every,
    }
    for sort, kept in wanted.items():
        page.select_option("#sort", sort)
        assert order(page) == names(kept), sort
    page.select_option("#sort", "name")
    natural = sorted(every, key=lambda r: (r.source.split("_")[0].lower(), number_in(r)))
    assert order(page) == names(natural)
    page.select_option("#sort", "border")
    assert sorted(order(page)[: len(mapped)]) == sorted(names(mapped))
    shares = evaluate(
        page,
        """(() => {
        const made = (by, share) => Object.assign(Array(11).fill(null), { 8: share, 10: by });
        const record = Object.assign([], { 4: [made(0, 0.1), made(1, 0.7)] });
        return [0, 1].map((number) => data.inBorder(record, number));
    })()""",
    )
    assert shares == [0.1, 0.7], "of the map that is shown"


def test_text_finds_files_and_classes_as_people_write_them(page: Page, every: list[Record]) -> None:
    page.fill("#q", "IMG_1")
    page.wait_for_url("**IMG_1**")
    assert order(page) == [name for name in names(every) if name.startswith("img_1")]
    page.fill("#q", "great dane")
    page.wait_for_url("**dane**")
    expected = [
        r
        for r in every
        if r.source.startswith("Great")
        or (r.predictions and r.predictions[0].name == "Great_Dane")
        or any(item.name == "Great_Dane" for item in r.explanations)
    ]
    assert order(page) == names(expected)


def test_a_class_and_a_range_of_confidence(page: Page, every: list[Record]) -> None:
    page.select_option("#class", "2")
    kept = [r for r in every if r.predictions and r.predictions[0].index == 2]
    assert order(page) == names(kept)
    box = page.locator("#histogram").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.22 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=4)
    page.mouse.move(box["x"] + 0.58 * box["width"], y)
    page.mouse.up()
    assert order(page) == names([r for r in kept if 0.2 <= sure(r) <= 0.6])
    assert page.locator("#range").inner_text() == "20 % to 60 %"
    page.locator("#to").press("ArrowRight")
    assert page.locator("#range").inner_text() == "20 % to 61 %"
    button(page, "Remove filter: confidence").click()
    assert order(page) == names(kept)
    page.go_back()
    expect(page.locator("#range")).to_have_text("20 % to 61 %")


def test_the_bars_are_the_pictures(page: Page, every: list[Record]) -> None:
    bars = evaluate(page, "histogram.counted(filters.chosen(address.state, false))")
    expected = [[0, 0] for _ in range(25)]
    for record in every:
        if record.predictions:
            expected[min(24, int(sure(record) * 25))][0 if is_right(record) else 1] += 1
    assert bars == expected


def test_a_view_is_linked(browser: Browser, report: Path, every: list[Record]) -> None:
    with opened(browser, report, "#?show=wrong&sort=least") as page:
        wrong = [r for r in every if r.predictions and not is_right(r)]
        assert order(page) == names(sorted(wrong, key=sure))
        assert button(page, "wrong").first.get_attribute("aria-pressed") == "true"
    with opened(browser, report, "#?show=nonsense&sort=x&from=7&class=a&view=none") as page:
        assert order(page) == names(every)


def test_a_picture_is_linked_and_arrows_go_on(browser: Browser, report: Path) -> None:
    with opened(browser, report, "#tabby_cat/img_6.png") as page:
        dialog = page.locator("#view")
        assert dialog.is_visible()
        assert page.locator("#viewname").inner_text() == "img_6.png"
        page.keyboard.press("ArrowRight")
        assert page.locator("#viewname").inner_text() == "img_7.png"
        page.wait_for_url("**#Great_Dane/img_7.png")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert page.locator("#viewname").inner_text() == "img_5.png"
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        expect(page.locator(":focus")).to_have_attribute("href", "#tabby_cat/img_5.png")


def test_one_picture_with_all_that_is_known(browser: Browser, report: Path) -> None:
    with opened(browser, report, "#tabby_cat/img_6.png") as page:
        page.evaluate(
            "Promise.all([...document.querySelectorAll('.sheet img')].map((each) => each.decode()))"
        )
        assert page.locator(".sheet figcaption strong").all_inner_texts() == [
            *("Picture", "Overlay", "Heat")
        ]
        shown = page.locator(".sheet img").evaluate_all("(all) => all.map((each) => each.src)")
        assert [each.rpartition("/")[2] for each in shown] == [
            *("img_6.png", "img_6.png", "img_6.png.top1.png")
        ]
        picture = page.locator(".sheet").first.locator(".box").bounding_box()
        mark = page.locator(".peak").bounding_box()
        assert picture is not None
        assert mark is not None
        across = (mark["x"] + mark["width"] / 2 - picture["x"]) / picture["width"]
        down = (mark["y"] + mark["height"] / 2 - picture["y"]) / picture["height"]
        assert (across, down) == pytest.approx((3.5 / 40, 4.5 / 30), abs=0.01)
        labels = page.locator(".ranking .label").all_inner_texts()
        assert labels == ["tabby cat ✓ true class", "Great Dane"]
        page.locator(".strip button").nth(1).click()
        caption = page.locator(".sheet figcaption").nth(1).inner_text()
        assert caption.split() == ["Overlay", "Great", "Dane"]
        facts = page.locator("#view .facts").inner_text()
        assert "x 20, y 15" in facts
        assert "gradcam run" in page.locator("#view .command").text_content()  # type: ignore[operator]


def test_the_bare_heat_is_the_record_s_map(browser: Browser, report: Path) -> None:
    with opened(browser, report, "#sea_lion/img_2.png") as page:
        pixels = page.evaluate(
            "[...document.querySelector('#view canvas').getContext('2d')"
            ".getImageData(0, 0, 2, 2).data]"
        )
        red, blue = [128, 0, 0, 255], [0, 0, 128, 255]  # the ends of jet
        assert pixels == [*blue, *blue, *blue, *red], HEATS[2]


def test_the_slider_uncovers_the_picture(page: Page) -> None:
    card = page.locator(".card").first
    over = card.locator(".over")
    assert over.evaluate("(each) => getComputedStyle(each).opacity") == "1"
    card.locator(".wipe").fill("30")
    clip = over.evaluate("(each) => getComputedStyle(each).clipPath")
    assert clip == "inset(0px calc(70%) 0px 0px)" or "70%" in clip
    page.locator("#opacity").fill("40")
    assert over.evaluate("(each) => getComputedStyle(each).opacity") == "0.4"
    page.locator("h1").click()
    page.keyboard.press("o")
    assert over.evaluate("(each) => getComputedStyle(each).opacity") == "0"
    page.keyboard.press("o")
    assert over.evaluate("(each) => getComputedStyle(each).opacity") == "0.4"


def test_the_keyboard_walks_the_gallery(page: Page) -> None:
    page.locator(".card a").first.focus()
    columns = evaluate(page, "gallery.gallery.columns")
    spot = "Number(document.activeElement.closest('.card').dataset.spot)"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(spot) == 1
    page.keyboard.press("ArrowDown")
    assert page.evaluate(spot) == 1 + columns
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert page.evaluate(spot) == 1 + 4 * columns
    page.keyboard.press("Enter")
    assert page.locator("#viewname").inner_text() == f"img_{1 + 4 * columns}.png"
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"


def test_the_matrix_leads_to_its_pictures(page: Page, every: list[Record]) -> None:
    button(page, "Confusion").click()
    cells: dict[tuple[str, str], list[Record]] = {}
    for record in every:
        if record.predictions:
            key = record.source.split("/")[0], record.predictions[0].name
            cells.setdefault(key, []).append(record)
    shown = page.locator("#matrix td button").all_inner_texts()
    assert sorted(shown) == sorted(str(len(kept)) for kept in cells.values())
    wrong = [kept for (truth, guessed), kept in cells.items() if truth != guessed]
    assert page.locator("#pairs li").count() == len(wrong)
    truth, guessed = "Great Dane", "tabby cat"
    page.get_by_role("button", name=f"{truth} predicted as {guessed}").click()
    assert order(page) == names(cells["Great_Dane", "tabby_cat"])
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("href", f"#{cells['Great_Dane', 'tabby_cat'][0].source}")
    chips = page.locator(".chip")
    assert chips.all_inner_texts() == ["predicted tabby cat ✕", "true class Great Dane ✕"]
    chips.last.press("Enter")
    assert focused.inner_text() == "predicted tabby cat ✕"
    focused.press("Enter")
    assert focused.inner_text() == "31 pictures"
    assert order(page) == names(every)


def test_a_mean_map_leads_to_its_class(page: Page, every: list[Record]) -> None:
    """To all of it, as the tile says, whatever was searched before."""
    visit(page, "#?q=img_1&from=0.5&view=classes")
    assert page.locator(".tile .label").all_inner_texts()[0] == "Great Dane"
    tile = page.locator(".tile").first
    kept = [r for r in every if r.predictions and r.predictions[0].index == 2]
    right = sum(map(is_right, kept))
    assert f"{len(kept)} pictures" in tile.inner_text()
    assert f"{right} of {len(kept)} right" in tile.inner_text()
    tile.click()
    assert order(page) == names(kept)
    expect(page.locator(":focus")).to_have_attribute("href", f"#{kept[0].source}")


@pytest.fixture(scope="module")
def compared(folder: Path, every: list[Record]) -> Path:
    others = []
    for number, record in enumerate(every[:-1]):
        item = replace(heatmap("tabby_cat"), heat=HEATS[(number // 3) % 3])
        swapped = record.predictions if number % 4 else record.predictions[::-1]
        others.append(replace(record, explanations=(item,), predictions=swapped))
    path = folder / "compare.html"
    other = Run(folder.parent / "theirs", others, SETTINGS)
    write_page(gather(Run(folder, every, SETTINGS), path, other=other))
    return path


def test_two_runs_come_furthest_apart_first(
    browser: Browser, compared: Path, every: list[Record]
) -> None:
    with opened(browser, compared) as page:
        apart = evaluate(
            page, "gallery.gallery.places.map((place) => data.apart(data.RECORDS[place]))"
        )
        known = [each for each in apart if each is not None]
        assert known == sorted(known, reverse=True)
        assert len(known) == 29
        assert (known[0], known[-1]) == (1, 0)
        button(page, "answered otherwise").click()
        assert sorted(order(page)) == sorted(names(every[:-1:4]))
        page.locator(".card a").first.click()
        titles = page.locator(".sheet figcaption strong").all_inner_texts()
        assert titles == ["Picture", "out", "theirs", "Heat, out", "Heat, theirs", "Difference"]
        visit(page, "#tabby_cat/img_3.png")  # (255, 0, 0, 0) and (0, 255, 51, 0)
        cells = page.evaluate(
            "[...[...document.querySelectorAll('#view canvas')].pop().getContext('2d')"
            ".getImageData(0, 0, 2, 2).data]"
        )
        white = [245, 245, 245, 255]
        faint = round(245 * (1 - 51 / 306))
        blue = [round(245 * (1 - 255 / 306)), round(245 * (1 - 255 / 306)), 220, 255]
        assert cells[:8] == [205, 0, 0, 255, *blue]
        assert cells[8:10] == [faint, faint]
        assert cells[12:] == white
        taken = evaluate(
            page,
            """(() => {
            const made = (number) => Object.assign(Array(11).fill(null), { 0: 0, 10: number });
            const [one, two] = ["a", "b"].map((name) => data.DATA.makers.push([name, "l"]) - 1);
            const record = Object.assign([], { 10: [[], [made(one), made(two)]] });
            return [one, two, 0].map((number) => card.counterpart(record, made(number))[10] - one);
        })()""",
        )
        assert taken == [0, 1, 0], "a map stands beside the other run's by the same method"
