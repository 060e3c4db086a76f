"""What the members of a zip file may be called and claim. Every file is made by zipfile."""

from __future__ import annotations

import io
import re
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.archive import read_archive
from gradcam_cli.keras_files.assign import assign_weights
from gradcam_cli.keras_files.container import check_space, member, open_zip, unpacked
from gradcam_cli.keras_files.file import open_network
from tests.keras_files.rewriting import save
from tests.processes import SAMPLES, gradcam, problem

L = keras.layers
MIB = 1 << 20


@pytest.fixture
def path(tmp_path: Path, whole: bytes) -> Path:
    made = tmp_path / "m.keras"
    made.write_bytes(whole)
    return made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save(small(), tmp_path_factory.mktemp("whole") / "m.keras").read_bytes()


def small() -> keras.Model:
    return keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(2, 3), L.GlobalMaxPooling2D()])


def add(path: Path, name: str | zipfile.ZipInfo, data: bytes = b"{}") -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def twice(path: Path) -> None:
    add(path, "config.json")


def twice_by_case(path: Path) -> None:
    add(path, "Config.JSON")


def outside(path: Path) -> None:
    add(path, "assets/../../../evil.txt")


def absolute(path: Path) -> None:
    add(path, "/nowhere/evil.txt")


def outside_on_windows(path: Path) -> None:
    add(path, "assets\\..\\..\\evil.txt")


def a_drive(path: Path) -> None:
    add(path, "C:evil.txt")


def linked(path: Path) -> None:
    info = zipfile.ZipInfo("assets/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    add(path, info, b"/etc/passwd")


def encrypted(path: Path) -> None:
    change(path, "config.json", "flags", 1)


def zeros(path: Path | io.BytesIO, name: str) -> None:
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(MIB))


def bomb(path: Path) -> None:
    zeros(path, "assets/zeros")


def many_bombs(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(2):
            archive.writestr(f"assets/{number}", bytes(150 * MIB))


def claim(path: Path) -> None:
    change(path, "model.weights.h5", "size", 0xFFFFFFF0)


def one_over_another(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("model.weights.h5").header_offset
    add(path, "assets/x")
    change(path, "assets/x", "offset", place)


def npz(path: Path) -> None:
    """Weights as NumPy keeps them, a zip file in the zip file."""
    packed = io.BytesIO()
    zeros(packed, "x.npy")
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.npz", packed.getvalue())


_FIELDS = {"flags": ("<H", 8), "packed": ("<I", 20), "size": ("<I", 24), "offset": ("<I", 42)}
"""Where a number stands in a member's entry of the directory, which has 46 bytes before its name"""


def change(path: Path, name: str, field: str, value: int) -> None:
    data = bytearray(path.read_bytes())
    start = data.rindex(name.encode()) - 46
    assert data[start : start + 4] == b"PK\x01\x02"
    kind, place = _FIELDS[field]
    struct.pack_into(kind, data, start + place, value)
    path.write_bytes(bytes(data))


HOSTILE: dict[Callable[[Path], None], str] = {
    twice: "'config.json' is in it twice",
    twice_by_case: "'Config.JSON' is in it twice",
    outside: "'assets/../../../evil.txt' lies outside",
    absolute: "'/nowhere/evil.txt' lies outside",
    outside_on_windows: r"'assets\\..\\..\\evil.txt' lies outside",
    a_drive: "'C:evil.txt' lies outside",
    linked: "'assets/link' is a link to another file",
    encrypted: "'config.json' is encrypted",
    bomb: "'assets/zeros' unpacks to 314,572,800 bytes from ",
    many_bombs: "m.keras unpacks to 314,",
    claim: "'model.weights.h5' unpacks to 4,294,967,280 bytes from ",
    one_over_another: "lies over another member",
    npz: "'x.npy' unpacks to 314,572,800 bytes from ",
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("craft", HOSTILE, ids=lambda craft: craft.__name__)
def test_hostile_members(path: Path, craft: Callable[[Path], None]) -> None:
    craft(path)
    with pytest.raises(ModelError, match=re.escape(HOSTILE[craft])) as caught:
        read_archive(path)
    assert caught.value.hint.startswith("save the model again")
    if craft is not npz:
        with pytest.raises(ModelError, match=re.escape(HOSTILE[craft])):
            assign_weights(small(), path, "m")


def test_a_member_that_reaches_into_the_directory(path: Path) -> None:
    change(path, "model.weights.h5", "packed", 1 << 30)
    with pytest.raises(ModelError, match="damaged or cut short"):
        read_archive(path)


def test_no_more_is_unpacked_than_the_directory_says(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("assets/zeros", bytes(16 * MIB))
    change(path, "assets/zeros", "size", 1000)
    with pytest.raises(zipfile.BadZipFile), unpacked(path, "assets/zeros"):
        pass
    with (
        open_zip(path) as archive,
        pytest.raises(zipfile.BadZipFile),
        member(archive, "assets/zeros"),
    ):
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_copy_is_removed_on_every_way_out(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())

    def use() -> None:
        with unpacked(path, "model.weights.h5") as copy:
            assert copy.stat().st_size > 1000
            raise error

    with pytest.raises(error):
        use()
    assert set(tmp_path.iterdir()) == before


def test_a_disk_without_room(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="bytes free; the model's weights take 1,152,921,504,606"):
        check_space(1 << 60, tmp_path)
    check_space(1, tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_a_file(tmp_path: Path, method: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, 100_000, np.uint8).tobytes()
    path = tmp_path / "a.zip"
    path.write_bytes(b"before")
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("first", b"1")
        archive.writestr("x", values)
        archive.writestr("last", b"2")
    with zipfile.ZipFile(path) as archive, member(archive, "x") as file:
        assert file.read() == values
        assert file.read(1) == b""
        for place in (99_990, 5, 50_000):
            assert file.seek(place) == place
            assert file.read(20) == values[place : place + 20]
        assert file.seek(-7, io.SEEK_END) == 99_993
        assert file.read() == values[-7:]


def test_what_a_classifier_does_not_need_is_never_unpacked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_network(path).network.get_weights()
    add(path, "assets/labels.txt", b"cat")
    add(path, "__MACOSX/._config.json", b"\0")

    def fail(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", fail)
    for got, want in zip(open_network(path).network.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_vocabularies_that_layers_learned_are_kept(tmp_path: Path) -> None:
    learned = L.IntegerLookup(output_mode="one_hot")
    learned.adapt(np.array([7, 7, 5]))
    words = keras.Input((1,), dtype="int64")
    model = keras.Model(words, L.Dense(2)(learned(words)))
    path = tmp_path / "learned.keras"
    model.save(path)
    add(path, "assets/labels.txt", b"cat")
    numbers = np.array([[5], [7], [6]])
    np.testing.assert_array_equal(open_network(path).network(numbers), model(numbers))


def test_a_bomb_ends_in_one_sentence(path: Path, tmp_path: Path) -> None:
    claim(path)
    done = gradcam("run", SAMPLES, "--model", path, "-o", "out", cwd=tmp_path)
    said = problem(done)
    assert "'model.weights.h5' unpacks to 4,294,967,280 bytes" in said
    assert not (tmp_path / "out").exists()
