"""Bytes that an editor or a shell wrote become text, and text becomes fit for a terminal."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain

_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of writing."""
_LINE_END = re.compile(r"\r\n?|\n")
_UNMARKED = "UTF-16 text without a byte order mark"


class NotTextError(ValueError):
    """Bytes that cannot be read as text; ``line`` counts from 1, ``reason`` says what they are."""

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def decoded(data: bytes) -> str:
    """Return a file's text, without its byte order mark, lines ended by line feeds alone.

    UTF-8, or what the byte order mark says: UTF-16 (PowerShell's ``>``) and UTF-32. Raises
    NotTextError for anything else; nothing is guessed.
    """
    codec = _codec(data)
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(codec, "replace")
        raise NotTextError(_what(data, codec, error.start), _line(before)) from error
    if "\0" in text:
        reason = _UNMARKED if is_unmarked_utf16(data) else "not text, for it holds a zero byte"
        raise NotTextError(reason, _line(text[: text.index("\0")]))
    return _LINE_END.sub("\n", text)


def in_utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a stream that a byte order mark calls UTF-16 or UTF-32 as UTF-8, any other as it is.

    The mark is taken off. No more is read ahead than a mark has bytes. Raises NotTextError.
    """
    start, waiting = b"", iter(chunks)
    while any(mark.startswith(start) and mark != start for mark, _ in _MARKS):
        chunk = next(waiting, None)
        if chunk is None:
            break
        start += chunk
    codec = _codec(start)
    if codec.startswith("utf-8"):
        yield start.removeprefix(codecs.BOM_UTF8)
        yield from waiting
        return
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for chunk in chain([start], waiting):
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as error:
        raise NotTextError(_what(start, codec, 0)) from error


def line_text(line: bytes) -> str:
    """Return one line of a file in UTF-8 as text; raises ValueError that names anything else."""
    codec = _codec(line)
    if not codec.startswith("utf-8"):
        raise NotTextError(f"{codec.upper()} text, not UTF-8")
    return line.removeprefix(codecs.BOM_UTF8).decode()


def is_unmarked_utf16(data: bytes) -> bool:
    """Tell Latin text in UTF-16 without its mark: every second byte is zero, nearly."""
    halves = data[::2], data[1::2]
    zeros = [half.count(0) for half in halves]
    return min(zeros) == 0 and 2 * max(zeros) > len(halves[1]) > 0


def _codec(start: bytes) -> str:
    return next((codec for mark, codec in _MARKS if start.startswith(mark)), "utf-8")


def _what(data: bytes, codec: str, place: int) -> str:
    if not codec.startswith("utf-8"):
        return f"damaged {codec.upper()} text"
    if b"\0" in data:
        return "not UTF-8 text, nor any other"
    return f"not UTF-8 text (byte 0x{data[place]:02x}: Latin-1 or another 8-bit encoding?)"


def _line(before: str) -> int:
    return len(_LINE_END.findall(before)) + 1


def encodable(text: str) -> str:
    """Return text that UTF-8 can hold: bytes that are none, and half characters, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    """Return text that every terminal and page takes and none obeys.

    File names may hold any bytes: what is not UTF-8, steers a terminal, or turns the direction of
    writing becomes an escape.
    """
    escaped = _STEERING.sub
    return escaped(lambda match: match[0].encode("unicode_escape").decode(), encodable(text))
