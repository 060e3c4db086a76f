"""The pictures of the README, each by the command that stands beside it there.

``python docs/figures.py`` makes them anew; the report is photographed by Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SIZE = {"width": 1200, "height": 700}
CAT = "#sample_images/cat.jpg"
"""The address of one picture in a report."""
COMMANDS = (
    "run sample_images/cat.jpg --model efficientnet-lite0 --class top5 --save panel -o figures",
    "run sample_images --model efficientnet-lite0 --class top3 --report -o maps",
    "sheet maps --class castle --columns 3 -o castles.png",
)


def gradcam(command: str, folder: Path) -> None:
    """Run one of the README's commands beside the sample pictures."""
    words = [sys.executable, "-m", "gradcam_cli", *command.split()]
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def smaller(path: Path, name: str, quality: int) -> None:
    """Write a picture as WebP beside this file, at most as large as a panel is."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((1440, 1440))
        picture.save(DOCS / name, quality=quality, method=6)


def photographed(page: Path, folder: Path) -> None:
    """Write what a report looks like: the gallery in light, one picture in dark."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for scheme, place in (("light", ""), ("dark", CAT)):
            view = browser.new_page(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
            view.goto(page.as_uri() + place, wait_until="networkidle")
            view.wait_for_timeout(500)
            view.screenshot(path=folder / "shot.png")
            smaller(folder / "shot.png", f"report-{scheme}.webp", 80)
        browser.close()


def main() -> None:
    """Write all of them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "sample_images").symlink_to(ROOT / "sample_images")
        for command in COMMANDS:
            gradcam(command, folder)
        smaller(folder / "figures" / "cat.jpg.panel.jpg", "panel.webp", 85)
        smaller(folder / "castles.png", "sheet.webp", 80)
        photographed(folder / "maps" / "report.html", folder)


if __name__ == "__main__":
    main()
