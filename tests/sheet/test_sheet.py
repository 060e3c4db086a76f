from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cam.maps import normalised
from gradcam_cli.cli import app
from gradcam_cli.errors import GradcamError
from gradcam_cli.images.fit import place, strips
from gradcam_cli.render.colours import blended, colour_table
from gradcam_cli.render.page import Page, painted
from gradcam_cli.store.records import Failure, Record
from tests.render.figures import Pixels, inked, opened, places, reads
from tests.sheet.made import explained, flat, made, spots, stated

GREY = "#5a5a5a"


def sheet(*words: str | Path) -> None:
    app(["sheet", *map(str, words)], standalone_mode=False)


def refused(*words: str | Path) -> GradcamError:
    with pytest.raises(GradcamError) as caught:
        sheet(*words)
    return caught.value


def png(folder: Path, *words: str | Path) -> Pixels:
    sheet(folder, *words, "-o", folder / "out.png")
    return opened((folder / "out.png").read_bytes())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    sure = {"c.jpg": 0.5, "a.jpg": 0.7, "d.jpg": 0.2, "b.jpg": 0.9}
    maps = {
        source: [explained(folder, source, 281, known), explained(folder, source, 7, 1 - known)]
        for source, known in sure.items()
    }
    maps["e.jpg"] = [explained(folder, "e.jpg", 9, 0.99)]
    return made(folder, maps)


@pytest.mark.parametrize(
    ("order", "expected"), [("surest", "bacd"), ("least-sure", "dcab"), ("name", "abcd")]
)
def test_pictures_of_a_class_come_in_the_order_asked_for(
    run: Path, order: str, expected: str
) -> None:
    whole = png(run, "--class", "tabby", "--columns", "3", "--order", order)
    found = {name: spots(f"{name}.jpg.281.png", whole)[0] for name in "abcd"}
    assert sorted(found, key=lambda name: (found[name][1], found[name][0])) == list(expected)
    assert len({top for _, top, _, _ in found.values()}) == 2
    for _, _, width, height in found.values():
        assert abs(width / height - 60 / 40) < 0.02
        assert width == pytest.approx((595 - 48 - 16) / 3 * 3, abs=1)
    assert not spots("a.jpg.7.png", whole)
    assert not spots("e.jpg.9.png", whole)


def test_without_a_class_each_pictures_first_map_is_shown(run: Path) -> None:
    whole = png(run)
    assert all(spots(f"{name}.jpg.281.png", whole) for name in "abcd")
    assert spots("e.jpg.9.png", whole)
    assert reads("Egyptian cat, 0.990", whole, 7, GREY)


def test_a_sheet_has_title_captions_and_the_runs_colours(run: Path) -> None:
    whole = png(run, "--class", "281")
    assert len(reads("a.jpg", whole, 7, GREY)) == 1
    assert len(reads("0.900", whole, 7, GREY)) == 1
    levels = np.rint(np.linspace(0, 255, 270)).astype(int)
    bar = np.repeat(colour_table("turbo")[levels][np.newaxis], 12, axis=0)
    assert places(np.ascontiguousarray(bar), whole)
    titled = png(run, "--class", "281", "--title", "All my cats")
    assert titled.shape == whole.shape
    assert not np.array_equal(titled[:120, :500], whole[:120, :500])
    assert (png(run, "--class", "281", "--title", "")[:72, :500] == 255).all()
    ink = inked(whole[60:125, :600])
    assert ink.shape[0] < 60
    assert ink.shape[1] < 200


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--title", "HIGH"),
        ("--class", "tabby", "--title", ""),
        ("--by", "class"),
        (
            "--by",
            "class",
            "--columns",
            "2",
            "--title",
            "A TITLE THAT HAS NO PLACE IN ONE LINE",
        ),
        ("--class", "Egyptian cat", "--columns", "40", "--title", ""),
        ("--class", "Egyptian cat", "--columns", "1"),
    ],
)
def test_margins_are_the_same_on_all_sides(run: Path, words: tuple[str, ...]) -> None:
    whole = png(run, *words)
    rows, columns = np.nonzero((whole < 250).any(axis=2))
    sides = rows.min(), whole.shape[0] - 1 - rows.max(), columns.min()
    assert [side / 3 for side in sides] == pytest.approx([24, 24, 24], abs=2)
    assert 22 < (whole.shape[1] - 1 - columns.max()) / 3 < 30  # letters end where they end


@pytest.mark.parametrize("named", ["tabby", "Tabby", "n02123045", "281", "index:281"])
def test_a_class_is_named_as_everywhere(run: Path, named: str) -> None:
    assert spots("a.jpg.281.png", png(run, "--class", named))


