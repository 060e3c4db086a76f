from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gradcam_cli.errors import GradcamError, ModelError
from gradcam_cli.models.choice import check_files, file_digest, fingerprint, is_file, own_file
from gradcam_cli.spec.model import ModelSpec

ABC = "sha256:ba7816bf8f01cfea"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("vgg16", False),
        ("VGG-16", False),
        ("no-such-model", False),
        ("mine.keras", True),
        ("mine.H5", True),
        ("mine.hdf5", True),
        (f"folder{os.sep}mine", True),
        ("a" * 300, False),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_file_is_told_from_a_name(typed: str, expected: bool) -> None:
    assert is_file(typed) is expected


def test_what_lies_here_is_a_file_unless_a_model_is_called_so(here: Path) -> None:
    (here / "mine").write_bytes(b"abc")
    for name in ("vgg16", "VGG_16", "resnet-50"):
        (here / name).mkdir()
        assert not is_file(name)
    assert is_file("mine")


def test_a_digest_is_the_start_of_sha256(here: Path) -> None:
    path = here / "abc"
    path.write_bytes(b"abc")
    assert file_digest(path) == ABC
    path.write_bytes(b"abd")
    os.utime(path, ns=(1, 1))
    assert file_digest(path) == "sha256:a52d159f262b2c6d"


def test_a_digest_of_nothing_is_refused(here: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        file_digest(here / "nothing")
    with pytest.raises(ModelError, match="cannot read"):
        file_digest(here)


def test_a_fingerprint_goes_by_content_and_not_by_spelling(here: Path) -> None:
    assert fingerprint(ModelSpec("VGG-16")) == fingerprint(ModelSpec("vgg16"))
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "mine.keras").write_bytes(b"abc")
    first, second = (str(here / folder / "mine.keras") for folder in ("a", "b"))
    assert fingerprint(ModelSpec(first)) == fingerprint(ModelSpec(second))
    assert fingerprint(ModelSpec(first))["weights"] == ABC
    Path(second).write_bytes(b"abcd")
    assert fingerprint(ModelSpec(first)) != fingerprint(ModelSpec(second))


def test_whatever_changes_the_numbers_changes_the_fingerprint(here: Path) -> None:
    files = []
    for name in "abcdef":
        path = here / name
        path.write_bytes(name.encode())
        files.append(path)
    base = ModelSpec("vgg16")
    others = [
        replace(base, model="vgg19"),
        replace(base, weights="random"),
        replace(base, weights="random", seed=1),
        replace(base, weights=str(files[0])),
        replace(base, labels=files[1]),
        replace(base, preprocess="unit"),
        replace(base, mean=(1.0,)),
        replace(base, std=(1.0,)),
        replace(base, input_size=(8, 8)),
        replace(base, transpose=True),
        replace(base, inputs=(("age", files[2]),)),
        replace(base, output="classes"),
        replace(base, architecture=files[3]),
        replace(base, custom_objects=files[4]),
    ]
    prints = [fingerprint(choice) for choice in (base, *others)]
    assert all(one not in prints[:place] for place, one in enumerate(prints))


def test_what_changes_no_number_changes_no_fingerprint() -> None:
    base = ModelSpec("vgg16")
    for other in (replace(base, seed=7), replace(base, unsafe_load=True)):  # no random weights here
        assert fingerprint(other) == fingerprint(base)


def test_a_fingerprint_of_what_is_not_there_is_refused(here: Path) -> None:
    with pytest.raises(ModelError, match="there is no model called 'vgg61'"):
        fingerprint(ModelSpec("vgg61"))
    with pytest.raises(ModelError, match="there is no file"):
        fingerprint(ModelSpec("vgg16", weights="mine.h5"))
    with pytest.raises(GradcamError, match="--labels: there is no file"):
        fingerprint(ModelSpec("vgg16", labels=here / "labels.txt"))
    assert fingerprint(ModelSpec(str(here)))["weights"] == ""  # load says what it is


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, gradcam_cli.models.choice, gradcam_cli.models.scaling\n"
        "print([m for m in ('tensorflow', 'keras', 'numpy', 'h5py') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "choice",
    [
        ModelSpec("vgg61", weights="mine.h5"),
        ModelSpec("mine.keras", labels=Path("none.txt")),
        ModelSpec("mine.keras", architecture=Path("none.json")),
        ModelSpec("mine.keras", custom_objects=Path("none.py")),
        ModelSpec("mine.keras", inputs=(("scale", Path("none.npy")),)),
    ],
)
def test_a_check_finds_what_a_fingerprint_would(here: Path, choice: ModelSpec) -> None:
    for name in ("mine.h5", "mine.keras"):
        (here / name).write_bytes(b"abc")
    with pytest.raises(GradcamError) as later:
        fingerprint(choice)
    with pytest.raises(GradcamError) as caught:
        check_files(choice)
    assert str(caught.value) == str(later.value)


def test_the_file_that_the_weights_come_from() -> None:
    assert own_file(ModelSpec("vgg16")) is None
    assert own_file(ModelSpec("vgg16", weights="random")) is None
    assert own_file(ModelSpec("vgg16", weights="mine.h5")) == Path("mine.h5")
    assert own_file(ModelSpec("mine.keras")) == Path("mine.keras")
