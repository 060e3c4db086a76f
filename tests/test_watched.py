"""Crafted files are opened by the real command, and everything that it touches is watched."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from gradcam_cli.images.encode import encode
from tests import watching
from tests.crafted.files import WEIGHTS, ZIPS, as_hdf5, members, with_config, with_weights
from tests.crafted.objects import OBJECTS, make_baits
from tests.crafted.places import PLACES, SHAPES, SPELLINGS, hidden, spelled
from tests.forked import Case, Ended, elsewhere, run_cases
from tests.tiny import noise

MODEL, PICTURE = "model.keras", "in.png"
RUN = ("run", PICTURE, "--model", MODEL, "-o", "out")
SECONDS, MEGABYTES = 15, 400
# What is never read, or does no harm, need not be refused.
HARMLESS = (
    *("place-compile-config", "weights-hard-link-round", "weights-many-names"),
    *("zip-outside-members", "zip-metadata", "shape-input-batch-huge"),
)


@dataclass(frozen=True)
class Tried:
    """Crafted files by name, each in a folder of its own, and how the command ended."""

    root: Path
    ended: dict[str, Ended]

    def faults(self, *groups: str) -> list[str]:
        """Return what is not as it must be for the files of groups."""
        return [
            f"{name}: {fault}"
            for name in self.ended
            if name.split("-")[0] in groups
            for fault in self._faults(name)
        ]

    def _faults(self, name: str) -> Iterator[str]:
        ended, folder = self.ended[name], self.root / name
        yield from (f"{one.call} {one.path}" for one in elsewhere(ended, folder))
        if ended.hung or ended.seconds > SECONDS:
            yield f"took {ended.seconds} s"
        if ended.megabytes > MEGABYTES:
            yield f"took {ended.megabytes} MB"
        if not (ended.code == 0 and name.startswith(HARMLESS)) and not _refused(ended):
            yield f"exit {ended.code}, {ended.out}{ended.err}"
        left = {path.name for path in folder.iterdir()} - {MODEL, PICTURE, "tmp", "out", "x"}
        if left or any((folder / "tmp").iterdir()):
            yield f"left {left} {list((folder / 'tmp').iterdir())}"


def _refused(ended: Ended) -> bool:
    words = [line.split(" ")[0] for line in ended.err.splitlines()]
    return ended.code == 2 and words == ["error:", "hint:"] and not ended.out


def crafted_models(model: bytes, baits: Path) -> dict[str, bytes]:
    """Return model files by name; what stands before the first hyphen is their group."""
    made: dict[str, bytes] = {"plain": model, "old": as_hdf5(model, lambda _: None)}
    code = "cve-2024-3660-lambda"
    for thing in OBJECTS:
        put = partial(hidden, name=thing, place="layer", baits=baits)
        made[f"object-{thing}"] = with_config(model, put)
    for place in PLACES:
        put = partial(hidden, name=code, place=place, baits=baits)
        made[f"place-{place}"] = with_config(model, put)
        if place in ("layer", "activation", "nested"):
            made[f"place-hdf5-{place}"] = as_hdf5(model, put)
    for thing, place in (("cve-2026-1462-saved-model", "layer"), ("imdb", "initializer")):
        for spelling in SPELLINGS:
            put = partial(spelled, name=thing, spelling=spelling, place=place, baits=baits)
            made[f"spelled-{thing}-{spelling}"] = with_config(model, put)
    for name, change in WEIGHTS.items():
        made[f"weights-{name}"] = with_weights(model, change, baits)
    for name, write in ZIPS.items():
        made[f"zip-{name}"] = write(members(model), baits)
    for name in ("deep-200", "layers-null", "entry-number", "units-2-to-33", "input-huge"):
        made[f"shape-{name}"] = with_config(model, SHAPES[name])
    return made


def pipes() -> dict[str, tuple[str, ...]]:
    """Return commands by name in which something that never ends stands for a file, ``x``."""
    rest = RUN
    return {
        "pipe-model": ("run", PICTURE, "--model", "x", "-o", "out"),
        "pipe-weights": ("run", PICTURE, "--model", "vgg16", "--weights", "x", "-o", "out"),
        "pipe-labels": (*rest, "--labels", "x"),
        "pipe-architecture": (*rest, "--architecture", "x"),
        "pipe-custom-objects": (*rest, "--custom-objects", "x"),
        "pipe-input": (*rest, "--input", "other=x"),
        "pipe-config": (*rest, "--config", "x"),
        "pipe-list": ("run", "@x", "--model", MODEL, "-o", "out"),
        "pipe-report": ("report", "x"),
    }


def endless_picture() -> bytes:
    """Return a PNG file of 10^5 x 10^5 pixels that has next to nothing in it."""
    body = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)),
                       (b"IDAT", zlib.compress(bytes(1 << 20))), (b"IEND", b"")):  # fmt: skip
        body += struct.pack(">I", len(data)) + kind + data
        body += struct.pack(">I", zlib.crc32(kind + data))
    return body


@pytest.fixture(scope="module")
def tried(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    root = tmp_path_factory.mktemp("watched")
    model = tiny.read_bytes()
    baits = make_baits(root / "baits", members(model)["model.weights.h5"])
    picture = encode(noise(1), "png")
    models = crafted_models(model, baits)
    commands = dict.fromkeys(models, RUN) | pipes() | {"picture": RUN}
    cases = []
    for name, words in commands.items():
        folder = root / name
        folder.mkdir()
        (folder / MODEL).write_bytes(models.get(name, model))
        (folder / PICTURE).write_bytes(endless_picture() if name == "picture" else picture)
        if name.startswith("pipe"):
            os.mkfifo(folder / "x")
        seconds = 6 if name.startswith("pipe") else SECONDS
        cases.append(Case(name, words, folder, seconds, 3000))
    (root / "scratch").mkdir()
    return Tried(root, run_cases(cases, root / "scratch", baits))


def test_models_of_today_touch_nothing_but_their_folder(tried: Tried) -> None:
    for name in ("plain", "old"):
        ended, folder = tried.ended[name], tried.root / name
        assert (ended.code, elsewhere(ended, folder)) == (0, []), ended.err
        assert {event.path for event in ended.events if event.writes} > {str(folder / "out")}
        assert not any((folder / "tmp").iterdir())
        assert any(path.is_file() for path in (folder / "out").rglob("in.png.*"))


def test_objects_that_read_write_or_run_are_refused(tried: Tried) -> None:
    assert not tried.faults("object")


def test_code_is_refused_in_every_place(tried: Tried) -> None:
    assert not tried.faults("place")


def test_other_names_of_the_same_objects_are_refused(tried: Tried) -> None:
    assert not tried.faults("spelled")


def test_weights_stay_in_their_file(tried: Tried) -> None:
    assert not tried.faults("weights")


def test_zip_files_stay_what_they_say(tried: Tried) -> None:
    assert not tried.faults("zip")


def test_damaged_configurations_are_refused(tried: Tried) -> None:
    assert not tried.faults("shape")


def test_what_never_ends_is_refused(tried: Tried) -> None:
    assert not tried.faults("pipe")


def test_a_picture_that_no_machine_has_room_for(tried: Tried) -> None:
    ended, folder = tried.ended["picture"], tried.root / "picture"
    assert ended.code == 4, ended.err
    assert "too-large" in ended.err
    assert elsewhere(ended, folder) == []
    assert ended.megabytes < MEGABYTES


NOSY = """
import os, socket, subprocess
import h5py, keras
baits = {baits!r}
open(baits + "/secret.txt").close()
open(baits + "/made/written", "w").close()
h5py.File(baits + "/other.weights.h5", "r+").close()
os.listdir(baits + "/pictures")
os.mkdir(baits + "/made/folder")
os.rename(baits + "/made/folder", baits + "/made/renamed")
subprocess.run(["/bin/true"])
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError:
    pass
