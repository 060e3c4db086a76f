from __future__ import annotations

from pathlib import Path

import imagecodecs
import pytest

from tests.images.making import (
    check,
    levels,
    meant,
    png,
    pnm,
    read,
    tiff,
)


@pytest.mark.parametrize("kind", ["tiff", "png", "grey.tiff", "white.tiff"])
def test_few_bits_in_sixteen_are_warned_of_and_set(tmp_path: Path, kind: str) -> None:
    few = levels(1 if "." in kind else 3, 4095)
    photometric = {"tiff": "rgb", "white.tiff": "miniswhite"}.get(kind, "minisblack")
    data = png(few, 16, 2) if kind == "png" else tiff(few, photometric=photometric)
    assert "--white 4095" in read(tmp_path, data).warning
    check(tmp_path, data, meant(few, 65535, photometric))
    check(tmp_path, data, meant(few, 4095, photometric), white=4095)
    assert read(tmp_path, data, white=4095).warning == ""


@pytest.mark.parametrize(("top", "said"), [(0, ""), (200, "255"), (900, "1023"), (4096, "")])
def test_a_warning_names_the_likely_depth(tmp_path: Path, top: int, said: str) -> None:
    warning = read(tmp_path, png(levels(1, top), 16, 0)).warning
    assert (f"--white {said} " in warning) if said else (warning == "")


def test_a_stated_white_is_not_changed(tmp_path: Path) -> None:
    dark = levels(3, 900)
    for data, white in (
        (png(levels(3, 200), 8, 2), 255),
        (pnm(dark, 1023, plain=False), 1023),
        (tiff(dark, photometric="rgb", bitspersample=10), 1023),
        (imagecodecs.jpeg2k_encode(dark, level=0, bitspersample=12, reversible=True), 4095),
    ):
        expected = meant(levels(3, 200) if white == 255 else dark, white)
        check(tmp_path, data, expected, white=901)
        assert read(tmp_path, data).warning == ""
