from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.images.encode import encode
from gradcam_cli.images.files import read_picture
from gradcam_cli.store.atomic import part_of, remove_leftovers, write_bytes


@pytest.mark.parametrize("name", ["a.jpg", "n" * 251 + ".jpg", "\n 🐘.jpg", "b\udcff.jpg", "-rf"])
def test_any_name_is_written_and_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    write_bytes(path, encode(pixels, "png"))
    np.testing.assert_array_equal(read_picture(path).pixels, pixels)
    assert len(list(tmp_path.iterdir())) == 1


def test_folders_are_made_and_bytes_may_come_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x" / "y" / "a"
    write_bytes(path, iter([b"one", b"", b"two"]))
    assert path.read_bytes() == b"onetwo"


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, contents = tmp_path / "a", [bytes([number]) * 3_000_000 for number in (1, 2)]
    write_bytes(path, contents[0])
    end = threading.Event()

    def read() -> set[bool]:
        return {path.read_bytes() in contents for _ in iter(end.is_set, True)}

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for number in range(60):
            write_bytes(path, contents[number % 2])
        end.set()
        assert reader.result() == {True}


def test_what_a_killed_process_leaves_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for place in (part_of(tmp_path), part_of(tmp_path / "sub"), tmp_path / ".gradcam-mine.part"):
        place.write_bytes(b"half")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.part")] == [".gradcam-mine.part"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_killed_process_that_nobody_waited_for_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        mine = part_of(tmp_path).name.split("-")
        theirs = tmp_path / "-".join([*mine[:2], str(process.pid), *mine[3:]])
        theirs.write_bytes(b"half")
        remove_leftovers(tmp_path)
        assert theirs.exists(), "somebody is at work"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        remove_leftovers(tmp_path)
        assert not theirs.exists()


def test_links_are_replaced_not_written_through(tmp_path: Path) -> None:
    source = tmp_path / "source.jpg"
    source.write_bytes(b"precious")
    (tmp_path / "soft").symlink_to(source)
    (tmp_path / "hard").hardlink_to(source)
    for name in ("soft", "hard"):
        write_bytes(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
        assert not (tmp_path / name).is_symlink()
    assert source.read_bytes() == b"precious"


def test_a_written_file_has_ordinary_permissions(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"1")
    (tmp_path / "b").write_bytes(b"1")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    for path in (tmp_path / "taken", tmp_path / "file" / "below"):
        with pytest.raises(GradcamError, match="cannot write") as caught:
            write_bytes(path, b"new")
        assert os.fspath(path) in caught.value.message
    with pytest.raises(ImageError, match="too long") as too_long:
        write_bytes(tmp_path / ("n" * 300), b"new")
    assert too_long.value.kind == "write"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]
    assert (tmp_path / "file").read_bytes() == b"old"
