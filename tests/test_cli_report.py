from __future__ import annotations

import html
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.store.runfile import RunFile, write_run
from tests.processes import LITE0, SAMPLES, gradcam, problem, records, refusal
from tests.report.made import done, failed, guess, heatmap, manifest
from tests.report.test_page import Reader


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose ``out`` holds a run of one picture."""
    place = tmp_path_factory.mktemp("run")
    (place / "sample_images").symlink_to(SAMPLES)
    words = ("run", "sample_images", *LITE0, "--limit", "1", "-o", "out", "--report")
    result = gradcam(*words, cwd=place)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "the report is out/report.html"
    return place


def read(path: Path) -> Reader:
    return Reader(path.read_text(encoding="utf-8"))


def test_a_run_becomes_a_page(run: Path) -> None:
    assert read(run / "out" / "report.html").data()["records"]
    result = gradcam("report", "out", cwd=run)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "1 picture; the report is out/report.html\n"
    data = read(run / "out" / "report.html").data()
    (record,) = records(run / "out")
    (row,) = data["records"]
    assert row[0] == record["source"]
    assert [data["classes"][which][2] for which, _, _ in row[3]] == [
        prediction["name"] for prediction in record["predictions"]
    ]
    overlay = run / "out" / unquote(data["base"] + row[4][0][5])
    assert overlay.stat().st_size == record["explanations"][0]["sizes"]["overlay"]
    again = gradcam("report", "out", cwd=run)
    assert again.returncode == 0, again.stderr


def test_the_command_that_is_shown_is_the_one_that_was_run(run: Path) -> None:
    gradcam("report", "out", cwd=run)
    text = html.unescape((run / "out" / "report.html").read_text(encoding="utf-8"))
    assert "gradcam run sample_images --model efficientnet-lite0 --limit 1 -o out<" in text


def test_the_numbers_as_json(run: Path) -> None:
    result = gradcam("report", "out", "--json", "-o", "pages/page.html", cwd=run)
    assert (result.returncode, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    numbers = json.loads(line)
    (record,) = records(run / "out")
    first = record["predictions"][0]
    assert numbers["report"] == "pages/page.html"
    assert (numbers["pictures"], numbers["done"], numbers["failed"]) == (1, 1, {})
    assert numbers["used"]["layer"] == {record["explanations"][0]["layer"]: 1}
    assert numbers["settings"] == {record["settings"]: 1}
    assert numbers["classes"] == [
        {
            **{key: first[key] for key in ("index", "id", "name", "probability")},
            "pictures": 1,
            "maps": 1,
            "empty": 0,
        }
    ]
    data = read(run / "pages" / "page.html").data()
    linked = run / "pages" / unquote(data["base"] + data["records"][0][4][0][5])
    assert linked.is_file()


def test_truth_and_one_file_to_mail(run: Path) -> None:
    (record,) = records(run / "out")
    name = Path(record["source"]).name
    best = record["predictions"][0]["name"].replace("_", " ").upper()
    (run / "truth.csv").write_text(f"file,class\n{name},{best}\nnone.jpg,x\n", encoding="utf-8")
    words = ("report", "out", "--truth", "truth.csv", "--embed", "-o", "mail.html")
    result = gradcam(*words, cwd=run)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines() == [
        "warning: truth.csv names pictures that the run has not: none.jpg",
        "1 picture, 100.0% right; the report is mail.html",
    ]
    (row,) = read(run / "mail.html").data()["records"]
    assert [row[8][:23], row[4][0][7][:23]] == 2 * ["data:image/webp;base64,"]
    assert row[7] == ""
    numbers = json.loads(gradcam(*words, "--json", cwd=run).stdout)
    assert numbers["truth"]["accuracy"] == 1
    assert numbers["truth"]["confused"] == []


@pytest.mark.parametrize("known", [(("", "cat"), ("", "dog")), None])
def test_labels_that_mean_no_class_are_named_and_do_not_count(
    known: tuple[tuple[str, str], ...] | None, tmp_path: Path
) -> None:
    cat = replace(guess("cat", 0.9, 0), id="")
    every = [done(f"{name}/1.jpg", cat) for name in ("cat", "dog", "all")]
    out = manifest(tmp_path / "out", *every)
    write_run(out / "run.json", RunFile({}, "", classes=known))
    result = gradcam("report", "out", "--truth", "folder", cwd=tmp_path)
    assert result.returncode == 0
    warning, last = result.stderr.splitlines()
    if known:  # dog is a class, though it was never predicted
        assert warning == (
            "warning: 1 picture of true classes that the model has not, counted neither as right "
            "nor as wrong: all"
        )
        assert last.startswith("3 pictures, 50.0% right; ")
        manifest(out, *every[:2])
        again = gradcam("report", "out", "--truth", "folder", cwd=tmp_path)
        assert again.stderr.startswith("2 pictures, 50.0% right; "), "nothing is amiss"
    else:
        assert warning == (
            "warning: true classes that were never predicted, and count as wrong: dog, all"
        )
        assert last.startswith("3 pictures, 33.3% right; ")


def test_a_label_that_imagenet_has_not_is_not_known(tmp_path: Path) -> None:
    jay = replace(guess("jay", 0.9, 17), id="n01580077")
    manifest(tmp_path / "out", done("cock/1.jpg", jay), done("labelled/2.jpg", jay))
    result = gradcam("report", "out", "--truth", "folder", cwd=tmp_path)
    warning, last = result.stderr.splitlines()
    assert warning.endswith("neither as right nor as wrong: labelled")
    assert last.startswith("2 pictures, 0.0% right; ")


def test_a_run_compared_with_itself(run: Path) -> None:
    result = gradcam("report", "out", "out", cwd=run)
    assert result.stderr == "1 picture; the report is out/compare.html\n"
    data = read(run / "out" / "compare.html").data()
    assert data["runs"] == ["out", "out"]
    assert data["records"][0][10][2] == 0


def test_the_browser_is_opened(run: Path) -> None:
    browser = run / "browser.sh"
    browser.write_text('#!/bin/sh\necho "$1" > opened.txt\n', encoding="utf-8")
    browser.chmod(0o755)
    result = gradcam("report", "out", "--open", cwd=run, env={"BROWSER": str(browser)})
    assert result.returncode == 0, result.stderr
    opened = (run / "opened.txt").read_text(encoding="utf-8").strip()
    assert opened == (run / "out" / "report.html").as_uri()


def test_a_run_with_another_s_page_in_its_place_is_refused_before_it_starts(tmp_path: Path) -> None:
    theirs = tmp_path / "report.html"
    theirs.write_text("mine", encoding="utf-8")
    error = refusal("run", SAMPLES, *LITE0, "-o", tmp_path, "--report")
    assert "is not a report of gradcam's" in error.message
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_third_run_is_refused(tmp_path: Path) -> None:
    said = problem(gradcam("report", "a", "b", "c", cwd=tmp_path))
    assert "name one or two folders" in said


def test_shards_become_one_page(tmp_path: Path) -> None:
    out = manifest(tmp_path / "out", failed("a"), done("b"), name="manifest-1-of-2.jsonl")
    manifest(out, done("c", maps=[heatmap(reason="all negative")]), name="manifest-2-of-2.jsonl")
    with (out / "manifest-1-of-2.jsonl").open("a", encoding="utf-8") as file:
        file.write(done("a", guess("cat")).to_json() + "\n" + failed("b").to_json())
    result = gradcam("report", "out", cwd=tmp_path)
    assert result.stderr == "3 pictures, 1 with an empty map; the report is out/report.html\n"
    rows = read(out / "report.html").data()["records"]
    assert [row[0] for row in rows] == ["a", "b", "c"]
    assert all(len(row) < 7 for row in rows), "none failed in the end"


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    item = heatmap(files={"overlay": "gone.jpg"})
    manifest(tmp_path / "a", done("a", maps=[item, item]))
    manifest(tmp_path / "b", done("b"))
    result = gradcam("report", "a", "b", cwd=tmp_path)
    first, second, last = result.stderr.splitlines()
    assert first.startswith("warning: 2 maps without an overlay: the files are not in the folder")
    assert second == "warning: a and b have no picture in common"
    assert last == "1 picture; the report is a/compare.html"


def test_overlays_that_were_never_written_are_drawn(tmp_path: Path) -> None:
    words = ("run", SAMPLES / "cat.jpg", *LITE0, "--save", "panel", "-o", "out", "--report")
    result = gradcam(*words, cwd=tmp_path)
    assert "1 overlay drawn again from its map" in result.stderr
    (row,) = read(tmp_path / "out" / "report.html").data()["records"]
    key = row[4][0][7]
    small = tmp_path / "out" / "report_files" / key[:2] / f"{key}.webp"
    again = tmp_path / "again"
    gradcam("run", SAMPLES / "cat.jpg", *LITE0, "-o", again, cwd=tmp_path)
    (overlay,) = records(again)[0]["explanations"]
    drawn, written = (
        np.asarray(Image.open(path).convert("RGB"), float)
        for path in (small, again / overlay["files"]["overlay"])
    )
    assert drawn.shape == written.shape
    assert np.abs(drawn - written).mean() < 4, "but for what WebP and JPEG lose"


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, message in (("empty", "has no manifest"), ("nowhere", "cannot read nowhere")):
        said = problem(gradcam("report", folder, cwd=tmp_path))
        assert message in said
        assert "hint: name the output folder of a run" in said
        assert not (tmp_path / folder / "report.html").exists()


def test_a_damaged_manifest_is_shown_as_far_as_it_is_sound(tmp_path: Path) -> None:
    broken = manifest(tmp_path / "broken", done("a"))
    path = broken / "manifest.jsonl"
    content = "{}\n" + path.read_text(encoding="utf-8")
    path.write_text(content, encoding="utf-8")
    result = gradcam("report", "broken", cwd=tmp_path)
    assert result.returncode == 0
    warning, sentence = result.stderr.splitlines()
    assert warning.startswith("warning: line 1 of broken/manifest.jsonl is damaged")
    assert sentence.startswith("1 picture;")
    assert path.read_text(encoding="utf-8") == content


def test_somebody_s_file_stays(tmp_path: Path) -> None:
    out = manifest(tmp_path / "out", done("a"))
    theirs = out / "report.html"
    theirs.write_text("my own report", encoding="utf-8")
    said = problem(gradcam("report", "out", cwd=tmp_path))
    assert "out/report.html is there and is not a report of gradcam's" in said
    assert "-o" in said
    before = (out / "manifest.jsonl").read_bytes()
    said = problem(gradcam("report", "out", "-o", "out/manifest.jsonl", cwd=tmp_path))
    assert "not a report" in said
    assert theirs.read_text(encoding="utf-8") == "my own report"
    assert (out / "manifest.jsonl").read_bytes() == before


def test_an_output_s_name_in_the_configuration_is_not_taken_for_the_page(tmp_path: Path) -> None:
    manifest(tmp_path / "out", done("a"))
    (tmp_path / "gradcam.toml").write_text('output = "classes"\n', encoding="utf-8")
    assert gradcam("report", "out", cwd=tmp_path).returncode == 0
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (tmp_path / "classes").exists()


def test_a_report_needs_no_tensorflow(tmp_path: Path) -> None:
    manifest(tmp_path / "out", done("a", maps=[heatmap(reason="all negative")]))
    code = (
        "import sys\nfrom gradcam_cli.cli import main\nsys.argv = ['gradcam', 'report', 'out']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    print(end.code, [m for m in ('tensorflow', 'keras', 'h5py') if m in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout == "0 []\n"
