from __future__ import annotations

import os
import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcam_cli.errors import GradcamError
from gradcam_cli.sources.find import Found, find_pictures
from gradcam_cli.store.names import both_stems, check_output, layer_names, map_part, stems


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def places(*sources: str, lines: str = "") -> list[str]:
    """Where the outputs of what ``sources`` name go, in the order of the list."""
    found = list(find_pictures(sources, lines.encode().splitlines(keepends=True)))
    names = stems(found)
    return [names[each.source] for each in found]


def listed(*sources: str) -> dict[str, str]:
    """Where the outputs of a list's entries go, whether they exist or not."""
    return stems(Found(Path(source), source, source) for source in sources)


def stem(source: str) -> str:
    return listed(source)[source]


# -- by how a picture was named


def test_a_folder_s_pictures_lie_below_its_own_name() -> None:
    touch("photos/cats/a.jpg", "photos/B.JPG", "photos/cats/x/c.png")
    wanted = ["photos/B.JPG", "photos/cats/a.jpg", "photos/cats/x/c.png"]
    here = Path().absolute()
    for folder in ("photos", "photos/", "./photos", f"{here}/photos", f"../{here.name}/photos"):
        assert places(folder) == wanted
    for glob in ("photos/**", f"{here}/photos/**/*.*", "./photos/**/*"):
        assert sorted(places(glob)) == wanted
    assert places("photos/cats") == ["cats/a.jpg", "cats/x/c.png"]
    assert places("photos/c*") == ["photos/cats/a.jpg", "photos/cats/x/c.png"]


def test_a_folder_without_a_name_of_its_own_has_one_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touch("photos/cats/a.jpg")
    monkeypatch.chdir("photos/cats")
    assert places(".") == ["cats/a.jpg"]
    assert places("..") == places("../.") == ["photos/cats/a.jpg"]
    assert places("*.jpg") == ["cats/a.jpg"]


def test_a_picture_named_by_itself_lies_directly_in_the_output_folder() -> None:
    touch("photos/cats/Elephant 1.JPG", "a.jpg")
    here = Path().absolute()
    named = "photos/cats/Elephant 1.JPG"
    for source in (named, f"./{named}", f"{here}/{named}", f"photos/../{named}"):
        assert places(source) == ["Elephant 1.JPG"]
    assert places("a.jpg", named) == ["a.jpg", "Elephant 1.JPG"]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("a.jpg", "a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("x/A.jpg", "x/A.jpg"),
        ("/data/x/a.jpg", "data/x/a.jpg"),
        ("../x/a.jpg", "x/a.jpg"),
        ("../../a.jpg", "a.jpg"),
        ("IMG_0001.JPG", "IMG_0001.JPG"),
        ("émile 2.jpg", "émile 2.jpg"),
        ("e\u0301.jpg", "e\u0301.jpg"),
        ("-a.jpg", "-a.jpg"),
        ("straße.jpg", "straße.jpg"),
        ("🐘.jpg", "🐘.jpg"),
    ],
)
def test_a_list_s_entry_keeps_its_path_without_root_and_parents(source: str, place: str) -> None:
    assert stem(source) == place


# -- where two would meet


def marked(source: str, place: str) -> bool:
    """Tell whether a place carries the hash of its source."""
    plain, mark, digits = place.rpartition("~")
    return bool(mark) and len(digits) == 8 and plain == stem(source)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.jpg", "A.jpg"),
        ("x/a.jpg", "X/a.jpg"),
        ("x/a.jpg", "../x/a.jpg"),
        ("x/a.jpg", "/x/a.jpg"),
        ("é.jpg", "e\u0301.jpg"),
        ("É.jpg", "e\u0301.JPG"),
        ("straße.jpg", "STRASSE.jpg"),
        ("a:b.jpg", "a?b.jpg"),
        ("a\nb.jpg", "a\tb.jpg"),
        ("b\udcff.jpg", "b\udcfe.jpg"),
    ],
)
def test_where_two_would_meet_each_carries_a_hash(one: str, other: str) -> None:
    met = listed(one, "apart.jpg", other)
    assert marked(one, met[one])
    assert marked(other, met[other])
    assert met[one].casefold() != met[other].casefold()
    assert met["apart.jpg"] == "apart.jpg"


