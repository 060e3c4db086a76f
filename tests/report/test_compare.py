from __future__ import annotations

from dataclasses import replace

from gradcam_cli.report.compare import Others, counterpart
from tests.report.made import done, heatmap


def test_a_picture_is_found_by_its_path_or_by_its_content() -> None:
    theirs = [replace(done(f"b/{name}"), sha256=name * 64) for name in "abc"]
    others = Others.of(theirs)
    assert others.find(done("b/a")) == theirs[0]
    assert others.find(replace(done("elsewhere"), sha256="b" * 64)) == theirs[1]
    assert others.find(replace(done("b/c"), sha256="a" * 64)) == theirs[0], "content comes first"
    assert others.find(replace(done("b/c"), sha256="f" * 64)) == theirs[2]
    assert others.find(done("nowhere")) is None
    assert others.left == 0
    assert Others.of([*theirs, done("d")]).left == 4


def test_a_map_is_held_against_one_of_the_same_class() -> None:
    cat, dog = heatmap("cat"), replace(heatmap("dog"), index=2)
    empty = heatmap("cat", reason="all negative")
    assert counterpart(cat, [dog, cat]) == cat
    assert counterpart(cat, [dog]) == dog
    assert counterpart(cat, [empty, dog]) == dog
    assert counterpart(cat, [empty]) is None


def test_a_map_is_held_against_one_by_the_same_method() -> None:
    cat = replace(heatmap("cat"), method="layercam", layer="a")
    others = [replace(cat, method="gradcam"), replace(cat, layer="b"), cat]
    assert counterpart(cat, others) == cat
    assert counterpart(cat, others[:2]) == others[1]
    assert counterpart(cat, others[:1]) == others[0]
