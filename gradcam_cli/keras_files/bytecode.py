"""Marshalled bytecode becomes the Python that wrote it, without being loaded.

Keras packs a lambda's code with ``marshal``, which notes no version, and a Python that runs the
bytecode of another ends in a segmentation fault. The layout of a code object and its instructions
distinguish versions: 3.8 counts positional-only arguments, 3.10 covers all instructions in its
line table, 3.11 has its local variables in one tuple and begins with RESUME.
"""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

OLDER = "3.5 or older"

# Counters, fields, and fields behind the line number; a string may be bytes in Python 2.
_OLD_FIELDS = (bytes, tuple, tuple, tuple, tuple, tuple, str, str)
_LAYOUTS: tuple[tuple[int, tuple[type, ...], tuple[type, ...]], ...] = (
    (4, (bytes, tuple, tuple, tuple, tuple, tuple, bytes, bytes), (bytes,)),
    (5, _OLD_FIELDS, (bytes,)),
    (6, _OLD_FIELDS, (bytes,)),
    (5, (bytes, tuple, tuple, tuple, bytes, str, str, str), (bytes, bytes)),
)
_PYTHON_2, _PYTHON_3, _PYTHON_38, _PYTHON_311 = range(4)
_RETURN_VALUE, _CALL_METHOD = 83, 161  # of Python 3.10 and older
# What opens a function, and how many cache entries follow an instruction of that number.
_RESUME = {"3.11": 151, "3.12": 151, "3.13": 149, "3.14": 128}
# fmt: off
_CACHES = {
    "3.11": {25: 4, 60: 1, 92: 1, 95: 4, 106: 4, 107: 2, 116: 5, 122: 1, 160: 10, 166: 1, 171: 4},
    "3.12": {25: 1, 60: 1, 92: 1, 93: 1, 95: 4, 106: 9, 107: 1, 116: 4, 122: 1, 123: 1, 141: 1,
             171: 3},
    "3.13": {5: 1, 39: 1, 40: 3, 45: 1, 53: 3, 58: 1, 59: 1, 72: 1, 77: 1, 82: 9, 91: 4, 93: 1,
             97: 1, 98: 1, 99: 1, 100: 1, 104: 1, 108: 4, 117: 1},
}
# Instructions that the other one of two neighbours does not have.
_FOREIGN = {
    "3.11": {3, 4, 5, 17, 26, 27, 55, 121, 127, 141, 143, 150},
    "3.12": {10, 70, 82, 84, 86, 88, 111, 112, 148, 160, 166},
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Bytecode:
    """What marshalled code says of itself.

    ``name`` is the function's name, ``pythons`` are the versions that write just such code
    (``3.8``, ``3.9``), and empty where none is known that does; ``names`` are the globals and
    attributes that it uses.
    """

    name: str
    pythons: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def runs_here(self) -> bool:
        """Return whether this Python may run it."""
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        return here in self.pythons and platform.python_implementation() == "CPython"


@dataclass(frozen=True, slots=True)
class _Code:
    fields: tuple[Any, ...]
    table: bytes

    @property
    def instructions(self) -> bytes:
        code: bytes = self.fields[0]
        return code


def read_bytecode(data: bytes) -> Bytecode | None:
    """Read a marshalled function's code; None for bytes that no CPython writes for a function."""
    for layout in range(len(_LAYOUTS)):
        reader = _Reader(data, layout)
        try:
            code = reader.value()
        except (IndexError, KeyError, TypeError, ValueError, struct.error, RecursionError):
            continue
        if isinstance(code, _Code) and reader.place == len(data):
            every = list(_nested(code))
            names = [_text(name) for one in every for name in one.fields[2]]
            return Bytecode(
                name=_text(code.fields[7 if layout < _PYTHON_311 else 6]),
                pythons=_pythons(every, layout),
                names=tuple(dict.fromkeys(names)),
            )
    return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _nested(code: _Code) -> Iterator[_Code]:
    yield code
    for constant in code.fields[1]:
        if isinstance(constant, _Code):
            yield from _nested(constant)


def _pythons(every: list[_Code], layout: int) -> tuple[str, ...]:
    if layout == _PYTHON_2:
        return ("2.7",)
    if layout == _PYTHON_3:
        if not all(_in_pairs(code.instructions) for code in every):
            return (OLDER,)
        methods = any(_CALL_METHOD in code.instructions[::2] for code in every)
        return ("3.7",) if methods else ("3.6", "3.7")
    if layout == _PYTHON_38:
        covered = [sum(code.table[::2]) == len(code.instructions) for code in every]
        return ("3.10",) if all(covered) else () if any(covered) else ("3.8", "3.9")
    return tuple(python for python in _RESUME if all(_fits(code, python) for code in every))


def _in_pairs(code: bytes) -> bool:
    """Return whether every instruction has an argument, as since Python 3.6."""
    return len(code) % 2 == 0 and code[-2:-1] == bytes([_RETURN_VALUE])


def _fits(code: _Code, python: str) -> bool:
    """Return whether a version from 3.11 on would write these instructions."""
    pairs = list(zip(code.instructions[::2], code.instructions[1::2], strict=False))
    cells = sum(bool(kind & 0xC0) for kind in code.fields[4])
    if (_RESUME[python], 0) not in pairs[: cells + 3]:
        return False
    if python not in _CACHES:
        return True
    caches, foreign, place = _CACHES[python], _FOREIGN.get(python, set()), 0
    while place < len(pairs):
        operation = pairs[place][0]
        after = place + 1 + caches.get(operation, 0)
        cached = pairs[place + 1 : after]
        if operation == 0 or operation in foreign or cached != [(0, 0)] * len(cached):
            return False
        place = after
    return place == len(pairs)


class _Reader:
    """Reads one marshalled value after another; code objects have the given layout."""

    def __init__(self, data: bytes, layout: int) -> None:
        self.data = data
        self.place = 0
        self.layout = layout
        self.seen: list[Any] = []
        self.interned: list[Any] = []

    def value(self) -> Any:
        kind = self.take(1)[0]
        if not kind & 0x80:
            return self.of_kind(chr(kind))
        slot = len(self.seen)
        self.seen.append(None)
        self.seen[slot] = self.of_kind(chr(kind & 0x7F))
        return self.seen[slot]

    def of_kind(self, kind: str) -> Any:
        if kind in _PLAIN:
            return _PLAIN[kind]
        if kind in _SIZED:
            return self.take(_SIZED[kind])
        return _KINDS[kind](self)

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.place:
            raise IndexError
        self.place += count
        return self.data[self.place - count : self.place]

    def long(self) -> int:
        number: int = struct.unpack("<i", self.take(4))[0]
        return number

    def values(self, count: int) -> tuple[Any, ...]:
        if not 0 <= count <= len(self.data):
            raise IndexError
        return tuple(self.value() for _ in range(count))

    def text(self, count: int) -> str:
        return self.take(count).decode("utf-8", "surrogatepass")

    def old_string(self) -> Any:
        """Read an interned string: text in Python 3, bytes that are counted in Python 2."""
        raw = self.take(self.long())
        if self.layout != _PYTHON_2:
            return raw.decode("utf-8", "surrogatepass")
        self.interned.append(raw)
        return raw

    def pairs(self) -> tuple[Any, ...]:
        found = []
        while (key := self.value()) is not _NULL:
            found.append((key, self.value()))
        return tuple(found)

    def code(self) -> _Code:
        counters, kinds, behind = _LAYOUTS[self.layout]
        self.take(4 * counters)
        fields = self.values(len(kinds))
        self.take(4)
        rest = self.values(len(behind))
        typed = zip((*fields, *rest), (*kinds, *behind), strict=True)
        if not all(isinstance(value, kind) for value, kind in typed):
            raise TypeError
        return _Code(fields, rest[0])


_NULL = object()
_PLAIN = {"0": _NULL, "N": None, "T": True, "F": False, "S": StopIteration, ".": ...}
_SIZED = {"i": 4, "I": 8, "g": 8, "y": 16}
_KINDS: dict[str, Callable[[_Reader], Any]] = {
    "(": lambda reader: reader.values(reader.long()),
    ")": lambda reader: reader.values(reader.take(1)[0]),
    ":": lambda reader: reader.values(3),
    "<": lambda reader: reader.values(reader.long()),
    ">": lambda reader: reader.values(reader.long()),
    "A": lambda reader: reader.text(reader.long()),
    "R": lambda reader: reader.interned[reader.long()],
    "Z": lambda reader: reader.text(reader.take(1)[0]),
    "[": lambda reader: reader.values(reader.long()),
    "a": lambda reader: reader.text(reader.long()),
    "c": _Reader.code,
    "f": lambda reader: reader.take(reader.take(1)[0]),
    "l": lambda reader: reader.take(2 * abs(reader.long())),
    "r": lambda reader: reader.seen[reader.long()],
    "s": lambda reader: reader.take(reader.long()),
    "t": _Reader.old_string,
    "u": lambda reader: reader.text(reader.long()),
    "x": lambda reader: [reader.take(reader.take(1)[0]) for _ in range(2)],
    "z": lambda reader: reader.text(reader.take(1)[0]),
    "{": _Reader.pairs,
}
