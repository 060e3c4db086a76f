"""What a run gives back at intensity 0 is the picture, as its format defines it."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from tests.images.making import levels, meant, png, pnm, tiff
from tests.images.test_heic import heic
from tests.processes import LITE0, gradcam, records

TEN, TWELVE, DEEP = levels(3, 1023), levels(3, 4095), levels(3, 65535)
FOUR = levels(4, 255)
FILES = {
    "ten.avif": (imagecodecs.avif_encode(TEN, level=100, bitspersample=10), meant(TEN, 1023)),
    "twelve.jp2": (
        imagecodecs.jpeg2k_encode(TWELVE, level=0, bitspersample=12, reversible=True),
        meant(TWELVE, 4095),
    ),
    "infrared.jp2": (
        imagecodecs.jpeg2k_encode(FOUR, level=0, reversible=True),
        meant(FOUR, 255, extra=(0,)),
    ),
    "thousand.ppm": (pnm(levels(3, 1000), 1000, plain=False), meant(levels(3, 1000), 1000)),
    "planes.tif": (tiff(DEEP, photometric="rgb", planarconfig="separate"), meant(DEEP, 65535)),
    "white.tif": (
        tiff(levels(1, 65535), photometric="miniswhite", bigtiff=True),
        meant(levels(1, 65535), 65535, "miniswhite"),
    ),
    "infrared.tif": (
        tiff(FOUR, photometric="rgb", extrasamples=(0,)),
        meant(FOUR, 255, extra=(0,)),
    ),
    "phone.heic": (heic("RGB;10", TEN), meant(TEN, 1023)),
    "dark.png": (png(TWELVE, 16, 2), meant(TWELVE, 65535)),
}


def test_intensity_0_gives_the_picture_back(tmp_path: Path) -> None:
    for name, (data, _) in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "page.jpg").write_bytes(b"<!doctype html><html><body>403</body></html>")
    run = gradcam(
        *("run", *FILES, "page.jpg", *LITE0, "--save", "overlay", "--format", "png"),
        *("--intensity", "0", "-o", "out"),
        cwd=tmp_path,
    )
    assert run.returncode == 3, run.stderr
    rows = {row["source"]: row for row in records(tmp_path / "out")}
    for name, (_, expected) in FILES.items():
        drawn = Image.open(tmp_path / "out" / rows[name]["explanations"][0]["files"]["overlay"])
        assert np.abs(np.asarray(drawn) - np.rint(expected)).max() <= 1, name
        assert ("--white 4095" in rows[name]["warning"]) == (name == "dark.png")
    assert "a web page" in rows["page.jpg"]["error"]["message"]