def test_a_class_that_no_map_shows_is_refused(run: Path) -> None:
    error = refused(run, "--class", "lion")
    assert "lion" in error.message
    assert "tabby" in error.hint
    assert "282" in refused(run, "--class", "282").message


def test_by_class_each_has_a_row_the_largest_first(run: Path) -> None:
    whole = png(run, "--by", "class", "--columns", "3", "-c", "tabby", "-c", "Egyptian cat")
    found = [spots(f"{name}.jpg.281.png", whole)[0] for name in "bac"]
    assert found == sorted(found)
    (top,) = {spot[1] for spot in found}
    assert not spots("d.jpg.281.png", whole)
    assert spots("e.jpg.9.png", whole)[0][1] > top
    sheet(run, "--by", "class", "-o", run / "by.svg")
    assert texts(run / "by.svg").count("tabby (4)") == 1


def texts(path: Path) -> list[str]:
    found = ET.fromstring(path.read_bytes()).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(each.itertext()) for each in found]


def test_svg_has_its_text_as_text(run: Path) -> None:
    sheet(run, "--class", "گربه", "--columns", "2", "-o", run / "cats.svg")
    assert texts(run / "cats.svg")[0] == "گربه"
    assert texts(run / "cats.svg")[3:] == [
        *("d.jpg", "0.800", "c.jpg", "0.500", "a.jpg", "0.300", "b.jpg", "0.100"),
    ]


def test_beside_shows_the_picture_left_of_its_overlay(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run)
    for name in "abc":
        flat(Path(), f"{name}.jpg")
    stated(run)
    whole = png(Path(), "--class", "281", "--beside")
    for name in "abc":
        with Image.open(f"{name}.jpg") as image:
            shown = np.asarray(image.convert("RGB"))[0, 0].astype(int)
        near = (np.abs(whole.astype(int) - shown).max(axis=2) <= 1).nonzero()
        left, top, width, _ = spots(f"{name}.jpg.281.png", whole)[0]
        assert near[0].min() == top
        assert left - width <= near[1].max() < left
    said = capsys.readouterr().err
    assert "d.jpg shown as overlays alone" in said
    assert spots("d.jpg.281.png", whole)
    flat(Path(), "other.jpg")  # another picture in its place is not what was explained
    Path("other.jpg").replace("a.jpg")
    png(Path(), "--class", "281", "--beside")
    assert "a.jpg and 1 more shown as overlays alone" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("stored", ["array", "heat"])
def test_a_missing_overlay_is_drawn_from_its_map(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    pixels = np.asarray(
        cv2.resize(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8), (60, 50)), np.uint8
    )
    raw = rng.normal(size=(4, 4)).astype(np.float32)
    Image.fromarray(pixels).save("a.png")
    np.save("a.npy", raw)
    cells = np.rint(255 * np.clip(raw, 0, None) / raw.max()).astype(np.uint8)
    heat = f"4x4:{base64.b64encode(cells).decode()}"
    files = {"overlay": "gone.png", **({"array": "a.npy"} if stored == "array" else {})}
    sizes = dict.fromkeys(files, 1)
    row = explained(Path(), "a.png", 281, 0.5, files=files, sizes=sizes, heat=heat)
    shown = normalised(raw) if stored == "array" else np.float32(cells) / np.float32(255)
    left = explained(
        Path(), "b.png", 281, 0.5, files={"overlay": "never.png"}, sizes={"overlay": 1}
    )
    whole = png(made(tmp_path, {"a.png": [row], "b.png": [left]}), "--columns", "2")
    drawn = blended(
        pixels, strips(shown, place((50, 60), (4, 4))), (0, 0, 60, 50), 0.3, "mix", "turbo"
    )
    wide = int((595 - 48 - 8) / 2 * 3)
    size = (wide, round(50 * wide / 60))
    assert places(np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_CUBIC)), whole)
    said = " ".join(capsys.readouterr().err.split())
    assert "a.png drawn again from the map" in said
    assert "b.png left out" in said
    assert "1 map on" in said


