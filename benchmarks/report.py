"""Measure the report of a large run: how long it takes to write, to load, to filter and to scroll.

    python benchmarks/report.py --pictures 100000 --at-most 6

Every picture has two files of its own in the folder, as a run leaves them. The page is opened in
headless Chromium (Debian's ``chromium``); ``--at-most`` is the bound on loading, in seconds, and
the process fails above it, or when a screenful of scrolling takes longer than 50 ms.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from gradcam_cli.cam.compact import compact
from gradcam_cli.report.gather import Run, gather
from gradcam_cli.report.page import write_page
from gradcam_cli.report.truth import Truth
from gradcam_cli.store.reading import read_folder
from gradcam_cli.store.records import ExplanationRecord, Prediction, Record

_CLASSES = 1000
_SCROLLED = 120  # screenfuls
_FRAME = 50.0  # milliseconds
_IMAGES = 200  # different ones
_A_MOMENT = 400  # milliseconds, after which the page has written its address


def main() -> None:
    """Make a run, write its report twice, open it, and print what took how long."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pictures", type=int, default=100_000)
    options.add_argument("--at-most", type=float, default=0, help="seconds of loading")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "out")
        made(folder, asked.pictures)
        for when in ("first", "again"):
            start = time.perf_counter()
            page = folder / "report.html"
            write_page(gather(Run(folder, read_folder(folder)), page, truth=Truth()))
            print(f"written {when}: {time.perf_counter() - start:.1f} s")
        manifest = (folder / "manifest.jsonl").stat().st_size
        small = sum(path.stat().st_size for path in (folder / "report_files").rglob("*.webp"))
        print(
            f"page {page.stat().st_size / 1e6:.1f} MB, manifest {manifest / 1e6:.1f} MB, ", end=""
        )
        print(f"small pictures {small / 1e6:.1f} MB")
        loading, worst = browsed(page)
    if asked.at_most and (loading > asked.at_most or worst > _FRAME):
        sys.exit(f"more than {asked.at_most} s of loading, or {_FRAME} ms for a screenful")


def made(folder: Path, count: int) -> None:
    """Make the output folder of a run of so many pictures, of which some are alike."""
    random = np.random.default_rng(0)
    images = [drawn(random) for _ in range(min(count, _IMAGES))]
    folder.mkdir(parents=True)
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            name = f"photos/class_{number % _CLASSES}/picture_{number:06}.jpg"
            picture, overlay = images[number % len(images)], images[(number + 7) % len(images)]
            for path, data in (
                (folder.parent / name, picture),
                (overlay_of(folder, name), overlay),
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            file.write(record(folder, name, number, picture, overlay, random).to_json() + "\n")


def overlay_of(folder: Path, name: str) -> Path:
    """Return where the overlay of a picture lies."""
    return folder / f"{name}.top1.jpg"


def drawn(random: np.random.Generator) -> bytes:
    """Return a JPEG of 250 x 188 that is no two times the same."""
    small = random.integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(small, (250, 188)))[1].tobytes()


def record(
    folder: Path,
    name: str,
    number: int,
    picture: bytes,
    overlay: bytes,
    random: np.random.Generator,
) -> Record:
    """Return the record of one picture, with five predictions and one map."""
    classes = [(number + step * 17) % _CLASSES for step in (int(random.random() < 0.2), 2, 3, 4, 5)]
    shares = np.sort(random.dirichlet(np.full(5, 0.4)))[::-1]
    rows = tuple(
        Prediction(rank, index, f"n{index:08}", f"class_{index}", float(share), 1.0)
        for rank, (index, share) in enumerate(zip(classes, shares, strict=True), 1)
    )
    file = f"{name}.top1.jpg"
    item = ExplanationRecord(
        *(classes[0], f"n{classes[0]:08}", f"class_{classes[0]}", float(shares[0]), 9.0, False, ""),
        *(
            (120, 90),
            {"overlay": file},
            {"overlay": len(overlay)},
            "top1",
            "gradcam",
            "block5_conv3",
        ),
        compact(random.random((7, 7)).astype(np.float32) ** 4),
    )
    path = folder.parent / name
    return Record(
        source=name,
        status="ok",
        width=250,
        height=188,
        sha256=hashlib.sha256(picture).hexdigest(),
        size=len(picture),
        mtime_ns=path.stat().st_mtime_ns,
        model="vgg16",
        settings="0" * 16,
        predictions=rows,
        explanations=(item,),
        digests={file: hashlib.sha256(overlay).hexdigest()[:16]},
    )


def browsed(path: Path) -> tuple[float, float]:
    """Go through the page; return seconds of loading, and the slowest screenful's ms."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector(".card img")
        loading = time.perf_counter() - start
        print(f"first cards after {loading:.2f} s")
        for words, change in (
            ("filtered by text", {"q": "class_77"}),
            ("sorted by confidence", {"q": "", "sort": "least"}),
            ("sorted by name", {"sort": "name"}),
            ("brushed", {"sort": "", "from": 0.3, "to": 0.6}),
            ("all again", {"from": 0, "to": 1}),
        ):
            page.wait_for_timeout(_A_MOMENT)
            took = page.evaluate(_ASKED, json.dumps(change))
            print(f"{words}: {took:.0f} ms")
        times = scrolled(page)
        cards = page.locator(".card").count()
        memory = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        print(
            f"scrolling by screenfuls: {median(times):.1f} ms median, {max(times):.1f} ms at most"
        )
        print(f"{cards} cards at the end, {memory:.0f} MB of JavaScript's memory")
        browser.close()
    return loading, max(times)


_ASKED = """async (change) => {
    const { ask } = await import("gradcam/address.js");
    const start = performance.now();
    ask(JSON.parse(change), true);
    document.body.getBoundingClientRect();
    return performance.now() - start;
}"""

_SCROLL = f"""async () => {{
    const {{ paint }} = await import("gradcam/gallery.js");
    const times = [];
    for (let screen = 0; screen < {_SCROLLED}; screen += 1) {{
        window.scrollTo(0, screen < {_SCROLLED // 2} ? 800 * screen
            : Math.random() * document.documentElement.scrollHeight);
        const start = performance.now();
        paint();
        document.body.getBoundingClientRect();
        times.push(performance.now() - start);
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    }}
    return times;
}}"""


def scrolled(page: Page) -> list[float]:
    """Scroll by screenfuls, then to places at random; return the milliseconds that each took."""
    times: list[float] = page.evaluate(_SCROLL)
    return times


if __name__ == "__main__":
    main()
