from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.images.files import read_picture
from gradcam_cli.sources.endings import EXTENSIONS
from gradcam_cli.sources.find import find_pictures


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def found(*sources: str, lines: bytes | None = None, nul: bool = False) -> list[str]:
    stdin = None if lines is None else lines.splitlines(keepends=True)
    pictures = list(find_pictures(sources, stdin, nul=nul))
    assert all(picture.source == os.fspath(picture.path) for picture in pictures)
    return [picture.source for picture in pictures]


def test_a_folder_gives_its_pictures_in_order() -> None:
    touch("p/b.png", "p/a.jpg", "p/B.JPG", "p/x/c.webp", "p/x/y/d.tiff", "p/w.gif", "p/a/z.bmp")
    touch("p/notes.txt", "p/.hidden.jpg", "p/._a.jpg", "p/.cache/e.jpg", "p/jpg", "p/x/model.keras")
    expected = ["B.JPG", "a.jpg", "b.png", "w.gif", "a/z.bmp", "x/c.webp", "x/y/d.tiff"]
    assert found("p") == [f"p/{name}" for name in expected]
    assert found("./p//") == [f"p/{name}" for name in expected]
    assert found(".") == [f"p/{name}" for name in expected]
    assert found(os.fspath(Path("p").absolute()))[0] == os.fspath(Path("p/B.JPG").absolute())


def test_every_extension_is_taken_in_any_case() -> None:
    touch(*[f"p/a{end}" for end in EXTENSIONS], *[f"p/b{end.upper()}" for end in EXTENSIONS])
    assert len(found("p")) == 2 * len(EXTENSIONS)


def test_types_that_are_not_read_are_marked() -> None:
    touch("p/a.jpg", "p/b.CR2", "p/x/c.psd", "p/.d.psd", "p/._e.psd", "p/e.txt", "p/f.psd/g.svg")
    unread = {"p/b.CR2", "p/x/c.psd", "p/f.psd/g.svg"}
    for source in ("p", "p/*", "p/**"):
        pictures = list(find_pictures([source]))
        assert {each.source for each in pictures if each.unread} == unread
        assert [each.source for each in pictures if not each.unread] == ["p/a.jpg"]
    named = list(find_pictures(["p/b.CR2", "p/x/*.psd", "p"]))
    assert [(each.source, each.unread) for each in named] == [
        ("p/b.CR2", False),
        ("p/x/c.psd", False),
        ("p/a.jpg", False),
        ("p/f.psd/g.svg", True),
    ]
    assert found("p", "p/b.CR2", "p/*").count("p/b.CR2") == 1
    os.mkfifo("p/pipe.psd")
    assert "p/pipe.psd" not in found("p")


def test_a_named_file_is_always_tried() -> None:
    touch("a.txt", ".b.jpg", "-c.jpg", "@d", "e[1].jpg", "f*.jpg")
    names = ["a.txt", ".b.jpg", "-c.jpg", "e[1].jpg", "f*.jpg"]
    assert found(*names, "./@d") == [*names, "@d"]


def test_globs() -> None:
    touch("p/a.jpg", "p/b.png", "p/q/c.jpg", "p/q/r/d.jpg", "p/.h.jpg", "p/n.txt", "p/q/a1.jpg")
    assert found("p/*.jpg") == ["p/a.jpg"]
    assert found("p/**/*.jpg") == ["p/a.jpg", "p/q/a1.jpg", "p/q/c.jpg", "p/q/r/d.jpg"]
    assert found("**/[cd].jpg") == ["p/q/c.jpg", "p/q/r/d.jpg"]
    assert found("p/**/r/*") == ["p/q/r/d.jpg"]
    assert found("p/?.*") == ["p/a.jpg", "p/b.png", "p/n.txt"]
    assert found("p/.*") == ["p/.h.jpg"]
    everything = ["p/a.jpg", "p/b.png", "p/q/a1.jpg", "p/q/c.jpg", "p/q/r/d.jpg"]
    assert found("p/*") == found("p/**") == everything
    absolute = os.fspath(Path("p").absolute())
    assert found(absolute + "/*.png") == [absolute + "/b.png"]


def test_lists(tmp_path: Path) -> None:
    touch("a.jpg", "p/b.jpg", "p/c.jpg")
    Path("list.txt").write_bytes(
        b"\xef\xbb\xbfa.jpg\r\n\n  \nmissing.jpg\np\n-\n@x\n*.jpg\nlast.jpg"
    )
    expected = ["a.jpg", "missing.jpg", "p/b.jpg", "p/c.jpg", "-", "@x", "*.jpg", "last.jpg"]
    assert found("@list.txt") == expected
    assert found("-", lines=Path("list.txt").read_bytes()) == expected
    assert found(f"@{tmp_path}/list.txt") == expected
    with pytest.raises(ImageError) as caught:
        read_picture(Path("missing.jpg"))
    assert caught.value.kind == "vanished"


def test_names_of_any_bytes_in_lists() -> None:
    names = [
        b"new\nline.jpg",
        "\U0001f418 x.jpg".encode(),
        b"bad\xff.jpg",
        b"-rf.jpg",
        b" space .jpg",
    ]
    for name in names:
        Path(os.fsdecode(name)).write_bytes(b"")
    listed = b"\0".join(names)
    pieces = [listed[at : at + 3] for at in range(0, len(listed), 3)]
    pictures = list(find_pictures(["-"], pieces, nul=True))
    assert [os.fsencode(picture.source) for picture in pictures] == names
    assert all(picture.path.exists() for picture in pictures)
    assert sorted(map(os.fsencode, found("."))) == sorted(names)
    assert found("-", lines=b"bad\xff.jpg\n") == [os.fsdecode(b"bad\xff.jpg")]