def test_pictures_of_one_name_from_several_folders() -> None:
    touch("x/a.jpg", "y/a.jpg", "y/b.jpg", "z/x/a.jpg")
    one, other, alone = places("x/a.jpg", "y/a.jpg", "y/b.jpg")
    assert marked("x/a.jpg", f"x/{one}")
    assert one != other
    assert one.startswith("a.jpg~")
    assert other.startswith("a.jpg~")
    assert alone == "b.jpg"
    assert places("x", "y") == ["x/a.jpg", "y/a.jpg", "y/b.jpg"]
    both = places("x", "z/x")
    assert len(set(both)) == 2
    assert all(place.startswith("x/a.jpg~") for place in both)


def test_a_name_with_and_without_its_mark_is_known_by_both() -> None:
    met = listed("a.jpg", "A.jpg")
    assert both_stems("a.jpg", met) == ("a.jpg", met["a.jpg"])
    assert both_stems("a.jpg", listed("a.jpg")) == ("a.jpg", met["a.jpg"])


@pytest.mark.parametrize("upper", [False, True])
def test_no_name_looks_like_another_s_mark(upper: bool) -> None:
    met = listed("a.jpg", "A.jpg")
    spoof = met["a.jpg"].upper() if upper else met["a.jpg"]
    whole = listed("a.jpg", "A.jpg", spoof)
    assert len({place.casefold() for place in whole.values()}) == 3
    assert whole["a.jpg"] == met["a.jpg"]


# -- what no disk takes


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("a\nb.jpg", "a_b.jpg"),
        ("a:b.jpg", "a_b.jpg"),
        ("b\udcff.jpg", "b_.jpg"),
        ("x /a.jpg", "x_/a.jpg"),
        ("a.jpg.", "a.jpg_"),
        ("a\\b.jpg", "a_b.jpg"),
        ("\u202egpj.a", "_gpj.a"),
        ("a.jpg.top1.jpg/b.jpg", "a.jpg.top1.jpg_/b.jpg"),
    ],
)
def test_what_no_disk_takes_is_replaced(source: str, place: str) -> None:
    assert stem(source) == place


def test_long_names_leave_room_for_a_suffix() -> None:
    long = "é" * 120 + ".jpg"
    sources = (long, long[1:], "é" * 120 + ".png", "d" * 255 + "/a.jpg")
    found = set(listed(*sources).values())
    assert len(found) == 4
    assert {stem(source) for source in sources} == found
    assert all(len(part.encode()) <= 160 for place in found for part in place.split("/"))


name = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0") | st.sampled_from("aAbB.~@\udcff\udc80"),
    min_size=1,
    max_size=8,
).filter(lambda text: text != ".")


