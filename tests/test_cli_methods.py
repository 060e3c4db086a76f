"""Several methods, layers and targets through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gradcam_cli.cam.methods import METHODS
from tests.processes import gradcam, inside, records, refusal
from tests.tiny import save_tiny, write_pictures


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and three pictures."""
    folder = tmp_path_factory.mktemp("given")
    save_tiny(folder / "tiny.keras")
    write_pictures(folder / "in", 3)
    return folder


def overlays(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}


def test_one_more_method_does_only_what_is_missing(given: Path) -> None:
    words = ("run", "in", "-m", "tiny.keras", "-o", "out", "-c", "top2")
    first = gradcam(*words, cwd=given)
    assert first.returncode == 0, first.stderr
    before = overlays(given / "out")
    assert set(before) == {f"00{n}.jpg.top{k}.jpg" for n in range(3) for k in (1, 2)}
    more = ("--method", "gradcam", "--method", "ablationcam", "--method", "layercam")
    second = gradcam(*words, *more, "--json", cwd=given)
    assert second.returncode == 0, second.stderr
    assert "Ablation-CAM runs the network up to 4 times for every picture" in second.stderr
    after = overlays(given / "out")
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        f"00{n}.jpg.top{k}.{method}.jpg"
        for n in range(3)
        for k in (1, 2)
        for method in ("layercam", "ablationcam")
    }
    printed = [json.loads(line) for line in second.stdout.splitlines()]
    assert printed == records(given / "out")
    for record in printed:
        made = [(each["method"], each["slot"]) for each in record["explanations"]]
        assert sorted(made) == sorted(
            (method, f"top{k}") for method in ("gradcam", "layercam", "ablationcam") for k in (1, 2)
        )
        assert set(record["digests"]) == {
            each["files"]["overlay"] for each in record["explanations"]
        }
    third = gradcam(*words, *more, cwd=given)
    assert "3 done before" in third.stderr
    assert overlays(given / "out") == after
    run = json.loads((given / "out" / "run.json").read_text(encoding="utf-8"))
    assert set(run["methods"]) == {"gradcam", "layercam", "ablationcam"}


def test_layers_have_files_of_their_own_and_similarity_one(given: Path) -> None:
    two = ("-l", "conv", "-l", "rescaling")
    words = ("run", "in/000.jpg", "-m", "tiny.keras", "--save", "array")
    both = gradcam(*words, *two, "-o", "both", cwd=given)
    assert both.returncode == 0, both.stderr
    (record,) = records(given / "both")
    assert [each["files"]["array"] for each in record["explanations"]] == [
        "000.jpg.top1.gradcam.conv.npy",
        "000.jpg.top1.gradcam.rescaling.npy",
    ]
    assert np.load(given / "both" / "000.jpg.top1.gradcam.rescaling.npy").shape == (16, 16)
    vector = np.array([1, -1, 0.5], np.float32)
    np.save(given / "vector.npy", vector)
    like = gradcam(*words, "--target", "vector.npy", "-o", "alike", cwd=given)
    assert like.returncode == 0, like.stderr
    (record,) = records(given / "alike")
    (item,) = record["explanations"]
    assert (item["slot"], item["name"], item["probability"]) == ("similarity", "similarity", None)
    assert record["score_kind"] == "similarity"
    assert item["files"] == {"array": "000.jpg.similarity.npy"}
    assert -1 <= item["score"] <= 1


REFUSED = [
    (("--contrast", "1", "-c", "1"), "--contrast 1 is the class that is explained"),
    (("--method", "finer"), "unknown method 'finer'"),
    (("--method", ""), "unknown method ''"),
    (("--fuse", "max"), "one layer is asked for"),
    (("--method", "random", "--counterfactual"), "does not depend on the class"),
    (("--smooth", "turns"), "--smooth does not know 'turns'"),
    (("--target", "short.npy"), "a vector of 2 numbers, but the network's output has 3"),
    (("--target", "none.npy"), "there is no file"),
    (("--like", "none.jpg"), "there is no file"),
    (("--like", "short.npy"), "--like"),
    (("--target", "short.npy", "-c", "1"), "explains a similarity, and not a class"),
]


@pytest.mark.parametrize(("more", "message"), REFUSED)
def test_what_cannot_be_done_is_said(
    given: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(given)
    np.save("short.npy", np.ones(2, np.float32))
    error = refusal("run", "in/000.jpg", "-m", "tiny.keras", "-o", "refused", *more)
    assert message in error.message
    assert error.hint
    assert not Path("refused").exists()


def test_methods_are_listed_without_tensorflow(tmp_path: Path) -> None:
    result = gradcam("methods", "--json", cwd=tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.returncode == 0
    assert "tensorflow" not in result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["name"] for row in rows] == list(METHODS)
    assert all(row["cost"] and row["answers"] and row["misleads"] for row in rows)
    shown = gradcam("methods", cwd=tmp_path)
    assert "Ablation-CAM" in shown.stdout


def test_a_sheet_shows_the_method_that_was_asked_for_first(given: Path) -> None:
    asked = ("--method", "layercam", "--method", "gradcam")
    out, sheet = given / "ordered", given / "sheet.svg"
    done = inside("run", given / "in", "-m", given / "tiny.keras", "-o", out, "-c", "top2", *asked)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "run.json").read_text())["methods"] == ["layercam", "gradcam"]
    shown = inside("sheet", out, "-o", sheet)
    assert "3 maps (LayerCAM, layer " in " ".join(shown.stderr.split())
    assert ">LayerCAM, layer " in sheet.read_text(encoding="utf-8")
