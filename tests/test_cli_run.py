"""What `gradcam run` and `gradcam predict` do to files, streams and exit codes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from gradcam_cli.models.labels import imagenet_labels
from tests.models.test_samples_source import table
from tests.processes import LITE0, SAMPLES, gradcam, inside, problem, records, refusal
from tests.tiny import write_pictures

EXPECTED = {
    "butterfly.jpg": "monarch",
    "carcassonne.jpg": "castle",
    "cat.jpg": "Egyptian_cat",
    "chambord.jpg": "castle",
    "chenonceau.jpg": "castle",
    "coffee.jpg": "espresso",
    "dog.jpg": "German_shepherd",
    "motorcycle.jpg": "moped",
    "officer.jpg": "military_uniform",
    "parrots.jpg": "macaw",
    "photographer.jpg": "tripod",
    "sheep.jpg": "ram",
}
"""What each sample shows, as an ImageNet class."""

HOT = {
    "butterfly.jpg": (0.1, 0.1, 0.9, 0.9),
    "cat.jpg": (0.2, 0.0, 0.85, 0.9),
    "carcassonne.jpg": (0.1, 0.0, 1.0, 0.65),
    "chambord.jpg": (0.05, 0.2, 0.98, 0.7),
    "chenonceau.jpg": (0.2, 0.1, 0.9, 0.75),
    "coffee.jpg": (0.2, 0.1, 0.9, 0.9),
    "dog.jpg": (0.15, 0.05, 0.9, 0.95),
    "motorcycle.jpg": (0.05, 0.1, 0.95, 0.95),
    "sheep.jpg": (0.2, 0.1, 0.72, 0.9),
}
"""Where the object lies: left, top, right, bottom as shares of the picture."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    words = ("run", SAMPLES, *LITE0, "-c", "top3", "--save", "overlay,heatmap,array")
    result = gradcam(*words, cwd=folder, cold=True)
    assert result.returncode == 0, result.stderr
    assert "Egyptian_cat" in result.stdout
    assert "n02124075" in result.stdout
    (folder / "stdout.txt").write_text(result.stdout, encoding="utf-8")
    (folder / "stderr.txt").write_text(result.stderr, encoding="utf-8")
    return folder


def test_every_sample_is_recognised(finished: Path) -> None:
    found = {
        Path(record["source"]).name: record["predictions"][0]["name"]
        for record in records(finished / "gradcam_output")
    }
    assert found == EXPECTED


def test_what_the_table_of_samples_says_is_found(finished: Path) -> None:
    stated = table()
    for record in records(finished / "gradcam_output"):
        row, first = stated[Path(record["source"]).name], record["predictions"][0]
        assert row["size"] == f"{record['width']} x {record['height']}"
        assert row["class"] == f"{first['index']} {first['name']}"
        assert float(row["probability"]) == pytest.approx(first["probability"], abs=0.005)


def test_the_heat_lies_on_the_object(finished: Path) -> None:
    by_name = {Path(r["source"]).name: r for r in records(finished / "gradcam_output")}
    for name, (left, top, right, bottom) in HOT.items():
        record = by_name[name]
        x, y = record["explanations"][0]["peak"]
        assert left <= x / record["width"] <= right, name
        assert top <= y / record["height"] <= bottom, name


def test_files_are_where_the_records_say(finished: Path) -> None:
    output = finished / "gradcam_output"
    for record in records(output):
        assert len(record["explanations"]) == 3
        assert [e["index"] for e in record["explanations"]] == [
            p["index"] for p in record["predictions"][:3]
        ]
        for item in record["explanations"]:
            assert set(item["files"]) == {"overlay", "heatmap", "array"}
            for kind, name in item["files"].items():
                assert (output / name).stat().st_size == item["sizes"][kind]
            drawn = cv2.imread(str(output / item["files"]["overlay"]))
            assert drawn is not None
            assert drawn.shape == (record["height"], record["width"], 3)
            raw = np.load(output / item["files"]["array"])
            assert raw.shape == (7, 7)
            assert raw.dtype == np.float32
    written = {str(p.relative_to(output)) for p in output.rglob("*") if p.is_file()}
    named = {n for r in records(output) for e in r["explanations"] for n in e["files"].values()}
    assert {name for name in written if not Path(name).name.startswith(".")} == named | {
        *("manifest.jsonl", "run.json")
    }