def test_many_pictures_fill_pages(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    maps = {f"{n:02d}.jpg": [explained(folder, f"{n:02d}.jpg", 281, 0.5)] for n in range(40)}
    made(folder, maps)
    sheet(folder, "--columns", "3", "-o", tmp_path / "s.svg")
    files = sorted(tmp_path.glob("*.svg"))
    assert [each.name for each in files] == ["s-001.svg", "s-002.svg", "s-003.svg"]
    named = [[text for text in texts(each) if text.endswith(".jpg")] for each in files]
    assert [text for each in named for text in each] == sorted(maps)
    assert texts(files[1])[0] == "2"
    files[2].write_bytes(b"somebody's")
    assert "s-003.svg" in refused(folder, "--columns", "3", "-o", tmp_path / "s.svg").message
    assert files[2].read_bytes() == b"somebody's"
    sheet(folder, "--columns", "3", "-o", tmp_path / "s.pdf")
    data = (tmp_path / "s.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", data)) == 3
    sheet(folder, "--columns", "3", "-o", tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == data


def test_pages_of_an_earlier_sheet_do_not_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    maps = {f"{n:02d}.jpg": [explained(folder, f"{n:02d}.jpg", 281, 0.5)] for n in range(40)}
    made(folder, maps)

    def left(*words: str) -> list[str]:
        sheet(folder, *words, "-o", tmp_path / "s.svg")
        return sorted(each.name for each in tmp_path.iterdir() if each != folder)

    assert left("--columns", "2") == [f"s-{n:03d}.svg" for n in range(1, 8)]
    (tmp_path / "s-004.svg").write_text("<svg>somebody's</svg>")
    numbered = ["s-001.svg", "s-002.svg", "s-003.svg"]
    later = ["s-005.svg", "s-006.svg", "s-007.svg"]
    assert left("--columns", "3") == [*numbered, "s-004.svg", *later]
    assert "removed" not in capsys.readouterr().err
    (tmp_path / "s-004.svg").unlink()
    assert left("--columns", "8") == [*later, "s.svg"]
    assert "removed 3 pages of an earlier sheet" in capsys.readouterr().err
    (tmp_path / "s-004.svg").symlink_to(tmp_path / "s-007.svg")
    assert left("--columns", "3") == [*numbered, "s-004.svg", *later]


def test_methods_and_layers_are_said_where_a_run_has_several(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet(run, "-o", tmp_path / "one.svg")
    assert "CAM" not in " ".join(texts(tmp_path / "one.svg")) + capsys.readouterr().err
    kinds = [("layercam", "a"), ("layercam", "top/b"), ("gradcam", "a")]
    made(
        run,
        {
            f"{n}.jpg": [
                explained(run, f"{n}.jpg", 281, 0.5, method=method, layer=layer)
                for method, layer in kinds
            ]
            for n in range(30)
        },
    )
    for words, said in (
        ((), "LayerCAM, layer a"),
        (("--layer", "top/b"), "LayerCAM, layer top/b"),
        (("--method", "gradcam"), "Grad-CAM, layer a"),
    ):
        sheet(run, *words, "--columns", "2", "-o", tmp_path / "s.svg")
        assert f"30 maps ({said}) on" in " ".join(capsys.readouterr().err.split())
        for page in sorted(tmp_path.glob("s-*.svg")):
            assert texts(page)[-1] == said


def test_pictures_that_are_not_shown_are_counted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Record("bad.jpg", "failed", error=Failure("not-a-picture", "the file is not a picture"))
    bare = Record("bare.jpg", "ok", settings="abc")
    with (run / "manifest.jsonl").open("a") as file:
        file.writelines(f"{each.to_json()}\n" for each in (bad, bare))

    def said(*words: str) -> str:
        png(run, *words)
        return " ".join(capsys.readouterr().err.split())

    assert said().endswith("of 7 pictures, 1 failed and 1 has no map")
    assert said("-c", "tabby").endswith("of 7 pictures, 1 failed")


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    shortest = {
        "x/train/a/1.jpg": "x/train/a/1.jpg",
        "y/train/a/1.jpg": "y/train/a/1.jpg",
        "y/train/b/1.jpg": "b/1.jpg",
        "y/train/b/2.jpg": "2.jpg",
        "1.jpg": "1.jpg",
    }
    maps = {
        name: [explained(tmp_path, name.replace("/", "-"), 281, 0.5 - 0.01 * n)]
        for n, name in enumerate(shortest)
    }
    sheet(made(tmp_path, maps), "--columns", "2", "-o", tmp_path / "s.svg")
    shown = [each for each in texts(tmp_path / "s.svg") if each.endswith(".jpg")]
    assert shown == list(shortest.values())


def test_long_file_names_are_wrapped_and_keep_both_ends(tmp_path: Path) -> None:
    fits = "some_words_and_" * 4 + "end.jpg"
    long = "begin_" + "y" * 300 + "-the_end.jpg"
    maps = {
        name: [explained(tmp_path, f"{n}.jpg", 281, 0.5 - 0.1 * n)]
        for n, name in enumerate([fits, long])
    }
    sheet(made(tmp_path, maps), "--columns", "4", "-o", tmp_path / "s.svg")
    shown = texts(tmp_path / "s.svg")
    first, second = (shown.index(number) for number in ("0.500", "0.400"))
    start = next(n for n, each in enumerate(shown) if each.startswith("some"))
    assert "".join(shown[start:first]) == fits
    cut = shown[first + 1 : second]
    assert len(cut) == 4
    whole = "".join(cut)
    assert whole.count("…") == 1
    assert abs(whole.index("…") - len(whole) // 2) <= 2
    assert long.startswith(whole.split("…")[0])
    assert long.endswith(whole.split("…")[1])


def test_maps_of_another_method_are_shown_when_asked_for(tmp_path: Path) -> None:
    both = [explained(tmp_path, "a.jpg", 281, 0.5, method=name) for name in ("gradcam", "cam")]
    made(tmp_path, {"a.jpg": both})
    assert spots("a.jpg.281gradcam.png", png(tmp_path))
    assert spots("a.jpg.281cam.png", png(tmp_path, "--method", "cam"))
    assert "layercam" in refused(tmp_path, "--method", "layercam").message


def test_a_manifest_leads_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flat(tmp_path, "secret.png")
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "link.png"):
        row = explained(folder, "a.jpg", 281, 0.5, files={"overlay": name}, sizes={"overlay": 1})
        made(folder, {"a.jpg": [row]})
        assert "can be shown" in refused(folder, "-o", folder / "out.png").message
        assert not (folder / "out.png").exists()


def test_what_cannot_be_shown_replaces_no_sheet(run: Path, tmp_path: Path) -> None:
    sheet(run, "-o", tmp_path / "s.png")
    before = (tmp_path / "s.png").read_bytes()
    for each in run.glob("*.png"):
        each.unlink()
    assert "can be shown" in refused(run, "-o", tmp_path / "s.png").message
    assert (tmp_path / "s.png").read_bytes() == before


def test_only_pages_of_the_same_sheet_are_removed(run: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "fig-001.svg"
    drawn.write_text("<svg><!-- the pipeline of gradcam sheet --></svg>")
    sheet(run, "-o", tmp_path / "cat-001.png")
    sheet(run, "-o", tmp_path / "cat.png")
    sheet(run, "-o", tmp_path / "fig.svg")
    left = {"fig-001.svg", "fig.svg", "cat-001.png", "cat.png"}
    assert {each.name for each in tmp_path.iterdir() if each != run} == left


def test_a_panel_is_not_replaced_by_a_sheet(run: Path, tmp_path: Path) -> None:
    panel = painted(Page(100, 100), "png")
    (tmp_path / "cat.panel.png").write_bytes(panel)
    assert "not a sheet" in refused(run, "-o", tmp_path / "cat.panel.png").message
    assert (tmp_path / "cat.panel.png").read_bytes() == panel


def test_maps_that_are_shown_are_counted(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet(run, "--by", "class", "--columns", "2", "-o", tmp_path / "s.svg")
    shown = [text for text in texts(tmp_path / "s.svg") if text.endswith(".jpg")]
    assert len(shown) == 2 + 1  # of four and one
    assert f"{len(shown)} maps on" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["y" * 10_000, "\x1b[2J\u202e\n", "$\\frac{$", "<b>&"])
def test_no_name_breaks_a_sheet(tmp_path: Path, name: str) -> None:
    row = explained(tmp_path, "a.jpg", 281, 0.5, name=name)
    made(tmp_path, {f"{name}.jpg": [row]})
    for ending in ("png", "svg", "pdf"):
        sheet(tmp_path, "-o", tmp_path / f"s.{ending}")
    assert spots("a.jpg.281.png", opened((tmp_path / "s.png").read_bytes()))
    assert "\x1b" not in (tmp_path / "s.svg").read_text(encoding="utf-8")


def test_other_files_are_never_replaced(run: Path) -> None:
    for ending in ("png", "svg", "pdf"):
        path = run / f"theirs.{ending}"
        path.write_bytes(b"somebody's")
        assert "not a sheet" in refused(run, "-o", path).message
        path.unlink()
        sheet(run, "-o", path)
        sheet(run, "-o", path)
    assert "not a kind of sheet" in refused(run, "-o", run / "sheet.jpg").message


def test_mixed_settings_and_damage_are_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (run / "manifest.jsonl").read_text().splitlines()
    lines[0] = lines[0].replace('"settings": "abc"', '"settings": "def"')
    (run / "manifest.jsonl").write_text("\n".join([*lines, '{"schema_version": 2, "x"', ""]))
    png(run)
    said = " ".join(capsys.readouterr().err.split())
    assert "2 different settings" in said
    assert "line 6" in said


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    assert "no manifest" in refused(tmp_path).message
    made(tmp_path, {"a.jpg": []})
    assert "no map" in refused(tmp_path).message


def test_no_framework_is_imported(run: Path) -> None:
    code = (
        "import sys; from gradcam_cli.cli import app; "
        f"app(['sheet', {str(run)!r}], standalone_mode=False); "
        "print(sorted({'tensorflow', 'keras', 'h5py'} & {*sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
    assert (run / "sheet.png").exists()
