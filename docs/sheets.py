"""Every method on three of the sample pictures, side by side: the pictures in methods.md.

``python docs/sheets.py`` makes them anew, in some minutes: Score-CAM alone runs the network 1280
times for every picture. ``python docs/sheets.py FOLDER`` takes the run that is in FOLDER, and
makes it there first where it is not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.methods import METHODS

ROOT = Path(__file__).parent.parent
PICTURES = ("cat", "butterfly", "motorcycle")
COLUMNS, WIDTH, TITLE = 5, 216, 22
QUALITY = 82
BRIGHTEST = 0.99
"""The share of a map's pixels that are not white."""

Pixels = NDArray[np.uint8]


def run(folder: Path) -> None:
    """Explain the pictures with every method; only what is missing is done."""
    words = [str(ROOT / "sample_images" / f"{name}.jpg") for name in PICTURES]
    words += [word for name in METHODS for word in ("--method", name)]
    words += ["--model", "efficientnet-lite0", "--save", "overlay,array", "-o", str(folder)]
    subprocess.run([sys.executable, "-m", "gradcam_cli", "run", *words], check=True)  # noqa: S603


def sheet(record: dict[str, Any], folder: Path) -> Pixels:
    """Return the picture and its overlays, each below the name of its method."""
    source = cv2.imread(str(ROOT / "sample_images" / Path(record["source"]).name))
    tiles = [tile(source, record["explanations"][0]["name"].replace("_", " "))]
    for each in record["explanations"]:
        if METHODS[each["method"]].needs == "pixels":
            drawn = edges(np.load(folder / each["files"]["array"]), source)
        else:
            drawn = cv2.imread(str(folder / each["files"]["overlay"]))
        tiles.append(tile(drawn, METHODS[each["method"]].title))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[at : at + COLUMNS]) for at in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def edges(heat: NDArray[np.float32], like: Pixels) -> Pixels:
    """Return a map of pixels in grey: few of them are hot, and an overlay hardly shows them."""
    grey = np.clip(heat / np.quantile(heat, BRIGHTEST), 0, 1)
    resized = cv2.resize(grey, like.shape[1::-1], interpolation=cv2.INTER_AREA)
    return np.repeat(np.rint(resized * 255).astype(np.uint8)[..., None], 3, axis=2)


def tile(picture: Pixels, title: str) -> Pixels:
    """Return a picture of the sheet's width below a line of text."""
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
    line = np.full((TITLE, WIDTH, 3), 255, np.uint8)
    cv2.putText(line, title, (2, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    framed = np.vstack([line, small])
    return cv2.copyMakeBorder(framed, 0, 4, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def main() -> None:
    """Write one sheet a picture beside this file."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch)
        run(folder)
        lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
        for record in map(json.loads, lines):
            name = Path(record["source"]).stem
            path = ROOT / "docs" / f"methods-{name}.jpg"
            cv2.imwrite(str(path), sheet(record, folder), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
