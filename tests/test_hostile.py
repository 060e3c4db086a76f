"""A folder with everything in it that has ever taken a batch down goes through one run."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gradcam_cli.commands import say
from gradcam_cli.images.encode import encode
from gradcam_cli.images.files import read_picture
from gradcam_cli.sources.find import find_pictures
from gradcam_cli.sources.select import selected
from gradcam_cli.store.records import Failure, Prediction, Record
from tests.images.test_files import DATA, bombs, exif, jpeg_with, quadrants, upright, wholes
from tests.processes import Result, gradcam, records
from tests.tiny import noise

NAMES = [
    "with space.png",
    " leading.png",
    "two  spaces .png",
    "new\nline.png",
    "tab\t.png",
    "escape\x1b[31m.png",
    "\u202egnp.rtl.png",
    "\u05e9\u05dc\u05d5\u05dd.png",
    "\U0001f418.png",
    "e\u0301.png",
    "\u00e9.png",
    "-dash.png",
    "--output-dir=x.png",
    "@list.png",
    "$(rm -r x).png",
    "quo'te\".png",
    "back\\slash.png",
    "100%s.png",
    "[b]markup[/b].png",
    "*.png",
    "CON.png",
    "dots...png",
    "n" * 246 + ".png",
    "\U0001f418" * 61 + ".png",
    os.fsdecode(b"\xff\xfe\x80.png"),
]
SAME = [
    "a.jpg",
    "a.jpeg",
    "a.png",
    "A.png",
    "a.PNG",
    "a.jpg.png",
    "x/a.png",
    "X/a.png",
    "x/y/a.png",
]
FOLDERS = ["a.jpg.top1.png/a.png", "manifest.jsonl/a.png", "b.png/c.png/d.png"]


@dataclass(frozen=True)
class Outcome:
    folder: Path
    result: Result
    records: dict[str, dict[str, Any]]

    def error(self, name: str) -> str:
        """Return the kind of failure of ``in/name``, empty if it is done."""
        error = self.records[f"in/{name}"]["error"]
        return str(error["kind"]) if error else ""

    def overlay(self, name: str) -> Path:
        (item,) = self.records[f"in/{name}"]["explanations"]
        return self.folder / "out" / str(item["files"]["overlay"])


def fill(folder: Path) -> None:
    plain = encode(noise(1), "png")
    for name in [*NAMES, *SAME, *FOLDERS]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        as_jpeg = path.suffix in (".jpg", ".jpeg")
        path.write_bytes(encode(noise(2), "jpg") if as_jpeg else plain)
    (folder / "png.jpg").write_bytes(plain)
    (folder / "jpeg.tif").write_bytes(encode(noise(2), "jpg"))
    (folder / "text.jpg").write_text("no picture", encoding="utf-8")
    (folder / "page.png").write_text("<html>404</html>", encoding="utf-8")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / ".hidden.png").write_bytes(plain)
    (folder / "notes.txt").write_text("no picture, and not taken for one", encoding="utf-8")
    for name in ("1x1", "1x5000", "5000x1"):
        height, width = map(int, name.split("x"))
        (folder / f"{name}.png").write_bytes(
            encode(np.full((height, width, 3), 90, np.uint8), "png")
        )
    fill_damaged(folder)
    fill_kinds(folder)
    fill_special(folder)


def fill_damaged(folder: Path) -> None:
    chance = random.Random(3)
    for number, (name, whole) in enumerate(wholes().items()):
        ending = f".{name.rsplit('.')[-1]}"
        (folder / f"whole{number}{ending}").write_bytes(whole)
        (folder / f"cut{number}{ending}").write_bytes(whole[: len(whole) * 2 // 3])
        flipped = bytearray(whole)
        for _ in range(3):
            flipped[chance.randrange(len(flipped) // 4, len(flipped))] ^= 1 << chance.randrange(8)
        (folder / f"flipped{number}{ending}").write_bytes(flipped)
    large = encode(noise(5, 480, 640), "jpg")
    (folder / "half.jpg").write_bytes(large[: len(large) // 2] + b"\xff\xd9")
    restarts = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    talker = cv2.imencode(".jpg", noise(5, 240, 320), restarts)[1].tobytes()
    at = talker.index(b"\xff\xd1", 600)
    (folder / "talker.jpg").write_bytes(talker[:at] + b"\1\2\3" + talker[at:])
    for name, bomb in bombs().items():
        (folder / f"bomb.{name}").write_bytes(bomb)


def fill_kinds(folder: Path) -> None:
    for path in DATA.iterdir():
        if path.name not in ("README.md", "float.tif"):
            shutil.copy(path, folder / f"kind-{path.name}")
    deep = cv2.imencode(".png", np.full((9, 9, 3), 40_000, np.uint16))[1]
    (folder / "kind-deep.png").write_bytes(deep.tobytes())
    (folder / "kind-grey.jpg").write_bytes(cv2.imencode(".jpg", noise(3)[:, :, 0])[1].tobytes())
    for turn in range(1, 9):
        (folder / f"turned{turn}.jpg").write_bytes(jpeg_with(quadrants(), exif(turn, ">")))


def fill_special(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "o.png").write_bytes(encode(noise(4), "png"))
    (folder / "link.png").symlink_to("a.png")
    (folder / "linked").symlink_to(outside)
    (folder / "round").symlink_to(".")
    (folder / "x" / "up").symlink_to("..")
    (folder / "self.png").symlink_to("self.png")
    (folder / "nowhere.png").symlink_to("missing.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path must be short
        server.bind("socket.png")
        os.chdir(here)
    far = os.open(folder, os.O_RDONLY)
    for _ in range(18):  # a folder whose path is too long to be listed, even by root
        os.mkdir("d" * 240, dir_fd=far)
        deeper = os.open("d" * 240, os.O_RDONLY, dir_fd=far)
        os.close(far)
        far = deeper
    os.close(far)


@pytest.fixture(scope="module")
def hostile(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in").mkdir()
    fill(folder / "in")
    words = ("-o", "out", "--format", "png", "-i", "0", "--model", tiny, "--json")
    result = gradcam("run", "in", "in/pipe.png", "in/zero.png", *words, cwd=folder)
    yield Outcome(folder, result, {record["source"]: record for record in records(folder / "out")})
    shutil.rmtree(folder / "in" / ("d" * 240))


def test_the_run_comes_to_its_end(hostile: Outcome) -> None:
    assert hostile.result.returncode == 3, hostile.result.stderr
    done = sum(record["status"] == "ok" for record in hostile.records.values())
    failed = len(hostile.records) - done
    assert done > 80
    assert hostile.result.stderr.splitlines()[-2].startswith(
        f"{done} pictures done, {failed} failed"
    )


def test_no_library_is_heard(hostile: Outcome) -> None:
    lines = hostile.result.stderr.splitlines()
    stretched = [line for line in lines if "the picture is more than 2 times as" in line]
    assert len(stretched) == 2  # 1 x 5000 and 5000 x 1
    assert len(lines) == len(stretched) + 3, hostile.result.stderr
    assert "".join(lines).isprintable()
    for word in ("JPEG data", "TIFF", "libpng", "OpenCV", "imread"):
        assert word not in hostile.result.stderr


def test_json_is_the_manifest(hostile: Outcome) -> None:
    manifest = (hostile.folder / "out" / "manifest.jsonl").read_text(encoding="utf-8")
    assert hostile.result.stdout == manifest
    assert len(manifest.splitlines()) == len(hostile.records)


@pytest.mark.parametrize("name", [*NAMES, *SAME, *FOLDERS], ids=ascii)
def test_every_name_is_done(hostile: Outcome, name: str) -> None:
    assert hostile.error(name) == ""
    drawn = read_picture(hostile.overlay(name))
    np.testing.assert_array_equal(drawn.pixels, read_picture(hostile.folder / "in" / name).pixels)


def test_outputs_are_apart_on_every_disk(hostile: Outcome) -> None:
    out = hostile.folder / "out"
    named = [
        name
        for record in hostile.records.values()
        for item in record["explanations"]
        for name in item["files"].values()
    ]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in named}) == len(named)
    written = [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()]
    assert sorted(named) == sorted(set(written) - {"manifest.jsonl", "run.json", ".gradcam.lock"})
    for name in named:
        assert name.isprintable()
        assert ".." not in Path(name).parts
        assert all(len(part.encode()) <= 255 for part in Path(name).parts)


def test_content_decides(hostile: Outcome) -> None:
    assert [hostile.error(name) for name in ("png.jpg", "jpeg.tif")] == ["", ""]
    kinds = [hostile.error(name) for name in ("text.jpg", "page.png", "empty.jpg")]
    assert kinds == ["not-a-picture", "not-a-picture", "empty"]
    assert not {"in/.hidden.png", "in/notes.txt"} & set(hostile.records)


def test_nothing_is_drawn_of_what_is_not_whole(hostile: Outcome) -> None:
    damaged = {
        name: record
        for name, record in hostile.records.items()
        if name.startswith(("in/cut", "in/half", "in/bomb"))
    }
    assert len(damaged) == len(wholes()) + 1 + len(bombs())
    kinds = {name: record["error"] and record["error"]["kind"] for name, record in damaged.items()}
    assert {kinds.pop(f"in/bomb.{name}") for name in bombs()} == {"too-large"}
    assert kinds.pop("in/half.jpg") == "truncated"
    assert set(kinds.values()) <= {"truncated", "not-a-picture"}
    assert all(record["explanations"] == [] for record in damaged.values())


def test_bit_flips_give_a_picture_or_a_failure(hostile: Outcome) -> None:
    flipped = [name for name in hostile.records if name.startswith("in/flipped")]
    assert len(flipped) == len(wholes())
    for name in flipped:
        record = hostile.records[name]
        assert (record["status"] == "ok") == bool(record["explanations"])
    whole = [record for name, record in hostile.records.items() if name.startswith("in/whole")]
    assert [record["status"] for record in whole] == ["ok"] * len(wholes())


def test_a_picture_that_decodes_with_complaints_carries_a_warning(hostile: Outcome) -> None:
    record = hostile.records["in/talker.jpg"]
    assert record["status"] == "ok"
    assert record["warning"].startswith("Corrupt JPEG data: 3 extraneous bytes")
    silent = {hostile.records[f"in/{name}"]["warning"] for name in [*NAMES, *SAME, *FOLDERS]}
    assert silent == {""}


def test_every_kind_of_picture_is_done(hostile: Outcome) -> None:
    kinds = [name for name in hostile.records if name.startswith("in/kind-")]
    assert len(kinds) > 30
    assert {hostile.records[name]["status"] for name in kinds} == {"ok"}
    for name in ("1x1.png", "1x5000.png", "5000x1.png"):
        height, width = map(int, name[:-4].split("x"))
        record = hostile.records[f"in/{name}"]
        assert (record["height"], record["width"], record["status"]) == (height, width, "ok")


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_upright(hostile: Outcome, turn: int) -> None:
    """Intensity 0 gives back the picture's pixels."""
    stored = cv2.imdecode(np.frombuffer(encode(quadrants(), "jpg", 100), np.uint8), 1)
    drawn = cv2.imread(str(hostile.overlay(f"turned{turn}.jpg")))
    np.testing.assert_array_equal(drawn, upright(np.asarray(stored, np.uint8), turn))
    record = hostile.records[f"in/turned{turn}.jpg"]
    assert (record["height"], record["width"]) == ((40, 24) if turn > 4 else (24, 40))