def folded(place: str) -> str:
    """What is left of a name on a disk that ignores case and composition."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", place).casefold())


@given(st.lists(st.lists(name, min_size=1, max_size=3), min_size=2, max_size=8), st.randoms())
def test_places_never_meet_on_any_disk_in_any_order(
    paths: list[list[str]], chance: random.Random
) -> None:
    sources = list({os.fspath(Path(*parts)) for parts in paths} - {"."})
    found = listed(*sources)
    assert len({folded(place) for place in found.values()}) == len(sources)
    assert all(".." not in place.split("/") and place[0] != "/" for place in found.values())
    assert all(place.isprintable() for place in found.values())
    assert all(not set(place) & set('<>:"|?*\\') for place in found.values())
    chance.shuffle(sources)
    assert listed(*sources) == found


@given(st.lists(st.sampled_from("aAbBé"), min_size=1, max_size=3).map("/".join))
def test_an_output_never_lies_in_the_way_of_another_s_folder(path: str) -> None:
    """``a/b.jpg`` and a folder ``a/b.jpg.top1.jpg`` go together on one disk."""
    first, below = f"{path}.jpg", f"{path}.jpg.top1.jpg/c.png"
    found = listed(first, below)
    output = f"{found[first]}.top1.jpg"
    assert not found[below].startswith(f"{output}/")


# -- the output folder


def check(named: list[str], output: str) -> None:
    found = list(find_pictures(named, [], output_dir=Path(output)))
    check_output(named, found, stems(found), Path(output))


def test_the_output_folder_is_made_and_left_empty() -> None:
    touch("p/a.jpg")
    Path("list").write_bytes(b"p/a.jpg\n")
    check(["p", "@list", "-", "p/*.jpg"], "out/deep")
    assert list(Path("out/deep").iterdir()) == []


@pytest.mark.parametrize(
    ("sources", "output"),
    [
        (["p"], "p"),
        (["p"], "p/out"),
        (["p/"], "./p/x/../out"),
        (["."], "gradcam_output"),
        (["link"], "p/out"),
        (["p"], "link/out"),
        (["p/**/*.jpg"], "p/out"),
        (["**/*.jpg"], "p/out"),
        (["q", "p"], "p/new/folder"),
        (["p"], "."),  # outputs go to ./p
        (["link"], "."),
        (["q/../p"], "q/.."),
        (["p/**/*.jpg"], "q/.."),
    ],
)
def test_an_output_folder_inside_a_source_is_refused(sources: list[str], output: str) -> None:
    touch("p/a.jpg", "q/a.jpg")
    Path("link").symlink_to("p")
    before = sorted(Path().rglob("*"))
    with pytest.raises(GradcamError, match="lies inside the source folder") as caught:
        check(sources, output)
    assert "-o" in caught.value.hint
    assert sorted(Path().rglob("*")) == before


def test_an_output_folder_beside_the_sources_is_fine() -> None:
    touch("p/a.jpg", "px/a.jpg")
    check(["p"], "p2")
    check(["px"], "p")
    check(["p/a.jpg"], ".")
    check(["p/a.jpg"], "p")


def test_an_output_never_takes_a_sources_place() -> None:
    touch("a.jpg", "a.jpg.tusker.jpg", "b/c.jpg")
    Path("link.jpg").symlink_to("a.jpg.tusker.jpg")
    check(["a.jpg", "b/c.jpg"], ".")
    for sources in (["a.jpg", "a.jpg.tusker.jpg"], ["a.jpg", "link.jpg"]):
        with pytest.raises(GradcamError, match="has the name of an output"):
            check(sources, ".")
        check(sources, "out")
    check(["*.jpg"], ".")  # those of a glob lie below a folder of their own


def test_an_output_folder_that_cannot_be_is_refused() -> None:
    touch("file", "p/a.jpg")
    Path("circle").symlink_to("circle")
    for output in ("file", "file/below", "n" * 300, "/dev/null/x", "/proc/gradcam", "circle"):
        with pytest.raises(GradcamError, match="the output folder") as caught:
            check(["p"], output)
        assert "-o" in caught.value.hint


# -- layers


def test_a_layer_is_called_by_its_path() -> None:
    names = layer_names(["block5_conv3", "inner/conv", "Conv_1"])
    assert list(names.values()) == ["block5_conv3", "inner-conv", "Conv_1"]
    assert map_part("top1", "gradcam", names["inner/conv"]) == ".top1.gradcam.inner-conv"


@given(st.lists(st.text("aAbB-/._ é", min_size=1, max_size=60), min_size=2, unique=True))
def test_no_two_layers_share_a_name(paths: list[str]) -> None:
    names = layer_names(["a/b", "a-b", "conv", "Conv", *paths])
    alike = {unicodedata.normalize("NFC", name).casefold() for name in names.values()}
    assert len(alike) == len(names)
    assert all(len(name.encode()) < 60 and "/" not in name for name in names.values())