"""


@pytest.mark.parametrize("strace", [True, False])
def test_nothing_escapes_the_watch(tiny: Path, tmp_path: Path, strace: bool) -> None:
    """A file of custom objects may do all this; what it does is seen by strace, and without it."""
    weights = members(tiny.read_bytes())["model.weights.h5"]
    baits = make_baits(tmp_path / "baits", weights)
    folder, scratch = tmp_path / "nosy", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    (folder / "nosy.py").write_text(NOSY.format(baits=str(baits)), encoding="utf-8")
    words = ("layers", str(tiny), "--custom-objects", "nosy.py")
    case = Case("nosy", words, folder)
    (ended,) = run_cases([case], scratch, baits, strace=strace).values()
    assert ended.code == 0, ended.err
    seen = {(event.call, Path(event.path).name, event.writes) for event in ended.events}
    assert seen >= {
        ("open", "secret.txt", False),
        ("open", "written", True),
        ("open", "other.weights.h5", False),
        ("list", "pictures", False),
        ("make", "folder", True),
        ("rename", "renamed", True),
        ("exec", "true", False),
    }
    assert any(event.call == "connect" for event in ended.events)
    if strace and watching.strace():
        assert ("open", "other.weights.h5", True) in seen
        assert any(one.call == "connect" and "AF_INET" in one.path for one in ended.events)
