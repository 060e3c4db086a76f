from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.sources.find import Found
from gradcam_cli.sources.select import selected

NAMES = ("in/cat.jpg", "in/cat.png", "in/sub/dog.jpg", "in/sub/Cat.JPG", "other/cat.jpg")


def found(*names: str) -> list[Found]:
    return [Found(Path(name), name) for name in names]


def chosen(*include: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [each.source for each in selected(found(*NAMES), include, exclude)]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), (), NAMES),
        (("*.jpg",), (), ("in/cat.jpg", "in/sub/dog.jpg", "other/cat.jpg")),
        (("cat.*",), (), ("in/cat.jpg", "in/cat.png", "other/cat.jpg")),
        (("cat.*", "dog.*"), ("*.png",), ("in/cat.jpg", "in/sub/dog.jpg", "other/cat.jpg")),
        (("in/*",), (), NAMES[:4]),
        (("*/sub/*",), (), NAMES[2:4]),
        ((), ("in/*",), NAMES[4:]),
        ((), ("*",), ()),
        (("[cd]?[tg].jpg",), (), ("in/cat.jpg", "in/sub/dog.jpg", "other/cat.jpg")),
        (("CAT.jpg",), (), ()),
    ],
)
def test_globs(
    include: tuple[str, ...], exclude: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert tuple(chosen(*include, exclude=exclude)) == expected


def test_a_folder_that_could_not_be_listed_is_never_passed_over() -> None:
    pictures = [*found("in/cat.jpg"), Found(Path("in/secret"), "in/secret", unlisted=True)]
    assert [each.source for each in selected(pictures, include=["*.png"])] == ["in/secret"]
    assert [each.source for each in selected(pictures, exclude=["secret"])] == ["in/cat.jpg"]


def test_a_limit_asks_for_no_more() -> None:
    asked = 0

    def endless() -> Iterator[Found]:
        nonlocal asked
        for asked in count(1):
            yield from found(f"{asked}.jpg")

    assert [each.source for each in selected(endless(), limit=3)] == ["1.jpg", "2.jpg", "3.jpg"]
    assert asked == 3
    assert len(list(islice(selected(endless(), include=["*7.jpg"]), 5))) == 5


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_are_a_partition(parts: int) -> None:
    pictures = found(*(f"in/{number}.jpg" for number in range(1000)))
    shards = [list(selected(pictures, shard=(k, parts))) for k in range(1, parts + 1)]
    assert sorted(each.source for shard in shards for each in shard) == sorted(
        each.source for each in pictures
    )
    assert all(abs(len(shard) - 1000 / parts) < 5 * (1000 / parts) ** 0.5 for shard in shards)
    assert all(shard == [each for each in pictures if each in set(shard)] for shard in shards)


def test_a_picture_stays_in_its_shard_as_folders_grow() -> None:
    few, many = found(*NAMES), found("aaa.jpg", *NAMES, *(f"{n}.jpg" for n in range(100)))
    for k in (1, 2, 3):
        before, after = (set(selected(each, shard=(k, 3))) for each in (few, many))
        assert before == after & set(few)


def test_shards_are_the_same_on_every_machine_and_in_every_version() -> None:
    # sha256 of the path, its first eight bytes as a whole number, modulo 4, counted from one.
    names = ("a.jpg", "in/b.jpg", "\u00e9.png", os.fsdecode(b"in/\xff.gif"))
    parts = [k for name in names for k in range(1, 5) if list(selected(found(name), shard=(k, 4)))]
    assert parts == [3, 4, 4, 1]


def test_a_limit_counts_within_the_shard() -> None:
    pictures = found(*(f"in/{number}.jpg" for number in range(100)))
    whole = list(selected(pictures, shard=(2, 3)))
    assert list(selected(pictures, limit=5, shard=(2, 3))) == whole[:5]


def test_unread_types_are_counted_after_all_other_choices() -> None:
    names = ["a.jpg", "b.heic", "c.jpg", "x/d.HEIC", "e.cr2", "f.jpg", "g.cr2"]
    pictures = [Found(Path(name), name, unread=not name.endswith("jpg")) for name in names]

    def chosen(**more: Any) -> tuple[list[str], dict[str, int]]:
        unread: Counter[str] = Counter()
        return [each.source for each in selected(pictures, unread=unread, **more)], dict(unread)

    jpegs = ["a.jpg", "c.jpg", "f.jpg"]
    assert chosen() == (jpegs, {".heic": 2, ".cr2": 2})
    assert chosen(exclude=["*.cr2"]) == (jpegs, {".heic": 2})
    assert chosen(exclude=["x/*"], include=["*.HEIC", "*.cr2"]) == ([], {".cr2": 2})
    assert chosen(limit=2) == (jpegs[:2], {".heic": 1})
    parts = [chosen(shard=(k, 3)) for k in (1, 2, 3)]
    assert sorted(name for part, _ in parts for name in part) == jpegs
    assert sum((Counter(counts) for _, counts in parts), Counter()) == {".heic": 2, ".cr2": 2}
    assert [each.source for each in selected(pictures, limit=3)] == names[:3]
