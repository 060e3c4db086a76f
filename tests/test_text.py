from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcam_cli.text import NotTextError, decoded, in_utf8, is_unmarked_utf16, line_text

TEXT = "cat\nЁж\n犬 x\n\U0001f418"
MARKED = {
    "plain": TEXT.encode(),
    "utf-8": codecs.BOM_UTF8 + TEXT.encode(),
    "utf-16-le": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
    "utf-16-be": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "utf-32-le": codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
    "utf-32-be": codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"),
}


@pytest.mark.parametrize("data", MARKED.values(), ids=MARKED)
def test_the_mark_tells_the_encoding(data: bytes) -> None:
    assert decoded(data) == TEXT
    for size in (1, 2, 3, 7, 1000):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert b"".join(in_utf8(pieces)).decode() == TEXT


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_lines_end_as_on_any_system(codec: str) -> None:
    assert decoded("a\r\nb\rc\n\r\nd".encode(codec)) == "a\nb\nc\n\nd"


@pytest.mark.parametrize("data", [b"", *(bytes([value]) for value in (0xEF, 0xFE, 0xFF, 0x61))])
def test_streams_shorter_than_a_mark(data: bytes) -> None:
    assert b"".join(in_utf8([data] if data else [])) == data


def test_a_stream_is_not_read_ahead() -> None:
    def endless() -> Iterator[bytes]:
        yield b"a\n"
        raise AssertionError("read ahead")

    assert list(islice(in_utf8(endless()), 1)) == [b"a\n"]


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        ("cat\ncafé".encode("latin-1"), 2, "not UTF-8 text (byte 0xe9: Latin-1 or another"),
        ("cat\rchat\rcafé".encode("cp1252"), 3, "not UTF-8 text (byte 0xe9"),
        ("cat\ndog".encode("utf-16-le"), 1, "UTF-16 text without a byte order mark"),
        ("cat\r\ndog".encode("utf-16-be"), 1, "UTF-16 text without a byte order mark"),
        (b"a.jpg\0b.jpg\0", 1, "zero byte"),
        (b"a\nb\n\0", 3, "zero byte"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\r", 1, "nor any other"),
        (codecs.BOM_UTF16_LE + b"a\0b", 1, "damaged UTF-16 text"),
        (codecs.BOM_UTF16_LE + b"a\0\n\0\0\xd8b\0", 2, "damaged UTF-16 text"),
    ],
)
def test_anything_else_is_named(data: bytes, line: int, reason: str) -> None:
    with pytest.raises(NotTextError) as caught:
        decoded(data)
    assert reason in caught.value.reason
    assert caught.value.line == line


def test_a_damaged_stream_is_named() -> None:
    with pytest.raises(NotTextError, match="damaged UTF-16"):
        list(in_utf8([codecs.BOM_UTF16_LE + b"a\0b"]))


def test_single_lines() -> None:
    assert line_text(codecs.BOM_UTF8 + "é\r\n".encode()) == "é\r\n"
    with pytest.raises(ValueError, match="UTF-16 text, not UTF-8"):
        line_text(codecs.BOM_UTF16_LE + b"{\0\n")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), min_size=1))
def test_any_text_comes_back(text: str) -> None:
    assert decoded(text.encode()) == decoded(text.encode("utf-16")) == text
    assert not is_unmarked_utf16(text.encode())
