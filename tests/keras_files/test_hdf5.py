"""What an HDF5 file may lead to or claim. Every file here is made by h5py, some bytes by hand."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files import hdf5
from gradcam_cli.keras_files.archive import read_archive, read_pair
from gradcam_cli.keras_files.assign import assign_weights
from gradcam_cli.keras_files.file import open_network
from gradcam_cli.keras_files.hdf5 import bounded_text, open_hdf5
from tests.keras_files.rewriting import save, write_zip

L = keras.layers
MIB = 1 << 20


class Trap:
    """A pipe in place of the file that is linked to: a writer waits until somebody opens it."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._writer = subprocess.Popen(["/bin/sh", "-c", ': > "$0"', path])

    def opened(self, seconds: float = 0.1) -> bool:
        try:
            self._writer.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        self._writer.kill()
        self._writer.wait()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    made = Trap(tmp_path / "elsewhere.h5")
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(small(), tmp_path_factory.mktemp("whole") / "m.h5")


def small() -> keras.Model:
    return keras.Sequential(
        [L.Input((8, 8, 3)), L.Conv2D(2, 3, name="c"), L.GlobalMaxPooling2D()], name="m"
    )


def external(group: h5py.Group, there: Path) -> None:
    group["x"] = h5py.ExternalLink(there, "/x")


def external_storage(group: h5py.Group, there: Path) -> None:
    group.create_dataset("x", (4,), "f4", external=[(os.fsencode(there), 0, 16)])