def test_links_pipes_devices_and_folders_out_of_reach(hostile: Outcome) -> None:
    assert hostile.error("link.png") == ""
    assert hostile.error("linked/o.png") == ""
    assert hostile.error("self.png") == "unreadable"
    assert hostile.error("nowhere.png") == "vanished"
    # Named outright they are tried; a folder's are left alone.
    assert [hostile.error(name) for name in ("pipe.png", "zero.png")] == ["unreadable"] * 2
    assert "in/socket.png" not in hostile.records
    far = [name for name in hostile.records if "d" * 240 in name]
    assert len(far) == 1
    assert hostile.records[far[0]]["error"]["kind"] == "unreadable"
    assert not any("/round/" in name or "/up/" in name for name in hostile.records)


def test_the_walk_is_in_order(hostile: Outcome) -> None:
    """Names in the order of their bytes, files before folders, each folder to its end."""
    walked = [os.fsencode(name) for name in hostile.records]
    named = [b"in/pipe.png", b"in/zero.png"]
    assert walked[-2:] == named
    files = [name for name in walked[:-2] if name.count(b"/") == 1]
    assert files == sorted(files)
    assert walked[: len(files)] == files
    folders = [name.rpartition(b"/")[0] for name in walked[len(files) : -2]]
    assert folders == sorted(folders, key=lambda folder: folder.split(b"/"))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_steers_the_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    prediction = Prediction(1, 0, "", "label\x1b[2J", 0.5, 1.0)
    say.predictions(Record(source=f"in/{name}", status="ok", predictions=(prediction,)))
    say.predictions(Record(source=f"in/{name}", status="failed", error=Failure("x", "bad\x07\n")))
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert len(err.splitlines()) == 1
    for text in (out, err):
        assert not set(text) & set("\x1b\x07\t\r\u202e\u2066\ufffd")
        text.encode("utf-8")