def test_the_streams_are_clean(finished: Path) -> None:
    said = (finished / "stderr.txt").read_text(encoding="utf-8")
    line, then = said.splitlines()
    assert re.fullmatch(
        r"12 pictures done; most time went into \w+; heatmaps in gradcam_output", line
    )
    assert then == "to look through them: gradcam report gradcam_output"
    out = (finished / "stdout.txt").read_text(encoding="utf-8")
    assert "\x1b" not in out
    assert "probability" in out


def test_running_again_does_nothing_again(finished: Path) -> None:
    before = (finished / "gradcam_output" / "manifest.jsonl").read_bytes()
    words = ("run", SAMPLES, *LITE0, "-c", "top3", "--save", "overlay,heatmap,array")
    result = gradcam(*words, cwd=finished)
    assert result.returncode == 0
    assert result.stdout == ""
    assert "0 pictures done, 12 done before" in result.stderr
    assert (finished / "gradcam_output" / "manifest.jsonl").read_bytes() == before


def test_intensity_zero_gives_back_the_pixels(tiny: Path, tmp_path: Path) -> None:
    words = ("run", SAMPLES / "cat.jpg", "-m", tiny, "-i", "0", "--format", "png")
    assert inside(*words, "-o", tmp_path / "out").returncode == 0
    (record,) = records(tmp_path / "out")
    drawn = cv2.imread(str(tmp_path / "out" / record["explanations"][0]["files"]["overlay"]))
    np.testing.assert_array_equal(drawn, cv2.imread(str(SAMPLES / "cat.jpg")))


