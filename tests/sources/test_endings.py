from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gradcam_cli.errors import ImageError
from gradcam_cli.images.files import read_picture
from gradcam_cli.sources.endings import EXTENSIONS, UNREAD, advice, heic_installed, is_unread
from tests.tiny import noise


def test_a_type_is_read_or_not() -> None:
    assert not EXTENSIONS & UNREAD
    for kind in EXTENSIONS | UNREAD:
        assert kind == kind.lower()
        assert kind.startswith(".")
    assert (".heic" in EXTENSIONS) == heic_installed()
    assert {".heic", ".heif", ".hif"} <= EXTENSIONS | UNREAD
    assert is_unread("x/A.CR2")
    assert not is_unread("._a.cr2")


def test_heic_is_read_once_its_package_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert not heic_installed()
    monkeypatch.delitem(sys.modules, "pillow_heif")
    (tmp_path / "pillow_heif.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert heic_installed()


@pytest.mark.parametrize("kind", sorted(UNREAD))
def test_what_opencv_writes_of_these_types_is_not_read(kind: str, tmp_path: Path) -> None:
    """A type that begins to be read belongs to the others."""
    if not cv2.haveImageWriter(f"a{kind}"):
        return
    pixels = noise(0)
    deep = kind in (".exr", ".hdr", ".pfm", ".pic")
    path = tmp_path / f"a{kind}"
    path.write_bytes(bytes(cv2.imencode(kind, pixels.astype(np.float32) if deep else pixels)[1]))
    with pytest.raises(ImageError) as caught:
        read_picture(path)
    assert caught.value.kind == "not-a-picture"


@pytest.mark.parametrize("kind", [".dib", ".apng"])
def test_other_names_of_types_that_are_read(kind: str, tmp_path: Path) -> None:
    pixels = noise(0)
    path = tmp_path / f"a{kind}"
    path.write_bytes(bytes(cv2.imencode(kind, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]))
    np.testing.assert_array_equal(read_picture(path).pixels, pixels)
    assert kind in EXTENSIONS


def test_advice_is_given_once_a_kind() -> None:
    said = advice([".cr2", ".psd", ".nef"])
    assert said == (
        ".cr2, .nef: develop them to JPEG, PNG or TIFF; .psd: convert them to JPEG, PNG or TIFF"
    )
    assert "gradcam-cli[heic]" in advice([".heic"])
