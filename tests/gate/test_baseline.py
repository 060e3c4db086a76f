from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.baseline import Entry, read_baseline, write_baseline
from tests.gate.made import class_map, entry, head, noise


def written(folder: Path, *entries: Entry) -> Path:
    path = folder / "baseline.json"
    write_baseline(path, head(), entries or (entry(),))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    entries = [
        entry(picture="b/ä\n.jpg"),
        entry(picture="a.jpg", sha256="1" * 64),
        entry(class_map(0), class_map(1, raw=noise(1, 40, 50))),
    ]
    entries[2] = entry(*entries[2].maps, picture="c.jpg")
    found = read_baseline(written(tmp_path, *entries))
    assert found.head == head()
    assert list(found.entries) == ["a.jpg", "b/ä\n.jpg", "c.jpg"]
    assert sorted(found.entries.values(), key=lambda each: each.picture) == [
        entries[1],
        entries[0],
        entries[2],
    ]


def test_it_is_json_with_a_picture_a_line_and_sorted_keys(tmp_path: Path) -> None:
    path = written(tmp_path, *(entry(picture=f"{name}.jpg") for name in "cab"))
    text = path.read_text(encoding="utf-8")
    whole = json.loads(text)
    assert whole["gradcam_baseline"] == 1
    lines = [json.loads(line.rstrip(",")) for line in text.splitlines() if line.startswith('{"')]
    assert [line["picture"] for line in lines] == ["a.jpg", "b.jpg", "c.jpg"]

    def in_order(value: Any) -> bool:
        if isinstance(value, dict):
            return list(value) == sorted(value) and all(map(in_order, value.values()))
        return not isinstance(value, list) or all(map(in_order, value))

    assert all(map(in_order, lines))


def test_a_picture_costs_about_a_kilobyte(tmp_path: Path) -> None:
    one = written(tmp_path, entry()).stat().st_size
    two = written(tmp_path, entry(), entry(picture="b.jpg")).stat().st_size
    assert two - one < 1000


def test_one_picture_that_changes_is_one_line(tmp_path: Path) -> None:
    pictures = [entry(picture=f"{name}.jpg") for name in "abc"]
    before = written(tmp_path, *pictures).read_text(encoding="utf-8").splitlines()
    pictures[1] = entry(class_map(raw=noise(9)), picture="b.jpg")
    after = written(tmp_path, *pictures).read_text(encoding="utf-8").splitlines()
    differ = [
        number for number, pair in enumerate(zip(before, after, strict=True)) if len(set(pair)) > 1
    ]
    assert len(differ) == 1


def changed(path: Path, change: Any) -> Path:
    whole = json.loads(path.read_text(encoding="utf-8"))
    change(whole)
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def _map(whole: Any) -> Any:
    return whole["pictures"][0]["maps"][0]["map"]


def _set(place: str, value: Any) -> Any:
    def change(whole: Any) -> None:
        at = whole
        *path, last = [int(part) if part.isdigit() else part for part in place.split("/")]
        for part in path:
            at = at[part]
        at[last] = value

    return change


HOSTILE = {
    "no picture": (_set("pictures", []), "holds no picture"),
    "twice": (lambda w: w["pictures"].append(w["pictures"][0]), "twice"),
    "another version": (_set("gradcam_baseline", 2), "has format 2"),
    "version of text": (_set("gradcam_baseline", "1"), "is not a baseline"),
    "NaN in a map": (lambda w: _map(w).update(low=float("nan")), "is not a baseline|damaged"),
    "infinite step": (lambda w: _map(w).update(rows=[0, 1e300, 0, 1]), "damaged"),
    "no step": (lambda w: _map(w).update(rows=[0, 0, 0, 1]), "lie on one another"),
    "cells of text": (lambda w: _map(w).update(cells="%%%"), "base64"),
    "too few cells": (lambda w: _map(w).update(cells="AAAA"), "3 bytes for 49 cells"),
    "no cells, no reason": (lambda w: _map(w).update(cells=""), "no numbers"),
    "endless cells": (lambda w: _map(w).update(cells="A" * 8192), "damaged"),
    "huge grid": (lambda w: _map(w).update(grid=[1 << 40, 7]), "damaged"),
    "huge shape": (lambda w: _map(w).update(shape=[1 << 20, 1 << 20]), "damaged"),
    "no shape": (lambda w: _map(w).update(shape=[0, 7]), "damaged"),
    "low above high": (lambda w: _map(w).update(low=9.0), "above its highest"),
    "probability of text": (_set("pictures/0/maps/0/probability", "x"), "damaged"),
    "probability of 7": (_set("pictures/0/maps/0/probability", 7), "damaged"),
    "negative index": (_set("pictures/0/maps/0/index", -1), "damaged"),
    "no prediction": (_set("pictures/0/predictions", []), "damaged"),
    "no map": (_set("pictures/0/maps", []), "damaged"),
    "maps of numbers": (_set("pictures/0/maps", [1, 2]), "damaged"),
    "a picture of null": (_set("pictures/0", None), "damaged"),
    "pictures of text": (_set("pictures", "many"), "damaged"),
    "no hash": (_set("pictures/0/sha256", "zz"), "damaged"),
    "no classes": (_set("classes/count", 0), "damaged"),
    "asked is a list": (_set("asked", [1]), "damaged"),
    "a group of text": (_set("asked/model", "vgg16"), "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_or_hostile_baseline_is_one_sentence(name: str, tmp_path: Path) -> None:
    change, said = HOSTILE[name]
    with pytest.raises(GradcamError, match=said) as caught:
        read_baseline(changed(written(tmp_path), change))
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 700
    assert caught.value.hint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe{\x00}\x00",
        b'{"gradcam_baseline": 1, "pictures": ' + b"[" * 200_000,
        b'{"gradcam_baseline": 1e999}',
        b'{"gradcam_baseline": 1, "pictures": [{"low": NaN}]}',
    ],
)
def test_what_is_not_a_baseline_is_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(data)
    with pytest.raises(GradcamError, match="baseline"):
        read_baseline(path)


def test_a_torn_baseline_is_damaged(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = path.read_bytes()
    for size in range(1, len(data) - 3, 97):
        path.write_bytes(data[:size])
        with pytest.raises(GradcamError):
            read_baseline(path)


def test_a_folder_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(GradcamError, match="a folder"):
        read_baseline(tmp_path)
    with pytest.raises(GradcamError, match="cannot read"):
        read_baseline(tmp_path / "none.json")


def test_an_empty_map_has_no_cells(tmp_path: Path) -> None:
    broken = class_map(raw=np.full((7, 7), np.nan, np.float32), empty="not finite")
    found = read_baseline(written(tmp_path, entry(broken)))
    assert base64.b64decode(found.entries["a.jpg"].maps[0].map.cells) == b""