def test_a_class_has_many_names(tmp_path: Path) -> None:
    words: list[str | Path] = [
        "run",
        SAMPLES / "coffee.jpg",
        *LITE0,
        "--json",
        "--score",
        "probability",
    ]
    for term in ("285", "n02124075", "Egyptian cat", "egyptian_CAT"):
        words += ["-c", term]
    result = gradcam(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert records(tmp_path / "gradcam_output") == [record]
    (item,) = record["explanations"]
    assert (item["index"], item["id"], item["name"]) == (285, "n02124075", "Egyptian_cat")
    assert record["score_kind"] == "probability"
    assert record["sha256"] == hashlib.sha256((SAMPLES / "coffee.jpg").read_bytes()).hexdigest()


def test_predict_takes_lists_and_standard_input_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{SAMPLES / 'cat.jpg'}\n", encoding="utf-8")
    words = ("@list.txt", "-", SAMPLES / "p*r*ots.jpg", "-k", "2", "--json")
    result = gradcam("predict", *words, *LITE0, cwd=tmp_path, stdin=f"{SAMPLES / 'coffee.jpg'}\n")
    assert result.returncode == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    names = [record["predictions"][0]["name"] for record in found]
    assert names == ["Egyptian_cat", "espresso", "macaw"]
    assert {len(record["predictions"]) for record in found} == {2}
    assert not any(record["explanations"] for record in found)
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_bad_pictures_fail_alone(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    whole = (SAMPLES / "cat.jpg").read_bytes()
    (folder / "a-empty.jpg").write_bytes(b"")
    (folder / "b-text.jpg").write_text("no picture", encoding="utf-8")
    (folder / "c-cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "d-good.jpg").write_bytes(whole)
    result = gradcam("run", "in", "-m", tiny, "-o", "out", cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    statuses = {
        r["source"]: (r["status"], (r["error"] or {}).get("kind"))
        for r in records(tmp_path / "out")
    }
    assert statuses == {
        "in/a-empty.jpg": ("failed", "empty"),
        "in/b-text.jpg": ("failed", "not-a-picture"),
        "in/c-cut.jpg": ("failed", "truncated"),
        "in/d-good.jpg": ("ok", None),
    }
    assert "1 picture done, 3 failed" in result.stderr
    (folder / "d-good.jpg").unlink()
    assert inside("run", folder, "-m", tiny, "-o", tmp_path / "none").returncode == 4


def test_no_picture_at_all_is_4(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = gradcam("run", "empty", cwd=tmp_path)
    assert result.returncode == 4
    assert result.stderr.startswith("error: no picture in empty")
    assert not (tmp_path / "gradcam_output").exists()


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--model", "vgg61"), "vgg61", "vgg16"),
        (("--colormap", "jett"), "jett", "jet"),
        (("--save", "overlays"), "overlays", "overlay"),
        (("--intensity", "1.5"), "--intensity", "--help"),
        (("--quality", "0"), "--quality", "--help"),
        (("--blend", "multiply"), "blend", "--help"),
        (("--shard", "5/4"), "5/4", "1/4"),
        (("--input-size", "huge"), "huge", "224x224"),
        (("--mean", "a,b"), "a,b", "123.7"),
        (("--weights", "nowhere.h5"), "nowhere.h5", "a name like it"),
        (("--modle", "vgg16"), "--modle", "--help"),
    ],
)
def test_wrong_words_are_refused_before_any_work(
    words: tuple[str, ...],
    message: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = problem(inside("run", SAMPLES, *words))
    assert message in said.splitlines()[0]
    assert hint in said.splitlines()[1]
    assert not (tmp_path / "gradcam_output" / "manifest.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--model", "no-such-model"), "no-such-model", "gradcam models"),
        (("--layer", "head_activaton"), "head_activaton", "head_activation"),
        (("--layer", "logits"), "no feature grid", "layers"),
        (("--class", "egyptian catt"), "egyptian catt", "Egyptian"),
        (("--class", "crane"), "n02012849", "index"),
        (("--class", "1000"), "1000", "999"),
        (("--method", "gradcamm"), "gradcamm", "gradcam"),
        (("--method", "cam", "--layer", "block7a_project_bn"), "only at the layer", "--layer"),
    ],
)
def test_wrong_names_are_answered_with_the_nearest(
    words: tuple[str, ...], message: str, hint: str, tmp_path: Path
) -> None:
    error = refusal("run", SAMPLES / "cat.jpg", *LITE0, *words, "-o", tmp_path / "out")
    assert message in error.message
    assert hint in error.hint
    assert not (tmp_path / "out").exists()


def test_a_wrong_option_ends_a_process_at_once(tmp_path: Path) -> None:
    said = problem(gradcam("run", SAMPLES, "--modle", "vgg16", cwd=tmp_path))
    assert "--modle" in said
    assert list(tmp_path.iterdir()) == []


def test_the_output_folder_is_checked_first(tmp_path: Path) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    picture = pictures / "cat.jpg"
    picture.write_bytes((SAMPLES / "cat.jpg").read_bytes())
    assert "inside" in problem(gradcam("run", "in", "-o", "in/out", cwd=tmp_path))
    assert not (pictures / "out").exists()
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    problem(gradcam("run", "in", "-o", "file", cwd=tmp_path))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_sources_are_never_written_to(tiny: Path, tmp_path: Path) -> None:
    picture = tmp_path / "cat.jpg"
    picture.write_bytes((SAMPLES / "cat.jpg").read_bytes())
    before = picture.read_bytes(), picture.stat().st_mtime_ns
    output = tmp_path / "out"
    words = ("run", picture, "-m", tiny, "-o", output)
    assert inside(*words).returncode == 0
    (record,) = records(output)
    overlay = output / record["explanations"][0]["files"]["overlay"]
    overlay.unlink()
    overlay.symlink_to(picture)
    again = inside(*words, "--overwrite")
    assert again.returncode == 0, again.stderr
    assert (picture.read_bytes(), picture.stat().st_mtime_ns) == before
    assert not overlay.is_symlink()


def test_the_labels_are_the_package_s_own() -> None:
    assert set(EXPECTED.values()) <= set(imagenet_labels().names)


def test_auto_tries_batch_sizes_once_and_goes_on_with_the_one_it_found(
    tiny: Path, tmp_path: Path
) -> None:
    (found,) = write_pictures(tmp_path / "in", 1)
    for number in range(1, 280):
        (tmp_path / "in" / f"{number:03d}.jpg").hardlink_to(found.path)
    words = ("run", "in", "--model", tiny, "-o", "out", "--batch-size", "auto", "--json")
    few = gradcam(*words, "--limit", "20", cwd=tmp_path)
    assert "batches of" not in few.stderr
    assert {record["batch_size"] for record in records(tmp_path / "out")} == {16}
    first = gradcam(*words, "--overwrite", cwd=tmp_path)
    (size,) = {record["batch_size"] for record in records(tmp_path / "out")}
    assert f"batches of up to {size}" in first.stderr
    (tmp_path / "out" / "in" / "270.jpg.top1.jpg").unlink()
    again = gradcam(*words, cwd=tmp_path)
    assert "batches of" not in again.stderr
    assert "1 picture done, 279 done before" in again.stderr
    assert again.stdout.splitlines()[:270] == first.stdout.splitlines()[:270]
    assert records(tmp_path / "out")[270]["batch_size"] == size


@pytest.mark.parametrize("size", ["0", "-1", "many", "1.5", ""])
def test_a_batch_size_is_a_number_or_auto(size: str) -> None:
    said = problem(inside("run", "x.jpg", f"--batch-size={size}"))
    assert "neither auto nor a number" in said
