from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.images.files import read_picture
from gradcam_cli.sources.find import find_pictures
from gradcam_cli.sources.lists import entries

NAMES = ["a.jpg", "Ёж 1.jpg", "p/\U0001f418.png", "café.jpg"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def listed(data: bytes, nul: bool = False) -> list[str]:
    """The sources of a list in a file, which must be those of the same list on standard input."""
    Path("list.txt").write_bytes(data)
    with Path("list.txt").open("rb") as lines:
        piped = [found.source for found in find_pictures(["-"], lines, nul=nul)]
    assert [found.source for found in find_pictures(["@list.txt"], nul=nul)] == piped
    return piped


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\n\n"])
def test_lists_of_any_editor(codec: str, end: str) -> None:
    mark = codecs.BOM_UTF16_BE if codec == "utf-16-be" else b""
    assert listed(mark + end.join(NAMES).encode(codec)) == NAMES
    assert listed(mark + (end.join(NAMES) + end).encode(codec)) == NAMES


@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_zero_bytes_end_paths_where_that_is_said(codec: str) -> None:
    names = [*NAMES, "new\nline.jpg", "re\rturn.jpg"]
    assert listed("\0".join(names).encode(codec), nul=True) == names


def test_lists_that_were_joined() -> None:
    one = codecs.BOM_UTF8 + b"a.jpg\n"
    assert listed(one + codecs.BOM_UTF8 + b"b.jpg\n") == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("data", "nul", "message", "hint"),
    [
        ("\0".join(NAMES).encode(), False, "holds zero bytes", "give -0"),
        (b"a.jpg\nb.jpg\0", False, "holds zero bytes", "give -0"),
        ("\n".join(NAMES).encode("utf-16-le"), False, "UTF-16 text without a byte", "UTF-8"),
        ("\r\n".join(NAMES).encode("utf-16-be"), False, "UTF-16 text without a byte", "UTF-8"),
        (codecs.BOM_UTF16_LE + b"a\0b", False, "damaged UTF-16", "UTF-8"),
        ("\n".join(NAMES).encode(), True, "no zero byte", "leave out -0"),
        (b"a.jpg\n", True, "no zero byte", "leave out -0"),
        (b"a.jpg\n" * 20_000, True, "no zero byte", "leave out -0"),
    ],
)
def test_other_files_are_named_for_what_they_are(
    data: bytes, nul: bool, message: str, hint: str
) -> None:
    Path("list.txt").write_bytes(data)
    for name, given in (("the list list.txt", None), ("the list on standard input", [data])):
        with pytest.raises(GradcamError) as caught:
            list(find_pictures(["@list.txt" if given is None else "-"], given, nul=nul))
        assert caught.value.message.startswith(name)
        assert message in caught.value.message
        assert hint in caught.value.hint


def test_a_list_that_is_none_is_refused_before_other_sources_are_done() -> None:
    Path("a.jpg").write_bytes(b"")
    Path("list.txt").write_bytes(b"b.jpg\0c.jpg")
    with pytest.raises(GradcamError, match="zero bytes"):
        find_pictures(["a.jpg", "@list.txt"])


def test_a_single_name_may_hold_a_line_end() -> None:
    Path("new\nline.jpg").write_bytes(b"")
    assert list(entries([b"new\nline.jpg"], nul=True)) == [Path("new\nline.jpg")]


def test_a_name_in_another_encoding_says_so() -> None:
    Path("café.jpg").write_bytes(b"")
    (source,) = listed("café.jpg\n".encode("latin-1"))
    assert os.fsencode(source) == b"caf\xe9.jpg"
    with pytest.raises(ImageError) as caught:
        read_picture(Path(source))
    assert caught.value.kind == "vanished"
    assert "not UTF-8" in caught.value.hint
    with pytest.raises(ImageError) as caught:
        read_picture(Path("tea.jpg"))
    assert "UTF-8" not in caught.value.hint