def test_a_list_that_names_the_output_folder_s_parent(tiny: Path, tmp_path: Path) -> None:
    """The output folder is made after the walk has begun, and lies in the folder walked."""
    for name in ("a.png", "sub/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(noise(1), "png"))
    words = ("--model", tiny, "--format", "png")
    first = gradcam("run", "-", *words, "-q", cwd=tmp_path, stdin=".\n")
    assert first.returncode == 0, first.stderr
    before = records(tmp_path / "gradcam_output")
    assert [record["source"] for record in before] == ["a.png", "sub/b.png"]
    again = gradcam("run", "-", "-0", *words, cwd=tmp_path, stdin=".\0sub\0")
    assert again.stderr.startswith("0 pictures done, 2 done before"), again.stderr
    assert records(tmp_path / "gradcam_output") == before
    for sources in (("*.png", "*/*.png"), ("*",)):  # their files lie below the folder's name
        result = gradcam("run", *sources, *words, "--json", "-q", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        found = [json.loads(line)["source"] for line in result.stdout.splitlines()]
        assert found == ["a.png", "sub/b.png"]


def test_fifty_thousand_entries(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "a.png").write_bytes(encode(noise(1), "png"))
    for number in range(50_000):
        os.link(tmp_path / "a.png", folder / f"{number:05d}.{'png' if number % 2 else 'txt'}")
    everything = list(find_pictures([str(folder)]))
    assert [found.path.name for found in everything[:2]] == ["00001.png", "00003.png"]
    shards = [set(selected(everything, shard=(k, 3))) for k in (1, 2, 3)]
    assert set().union(*shards) == set(everything)
    assert sum(map(len, shards)) == len(everything) == 25_000
    words = ("run", "in", "--model", tiny, "--limit", "3", "--json", "-q")
    result = gradcam(*words, "--include", "*9.png", cwd=tmp_path)
    sources = [json.loads(line)["source"] for line in result.stdout.splitlines()]
    assert sources == ["in/00009.png", "in/00019.png", "in/00029.png"]
    shutil.rmtree(folder)
