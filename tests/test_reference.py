"""The embedded model's maps of the sample pictures are those that were looked at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from gradcam_cli.cam.methods import METHODS
from tests import reference
from tests.processes import SAMPLES


def test_every_method_finds_what_it_found_before(tmp_path: Path) -> None:
    old, new = reference.stored(), reference.found()
    assert set(old) == set(new) == set(METHODS), "run `python -m tests.reference --write`"
    pictures = len(list(SAMPLES.glob("*.jpg")))
    assert {len(each) for each in old.values()} == {pictures, reference.FEW, 1}
    for name in new:
        reference.check(name, old[name], new[name], tmp_path)


def test_a_change_is_shown_side_by_side(tmp_path: Path) -> None:
    old = np.random.default_rng(0).random((2, 7, 7)).astype(np.float16)
    reference.check("gradcam", old, old + np.float16(1e-3), tmp_path)
    assert list(tmp_path.iterdir()) == []
    new = old.copy()
    new[1, 3, 4] += np.float16(0.5)
    with pytest.raises(AssertionError, match=r"gradcam\.png shows") as caught:
        reference.check("gradcam", old, new, tmp_path)
    assert "Grad-CAM changed by" in str(caught.value)
    picture = cv2.imread(str(tmp_path / "gradcam.png"))
    assert picture is not None
    panel = 172
    assert picture.shape == (2 * panel, 3 * panel, 3)
    difference = picture[panel:, 2 * panel :]
    changed = (np.argwhere((difference == (0, 0, 255)).all(-1)) - 2) // (168 // 7)
    assert {(int(row), int(column)) for row, column in changed} == {(3, 4)}
    assert (picture[2 : panel - 2, 2 * panel + 2 : -2] == 255).all()


def test_pixels_that_are_not_finite_are_a_change(tmp_path: Path) -> None:
    old = np.ones((1, 2, 2), np.float16)
    with pytest.raises(AssertionError, match="changed by nan"):
        reference.check("gradcam", old, old * np.float16("nan"), tmp_path)
