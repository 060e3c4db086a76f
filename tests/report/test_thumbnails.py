from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gradcam_cli.render.again import Look
from gradcam_cli.report.thumbnails import FOLDER, Shown, Thumbnails
from tests.report.made import HEATS, Pixels, explained, failed, heatmap, pixels, written


def small(folder: Path, key: str) -> Pixels:
    data = np.frombuffer((folder / FOLDER / key[:2] / f"{key}.webp").read_bytes(), np.uint8)
    assert bytes(data[8:12]) == b"WEBP"
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / FOLDER).rglob("*") if path.is_file())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_picture_and_overlay_become_small_ones(out: Path) -> None:
    record = explained(out, "a.png")
    shown = Thumbnails(out, out / "report.html")(record)
    (overlay,) = record.digests.values()
    assert shown == Shown("../a.png", record.sha256[:16], (overlay,), 0)
    for key, seed in ((shown.image, 0), (shown.maps[0], 7)):
        apart = small(out, key).astype(float) - pixels(seed)
        assert np.abs(apart).mean() < 6


def test_large_pictures_are_made_smaller_with_their_proportions(out: Path) -> None:
    record = explained(out, "a.png")
    data = written(out / "a.png.top1.png", pixels(1, 300, 1200))
    record = replace(record, digests={})
    shown = Thumbnails(out, out / "report.html")(record)
    assert small(out, shown.maps[0]).shape == (100, 400, 3)
    assert len(data) > (out / FOLDER / shown.maps[0][:2] / f"{shown.maps[0]}.webp").stat().st_size


def test_they_are_made_once(out: Path) -> None:
    record = explained(out, "a.png")
    first = Thumbnails(out, out / "report.html")(record)
    before = [(path, path.stat().st_mtime_ns) for path in files(out)]
    assert len(before) == 2
    assert Thumbnails(out, out / "report.html")(record) == first
    assert [(path, path.stat().st_mtime_ns) for path in files(out)] == before


def test_only_the_very_picture_of_the_record_is_shown(out: Path) -> None:
    """A manifest may name any file of the machine, and a report may be passed on."""
    record = explained(out, "a.png")
    private = written(out.parent / "private.png", pixels(3))
    facts = (out.parent / "private.png").stat()
    wrong = [
        replace(record, source="private.png"),
        replace(record, source="private.png", size=len(private), mtime_ns=facts.st_mtime_ns),
        replace(record, source=str(out.parent / "private.png"), size=len(private)),
        replace(record, source="private.png", size=len(private), sha256=""),
        replace(record, source="private.png", size=len(private), sha256="  " + "a" * 62),
        replace(record, source="//host/share/private.png"),
        replace(record, source="nul\0byte"),
        replace(record, source="x" * 5000),
        replace(record, source=""),
    ]
    for each in wrong:
        shown = Thumbnails(out, out / "report.html")(each)
        assert (shown.original, shown.image) == ("", ""), each.source
    assert len(files(out)) == 1, "the overlay alone"


def test_an_overlay_that_somebody_changed_has_no_small_one(out: Path) -> None:
    record = explained(out, "a.png")
    written(out / "a.png.top1.png", pixels(5))
    assert Thumbnails(out, out / "report.html")(record).maps == ("",)
    (out / "a.png.top1.png").write_bytes(b"no picture")
    assert Thumbnails(out, out / "report.html")(replace(record, digests={})).maps == ("",)


def test_maps_that_nothing_shows_are_counted(out: Path) -> None:
    record = explained(out, "a.png")
    (item,) = record.explanations
    maps = [item, heatmap(files={"overlay": "b.png"}), heatmap(), heatmap(reason="all negative")]
    (out / "a.png.top1.png").unlink()
    shown = Thumbnails(out, out / "report.html")(replace(record, explanations=tuple(maps)))
    assert (shown.missing, shown.redrawn) == (2, 1)
    assert [bool(each) for each in shown.maps] == [True, False, False, False]
    assert shown.image == record.sha256[:16]
    (out.parent / "a.png").unlink()
    shown = Thumbnails(out, out / "report.html")(replace(record, explanations=tuple(maps)))
    assert (shown.missing, shown.redrawn, shown.maps) == (3, 0, ("", "", "", ""))


PLAIN = Look(colormap="gray", intensity=1, blend="mix")
"""Nothing but the heat, as levels of grey."""