def test_a_list_is_read_as_it_comes() -> None:
    given_out = []

    def lines() -> Iterator[bytes]:
        for number in range(10**9):
            given_out.append(number)
            yield b"%d.jpg\n" % number

    pictures = find_pictures(["-"], lines())
    assert [picture.source for picture in islice(pictures, 3)] == ["0.jpg", "1.jpg", "2.jpg"]
    assert len(given_out) == 3


def test_a_folder_is_walked_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("p/a.jpg", *[f"p/{number:03}/b.jpg" for number in range(50)])
    walked = []
    scandir = os.scandir

    def counting(folder: str) -> object:
        walked.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counting)
    pictures = find_pictures(["p"])
    assert next(pictures).source == "p/a.jpg"
    assert len(walked) == 1
    assert next(pictures).source == "p/000/b.jpg"
    assert len(walked) == 2


def test_deep_trees() -> None:
    folder = Path("d")
    for _ in range(600):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"")
    assert found("d") == [f"{folder}/a.jpg"]


def test_the_same_file_is_yielded_once() -> None:
    touch("p/a.jpg", "p/x/b.jpg", "c.jpg")
    Path("link").symlink_to("p")
    both = ["p/a.jpg", "p/x/b.jpg"]
    assert found("p", "p") == found("p", "p/x", "p/a.jpg") == both
    assert found("p/x/b.jpg", "p") == ["p/x/b.jpg", "p/a.jpg"]
    assert (
        found("p", "link", os.fspath(Path("p/a.jpg").absolute()), "link/a.jpg", "./p/../p/a.jpg")
        == both
    )
    assert found("c.jpg", "./c.jpg", "*.jpg", "p/../c.jpg") == ["c.jpg"]
    assert found("-", "c.jpg", lines=b"c.jpg\nc.jpg\n") == ["c.jpg"]
    touch("p/note.txt")
    assert found("p", "p/note.txt") == [*both, "p/note.txt"]


def test_links_are_followed_and_circles_end() -> None:
    touch("p/a.jpg", "elsewhere/b.jpg")
    Path("p/file.jpg").symlink_to("../elsewhere/b.jpg")
    Path("p/folder").symlink_to("../elsewhere")
    Path("p/up").symlink_to("..")
    Path("p/self").symlink_to(".")
    Path("elsewhere/back").symlink_to("../p")
    assert found("p") == ["p/a.jpg", "p/file.jpg", "p/folder/b.jpg"]
    assert set(found("p/**/*.jpg")) >= {"p/a.jpg", "p/file.jpg", "p/folder/b.jpg"}


def test_special_files_are_left_alone_unless_named() -> None:
    touch("p/a.jpg")
    os.mkfifo("p/pipe.jpg")
    Path("p/nowhere.jpg").symlink_to("missing.jpg")
    Path("p/circle.jpg").symlink_to("circle.jpg")
    assert found("p") == ["p/a.jpg", "p/circle.jpg", "p/nowhere.jpg"]
    assert found("p/pipe.jpg") == ["p/pipe.jpg"]
    assert found("/dev/null") == ["/dev/null"]


def test_a_folder_that_cannot_be_listed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("p/a.jpg", "p/locked/b.jpg", "p/z/c.jpg")
    scandir = os.scandir

    def locked(folder: os.PathLike[str]) -> object:
        if os.fspath(folder) == "p/locked":  # file modes do not bind root
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", locked)
    assert found("p") == ["p/a.jpg", "p/locked", "p/z/c.jpg"]
    with pytest.raises(ImageError, match="cannot be listed") as caught:
        read_picture(Path("p/locked"))
    assert caught.value.kind == "unreadable"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.jpg", "missing.jpg does not exist"),
        ("a.jpg/b.jpg", "a.jpg/b.jpg does not exist"),
        ("*.webp", "nothing matches"),
        ("missing/**/*.jpg", "nothing matches"),
        ("@missing.txt", "the list missing.txt does not exist"),
        ("a\0b", "not a file name"),
        ("n" * 300, "cannot be reached"),
        ("-", "standard input"),
        ("", "does not exist"),
    ],
)
def test_what_does_not_exist_is_said_before_anything_is_done(source: str, message: str) -> None:
    touch("a.jpg")
    with pytest.raises(GradcamError, match=message.replace("*", ".")) as caught:
        find_pictures(["a.jpg", source])
    assert caught.value.hint


def test_a_misspelt_source_names_the_nearest() -> None:
    touch("photos/elephant.jpg")
    with pytest.raises(GradcamError) as caught:
        find_pictures(["photos/elefant.jpg"])
    assert "elephant.jpg" in caught.value.hint


def test_the_output_folder_is_never_walked() -> None:
    touch("p/a.jpg", "p/out/b.jpg", "p/x/c.jpg")
    Path("p/x/link").symlink_to("../out")
    pictures = find_pictures(["p", "p/**/*.jpg"], output_dir=Path("p/out"))
    assert [picture.source for picture in pictures] == ["p/a.jpg", "p/x/c.jpg"]
    pictures = find_pictures(["p/out/b.jpg"], output_dir=Path("p/out"))
    assert [picture.source for picture in pictures] == ["p/out/b.jpg"]