def virtual(group: h5py.Group, there: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(there, "x", (4,), "f4")
    group.create_virtual_dataset("x", layout)


def growing(group: h5py.Group, there: Path) -> None:
    """A virtual array as long as what it is made of: HDF5 opens that to tell the shape."""
    layout = h5py.VirtualLayout((4,), "f4", maxshape=(None,))
    source = h5py.VirtualSource(there, "x", (4,), "f4", maxshape=(None,))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    group.create_virtual_dataset("x", layout)


def soft(group: h5py.Group, _: Path) -> None:
    group["x"] = h5py.SoftLink("/model_weights")


def dangling(group: h5py.Group, _: Path) -> None:
    group["x"] = h5py.SoftLink("../../nothing")


def soft_loop(group: h5py.Group, _: Path) -> None:
    group["x"] = h5py.SoftLink(f"{group.name}/x")


LEADING: dict[Callable[[h5py.Group, Path], None], str] = {
    external: r"is a link into another file, .*elsewhere\.h5",
    external_storage: r"keeps its numbers in another file, .*elsewhere\.h5",
    virtual: "is put together from other arrays",
    growing: "is put together from other arrays",
    soft: "is a link to another place, /model_weights",
    dangling: r"is a link to another place, \.\./\.\./nothing",
    soft_loop: "is a link to another place, .*/x",
}


@pytest.mark.parametrize("where", ["/", "model_weights/c"])
@pytest.mark.parametrize("craft", LEADING, ids=lambda craft: craft.__name__)
def test_nothing_leads_out_of_a_file(
    tmp_path: Path, whole: Path, trap: Trap, craft: Callable[[h5py.Group, Path], None], where: str
) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(whole.read_bytes())
    with h5py.File(path, "r+") as file:
        craft(file[where], trap.path)
    name = f"/{where}/x".replace("//", "/").replace("//", "/")
    with pytest.raises(ModelError, match=f"m.h5: {name} {LEADING[craft]}") as caught:
        read_archive(path)
    assert "its own file alone" in caught.value.hint
    weights = path.rename(tmp_path / "m.weights.h5")
    with h5py.File(weights, "r+") as file:
        del file.attrs["model_config"]
    config = tmp_path / "m.json"
    config.write_text(small().to_json())
    with pytest.raises(ModelError, match=LEADING[craft]):
        read_pair(weights, config)
    with pytest.raises(ModelError, match=LEADING[craft]):
        assign_weights(small(), weights, "m")
    assert not trap.opened()


def test_the_trap_catches(tmp_path: Path, trap: Trap) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        external(file, trap.path)
    with h5py.File(path) as file, pytest.raises((KeyError, OSError)):
        file["x"]
    assert trap.opened(seconds=10)


@pytest.mark.parametrize("version", ["2.13.1", keras.__version__])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_nothing_leads_out_of_a_member(
    tmp_path: Path, trap: Trap, version: str, method: int
) -> None:
    """Renaming the groups of Keras 2 once opened the linked file, and for writing."""
    path = save(small(), tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
        (tmp_path / "w.h5").write_bytes(archive.read("model.weights.h5"))
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file["layers/conv2d_7"] = h5py.ExternalLink(trap.path, "/")
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", f'{{"keras_version": "{version}"}}')
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    with pytest.raises(ModelError, match=r"m\.keras: /layers/conv2d_7 is a link into another"):
        open_network(path)
    with pytest.raises(ModelError, match=r"m\.keras: /layers/conv2d_7 is a link into another"):
        assign_weights(small(), path, "m")
    assert not trap.opened()


def test_links_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["strange"] = h5py.ExternalLink("there.h5", "/")
    data = path.read_bytes()
    place = data.index(b"strange\x0c\0\0there.h5"[:7]) - 2
    assert data.count(b"strange") == 1
    assert data[place] == 64
    path.write_bytes(data[:place] + b"\x50" + data[place + 1 :])
    with pytest.raises(ModelError, match="/strange is a link of a kind that only"), open_hdf5(path):
        pass


def refused(path: Path) -> str:
    """Return why a file is refused, by a process that has 400 MiB of memory for it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (400 * MIB, 400 * MIB))

    code = (
        "import sys, pathlib; from gradcam_cli.keras_files.hdf5 import open_hdf5\n"
        "with open_hdf5(pathlib.Path(sys.argv[1])): pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        preexec_fn=limit,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def huge(group: h5py.Group) -> None:
    group.create_dataset("x", (1 << 20, 1 << 20), "f4")


def huge_in_chunks(group: h5py.Group) -> None:
    group.create_dataset("x", (1 << 20, 1 << 20), "f4", chunks=(64, 64), fillvalue=1)


def huge_chunk(group: h5py.Group) -> None:
    group.create_dataset("x", (1,), "f4", chunks=((1 << 30) - 1,), maxshape=(None,))


def many(group: h5py.Group) -> None:
    for number in range(9):
        group.create_dataset(f"x{number}", (10 * MIB,), "f4")


def zeros(group: h5py.Group) -> None:
    array = group.create_dataset("x", (80 * MIB,), "f4", chunks=(4 * MIB,), compression="gzip")
    packed = zlib.compress(bytes(16 * MIB))
    for place in range(0, 80 * MIB, 4 * MIB):
        array.id.write_direct_chunk((place,), packed)


def lying_chunk(group: h5py.Group) -> None:
    array = group.create_dataset("x", (MIB,), "f4", chunks=(MIB,), compression="gzip")
    array.id.write_direct_chunk((0,), zlib.compress(bytes(128 * MIB), 1))


def twice(group: h5py.Group) -> None:
    pipeline(group, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_DEFLATE)


def plugin(group: h5py.Group) -> None:
    pipeline(group, 32001)


def pipeline(group: h5py.Group, *filters: int) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    for one in filters:
        values = (9,) if one == h5py.h5z.FILTER_DEFLATE else ()
        plan.set_filter(one, h5py.h5z.FLAG_OPTIONAL, values)
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(group.id, b"x", h5py.h5t.IEEE_F32LE, space, dcpl=plan)


BOMBS: dict[Callable[[h5py.Group], None], str] = {
    huge: r"/x unpacks to 4,398,046,511,104 bytes from a file of",
    huge_in_chunks: r"/x unpacks to 4,398,046,511,104 bytes from a file of",
    huge_chunk: r"/x unpacks to 4,294,967,292 bytes from a file of",
    many: "its arrays unpack to 377,487,360 bytes from a file of",
    zeros: "/x unpacks to 335,544,320 bytes from a file of",
    lying_chunk: "/x unpacks to more than its own size",
    twice: "/x is packed more than once",
    plugin: "/x is packed with filter 32001, which would be a plugin",
}


@pytest.mark.parametrize("craft", BOMBS, ids=lambda craft: craft.__name__)
def test_no_array_is_far_larger_than_its_file(
    tmp_path: Path, craft: Callable[[h5py.Group], None]
) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        craft(file)
    assert path.stat().st_size < MIB
    with pytest.raises(ModelError, match=f"m.h5: {BOMBS[craft]}"), open_hdf5(path):
        pass
    assert BOMBS[craft].rpartition("/x ")[2] in refused(path)


def test_a_file_of_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        for number in range(30):
            file.create_group(f"{number // 10}/{number}")
    with open_hdf5(path):
        pass
    monkeypatch.setattr(hdf5, "_MOST", 20)
    with pytest.raises(ModelError, match="holds more than 20 groups and arrays"), open_hdf5(path):
        pass


def test_hard_links_of_all_kinds_are_the_files_own(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["a/b/x"] = np.arange(3.0)
        file["a/b/up"] = file["a"]
        file["root"] = file["/"]
        file["again"] = file["a/b/x"]
    with open_hdf5(path) as file:
        np.testing.assert_array_equal(file["a/b/up/b/x"], file["root/again"])


def test_deep_groups(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        group: h5py.Group = file
        for _ in range(3000):
            group = group.create_group("g")
        group["x"] = h5py.SoftLink("/")
    with pytest.raises(ModelError, match="/g/g/x is a link to another place"), open_hdf5(path):
        pass


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip"},
        {"compression": "lzf"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
    ],
)
@pytest.mark.parametrize("block", [0, 512])
def test_arrays_of_every_packing_are_read(
    tmp_path: Path, options: dict[str, object], block: int
) -> None:
    path = tmp_path / "m.weights.h5"
    values = np.random.default_rng(0).normal(size=(300, 700)).astype(np.float32)
    with h5py.File(path, "w", userblock_size=block) as file:
        file.create_dataset("x", data=values, **options)
        file.create_dataset("large", data=values, chunks=values.shape if options else None)
        file.create_dataset("large_packed", data=values, chunks=values.shape, compression="gzip")
        file.create_dataset("texts", data=["a", "bc"])
        file["type"] = np.dtype("f4")
        file.create_dataset("typed", (3,), file["type"])[:] = 1
        file.create_dataset("empty", data=h5py.Empty("f4"))
        file.create_dataset("nothing", (0, 4))
        file["points_to"] = file["x"].ref
    with open_hdf5(path) as file:
        for name in ("x", "large", "large_packed"):
            np.testing.assert_array_equal(file[name], values)


def test_a_file_behind_a_block_of_its_user(tmp_path: Path) -> None:
    network, path = small(), tmp_path / "m.weights.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.attrs["layer_names"] = [b"c"]
        group = file.create_group("c")
        group.attrs["weight_names"] = [b"kernel", b"bias"]
        group["kernel"] = np.arange(54, dtype=np.float32).reshape(3, 3, 3, 2)
        group["bias"] = np.array([5, 6], np.float32)
    assign_weights(network, path, "m")
    np.testing.assert_array_equal(network.layers[0].kernel.numpy().ravel(), np.arange(54))
    np.testing.assert_array_equal(network.layers[0].bias.numpy(), [5, 6])


def test_damage_is_damage(tmp_path: Path, whole: Path) -> None:
    data = whole.read_bytes()
    path = tmp_path / "m.h5"
    for place in range(96, len(data), 211):
        path.write_bytes(data[:place] + b"\xff" * 16 + data[place + 16 :])
        with contextlib.suppress(ModelError):
            read_archive(path)


def test_a_chunk_that_claims_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        array = file.create_dataset("x", (MIB,), "f4", chunks=(MIB,), compression="gzip")
        noise = np.random.default_rng(0).bytes(300 << 10)
        array.id.write_direct_chunk((0,), zlib.compress(noise))
        size = array.id.get_chunk_info(0).size
    data = path.read_bytes()
    claim = size.to_bytes(4, "little")
    assert data.count(claim) == 1
    path.write_bytes(data.replace(claim, b"\xff\xff\xff\x7f"))
    with pytest.raises(OSError, match="a chunk is larger than the file"), open_hdf5(path):
        pass


def test_members_are_read_in_place(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    expected = open_network(path).network.get_weights()
    write_zip(path, dict(reversed(members.items())))
    for got, want in zip(open_network(path).network.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_values_that_may_be_as_long_as_the_file_are_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file, bounded_text():
        file["filling"] = np.zeros(1 << 20, np.uint8)
        file["few"], file["many"] = ["a"] * 3, ["a"] * 1000
        file.attrs["names"] = ["a"] * 1000  # as tf_keras names layers and weights
        file.flush()
        assert len(file["few"][()]) == 3
        assert len(file.attrs["names"]) == 1000
        with pytest.raises(ModelError, match="1,000 values of any length"):
            file["many"][()]