@pytest.mark.parametrize("never", [True, False])
def test_an_overlay_that_is_not_there_is_drawn_from_its_map(out: Path, never: bool) -> None:
    record = explained(out, "a.png")
    (item,) = record.explanations
    item = replace(item, files={} if never else item.files, cells=(20, 20, 2, 2))
    (out / "a.png.top1.png").unlink()
    record = replace(record, explanations=(item, replace(item, heat=HEATS[2])))
    shown = Thumbnails(out, out / "report.html", PLAIN)(record)
    assert (shown.redrawn, shown.guessed, shown.missing) == (2, 0, 0)
    # Bilinear between four centres, of which one has 255 and all others nothing.
    down, across = (np.clip(np.linspace(-0.5, 1.5, 2 * n + 1)[1::2], 0, 1) for n in (30, 40))
    for key, heat in zip(
        shown.maps, (np.outer(1 - down, 1 - across), np.outer(down, across)), strict=True
    ):
        apart = small(out, key).astype(float) - 255 * heat[..., None]
        assert np.abs(apart).max() < 12
    before = [(path, path.stat().st_mtime_ns) for path in files(out)]
    assert Thumbnails(out, out / "report.html", PLAIN)(record) == shown
    assert [(path, path.stat().st_mtime_ns) for path in files(out)] == before, "once"
    changed = Thumbnails(out, out / "report.html", replace(PLAIN, colormap="jet"))(record)
    assert not set(changed.maps) & set(shown.maps)
    unknown = replace(record, explanations=(replace(item, cells=()),))
    assert Thumbnails(out, out / "report.html", PLAIN)(unknown).guessed == 1
    embedded = Thumbnails(out, out / "report.html", PLAIN, embed=True)(record)
    assert all(each.startswith("data:image/webp") for each in embedded.maps)


def test_overlays_of_many_images_are_drawn_again_small(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = explained(out, "a.png")
    data = written(out.parent / "a.png", pixels(1, 300, 1200))
    record = replace(record, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    (out / "a.png.top1.png").unlink()
    monkeypatch.setattr("gradcam_cli.report.thumbnails._MANY", 1)
    thumbnails = Thumbnails(out, out / "report.html")
    sides = [small(out, thumbnails(record).maps[0]).shape[1] for _ in range(3)]
    assert sides == [1000, 400, 400]


def test_a_link_that_leads_out_of_the_folder_is_not_followed(out: Path) -> None:
    record = explained(out, "a.png")
    (item,) = record.explanations
    (out / "a.png.top1.png").rename(out.parent / "elsewhere.png")
    (out / "a.png.top1.png").symlink_to(out.parent / "elsewhere.png")
    record = replace(record, explanations=(replace(item, heat=""),))
    assert Thumbnails(out, out / "report.html")(record).maps == ("",)


def test_embedded_pictures_are_data_and_no_file_is_written(out: Path) -> None:
    record = explained(out, "a.png")
    record = replace(record, explanations=2 * record.explanations)
    shown = Thumbnails(out, out / "report.html", embed=True)(record)
    assert shown.original == ""
    assert len(shown.maps) == 2
    for text, seed in ((shown.image, 0), (shown.maps[1], 7)):
        kind, _, data = text.partition(",")
        assert kind == "data:image/webp;base64"
        image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(np.asarray(image)[..., ::-1].astype(float) - pixels(seed)).mean() < 6
    assert not (out / FOLDER).exists()


def test_a_folder_that_cannot_be_written_is_shown_at_full_size(out: Path) -> None:
    (out / FOLDER).write_bytes(b"a file is in the way")
    thumbnails = Thumbnails(out, out.parent / "report.html")
    for name in ("a.png", "b.png"):
        assert thumbnails(explained(out, name)) == Shown(name, "", ("",), 0)
    assert thumbnails.fault.startswith("cannot write")


def test_no_small_picture_is_written_through_a_link(out: Path) -> None:
    elsewhere = out.parent / "elsewhere"
    elsewhere.mkdir()
    (out / FOLDER).symlink_to(elsewhere)
    thumbnails = Thumbnails(out, out.parent / "report.html")
    assert thumbnails(explained(out, "a.png")) == Shown("a.png", "", ("",), 0)
    assert "leads out of the folder" in thumbnails.fault
    assert not list(elsewhere.iterdir())


def test_a_failed_picture_shows_nothing(out: Path) -> None:
    assert Thumbnails(out, out / "report.html")(failed("a.png")) == Shown()


def test_an_old_picture_moved_with_its_folder_is_found(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = explained(out, "a.png")
    monkeypatch.chdir("/")
    assert Thumbnails(out, out / "report.html")(record).original == "../a.png"
    (out.parent / "a.png").rename(out.parent / "b.png")
    assert Thumbnails(out, out / "report.html")(record).original == ""
