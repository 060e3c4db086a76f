from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from gradcam_cli.report.gather import Run, gather
from gradcam_cli.report.page import write_page
from gradcam_cli.report.truth import Truth
from gradcam_cli.store.records import Record
from gradcam_cli.store.runfile import RunFile
from tests.report.browser import needs_browser, opened, started
from tests.report.made import HEATS, HOSTILE, done, explained, failed, guess, heatmap

pytestmark = [needs_browser, pytest.mark.xdist_group("browser")]

CLASSES = (("tabby_cat", 1), ("Great_Dane", 2), ("sea_lion", 3))
_TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
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


def order(page: Page) -> list[str]:
    """The pictures of the gallery in its order, those that have no card yet as well."""
    found: list[str] = page.evaluate("gallery.places.map((place) => basename(RECORDS[place]))")
    return found


def names(kept: list[Record]) -> list[str]:
    return [record.source.rpartition("/")[2] for record in kept]


def is_right(record: Record) -> bool:
    return bool(record.predictions) and record.predictions[0].name == record.source.split("/")[0]


def sure(record: Record) -> float:
    probability = record.predictions[0].probability
    assert probability is not None
    return probability


def number_in(record: Record) -> int:
    return int("".join(filter(str.isdigit, record.source)) or 10**6)


def button(page: Page, words: str) -> Any:
    return page.get_by_role("button", name=re.compile(words))


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
    shares = page.evaluate("""() => {
        const made = (by, share) => Object.assign(Array(11).fill(null), { 8: share, 10: by });
        const record = Object.assign([], { 4: [made(0, 0.1), made(1, 0.7)] });
        return [0, 1].map((number) => ((gallery.maker = number), inBorder(record)));
    }""")
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
    bars = page.evaluate("counted(chosen(state, false))")
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
        assert page.evaluate("location.hash") == "#Great_Dane/img_7.png"
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert page.locator("#viewname").inner_text() == "img_5.png"
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        expect(page.locator(":focus")).to_have_attribute("href", "#tabby_cat/img_5.png")


def test_one_picture_with_all_that_is_known(browser: Browser, report: Path) -> None:
    with opened(browser, report, "#tabby_cat/img_6.png") as page:
        page.wait_for_load_state("networkidle")
        assert page.evaluate(
            "[...document.querySelectorAll('.sheet img')].every((image) => image.naturalWidth)"
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
    columns = page.evaluate("gallery.columns")
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
    assert page.locator(".chip").all_inner_texts() == [
        *("predicted tabby cat ✕", "true class Great Dane ✕")
    ]


def test_a_mean_map_leads_to_its_class(page: Page, every: list[Record]) -> None:
    button(page, "Classes").click()
    assert page.locator(".tile .label").all_inner_texts()[0] == "Great Dane"
    tile = page.locator(".tile").first
    kept = [r for r in every if r.predictions and r.predictions[0].index == 2]
    right = sum(map(is_right, kept))
    assert f"{len(kept)} pictures" in tile.inner_text()
    assert f"{right} of {len(kept)} right" in tile.inner_text()
    tile.click()
    assert order(page) == names(kept)


PLACES = ("#?", "#tabby_cat/img_6.png", "#?view=classes", "#?view=confusion", "#?view=about")


def visited(page: Page) -> Iterator[str]:
    for place in PLACES:
        page.evaluate(f"go('{place}')")
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
            assert page.evaluate("$('view').scrollWidth <= $('view').clientWidth"), place


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser: Browser, report: Path, dark: bool) -> None:
    """Dark differs in its colours alone."""
    rules = {"runOnly": ["color-contrast"]} if dark else None
    with opened(browser, report, dark=dark) as page:
        for place in visited(page):
            found = Axe().run(page, options=rules)
            assert found.violations_count == 0, (place, found.generate_report())


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
        apart = page.evaluate("gallery.places.map((place) => apart(RECORDS[place]))")
        known = [each for each in apart if each is not None]
        assert known == sorted(known, reverse=True)
        assert len(known) == 29
        assert (known[0], known[-1]) == (1, 0)
        button(page, "answered otherwise").click()
        assert sorted(order(page)) == sorted(names(every[:-1:4]))
        page.locator(".card a").first.click()
        titles = page.locator(".sheet figcaption strong").all_inner_texts()
        assert titles == ["Picture", "out", "theirs", "Heat, out", "Heat, theirs", "Difference"]
        page.evaluate("go('#tabby_cat/img_3.png')")  # (255, 0, 0, 0) and (0, 255, 51, 0)
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
        taken = page.evaluate("""() => {
            const made = (number) => Object.assign(Array(11).fill(null), { 0: 0, 10: number });
            const [one, two] = ["a", "b"].map((name) => DATA.makers.push([name, "l"]) - 1);
            const record = Object.assign([], { 10: [[], [made(one), made(two)]] });
            return [one, two, 0].map((number) => counterpart(record, made(number))[10] - one);
        }""")
        assert taken == [0, 1, 0], "a map stands beside the other run's by the same method"


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
        page.evaluate(f"gallery.tallest = {tallest}; layOut(); paint()")
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
        assert spot == seen[-1] - page.evaluate("gallery.columns")


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
            page.evaluate(f"open({place})")
            assert page.locator("#viewname").count() == 1
            address = page.evaluate(f"linkOf(RECORDS[{place}])")
            assert page.evaluate(f"placeIn({address!r})") == place
        page.keyboard.press("Escape")
        for view in ("classes", "about", "pictures"):
            page.evaluate(f"ask({{ view: '{view}' }})")
            assert page.evaluate(parts) == before
            shown = page.evaluate("document.body.innerText")
            assert not set(shown) & set("\x00\x07\x1b\u202e\u2066\u2028\u2029\udce9\ud800")
        assert page.evaluate("document.querySelectorAll('[onclick], [onerror]').length") == 0
