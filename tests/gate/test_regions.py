from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_masks

from gradcam_cli.errors import GradcamError
from gradcam_cli.gate.regions import Regions, read_regions
from gradcam_cli.sources.find import Found

SIZE = (300, 400)
"""Of the image: height, width."""
BOX = (100, 60, 300, 240)
"""Left, top, right, bottom in its pixels."""

VOC = """<annotation><filename>a.jpg</filename><size><width>400</width><height>300</height>
<depth>3</depth></size><object><name>cat</name><bndbox><xmin>101</xmin><ymin>61</ymin>
<xmax>300</xmax><ymax>240</ymax></bndbox></object></annotation>"""
LABELME: dict[str, Any] = {
    "version": "5.0",
    "imagePath": "a.jpg",
    "imageData": None,
    "imageWidth": 400,
    "imageHeight": 300,
    "shapes": [{"label": "cat", "shape_type": "rectangle", "points": [[100, 60], [300, 240]]}],
}
COCO: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 400, "height": 300}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [100, 60, 200, 180]}],
    "categories": [{"id": 1, "name": "cat"}],
}


def naive_mask(cells: int = 100) -> np.ndarray:
    """How much of each cell the box covers: one overlap a cell, side by side."""
    left, top, right, bottom = BOX
    height, width = SIZE
    result = np.zeros((cells, cells))
    for i in range(cells):
        for j in range(cells):
            y0, y1 = i * height / cells, (i + 1) * height / cells
            x0, x1 = j * width / cells, (j + 1) * width / cells
            down = max(0.0, min(y1, bottom) - max(y0, top)) / (y1 - y0)
            across = max(0.0, min(x1, right) - max(x0, left)) / (x1 - x0)
            result[i, j] = down * across
    return result


def mask_file(path: Path, size: tuple[int, int] = SIZE) -> None:
    mask = np.zeros(size, np.uint8)
    left, top, right, bottom = (round(each * size[0] / SIZE[0]) for each in BOX)
    mask[top:bottom, left:right] = 255
    cv2.imwrite(str(path), mask)


def write(folder: Path, kind: str) -> Path:
    if kind == "voc":
        (folder / "a.xml").write_text(VOC, encoding="utf-8")
    elif kind == "labelme":
        (folder / "a.json").write_text(json.dumps(LABELME), encoding="utf-8")
    elif kind == "coco":
        (folder / "instances.json").write_text(json.dumps(COCO), encoding="utf-8")
    elif kind == "coco's runs":
        left, top, right, bottom = BOX
        mask = np.zeros(SIZE, np.uint8)
        mask[top:bottom, left:right] = 1
        (folder / "instances.json").write_text(of_a(plain_runs(mask)), encoding="utf-8")
    elif kind == "mask":
        mask_file(folder / "a.png")
    return folder


def of_a(segmentation: Any) -> str:
    return json.dumps({**COCO, "annotations": [{"image_id": 7, "segmentation": segmentation}]})


def plain_runs(mask: np.ndarray) -> dict[str, Any]:
    """How many pixels lie outside, inside, outside ..., column by column."""
    runs = [(value, len(list(run))) for value, run in itertools.groupby(mask.T.ravel().tolist())]
    counts = [length for _, length in runs]
    return {"counts": [0, *counts] if runs[0][0] else counts, "size": SIZE}


IMAGE = Found(Path("photos/a.jpg"), "photos/a.jpg")


@pytest.mark.parametrize("kind", ["voc", "labelme", "coco", "coco's runs", "mask"])
def test_a_box_is_the_same_in_every_format(kind: str, tmp_path: Path) -> None:
    found = Regions(write(tmp_path, kind), [IMAGE])(IMAGE, SIZE, 100)
    assert found is not None
    np.testing.assert_allclose(found, naive_mask(), atol=0.01)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999, 1])
def test_compressed_runs_are_unpacked_as_pycocotools_packs_them(
    share: float, tmp_path: Path
) -> None:
    mask = (np.random.default_rng(0).random(SIZE) < share).astype(np.uint8)
    packed = coco_masks.encode(np.asfortranarray(mask))
    packed["counts"] = packed["counts"].decode()
    found: list[Any] = []
    for name, segmentation in (("plain", plain_runs(mask)), ("packed", packed)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "instances.json").write_text(of_a(segmentation), encoding="utf-8")
        found.append(Regions(tmp_path / name, [IMAGE])(IMAGE, SIZE, 100))
    np.testing.assert_array_equal(found[1], found[0])
    assert found[1].mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("size", [(30, 40), (150, 200), (600, 800)])
def test_masks_and_images_may_be_scaled(size: tuple[int, int], tmp_path: Path) -> None:
    mask_file(tmp_path / "a.png", size)
    found = read_regions(tmp_path / "a.png", (900, 1200), 100)
    assert found.sum() == pytest.approx(naive_mask().sum(), rel=0.02)
    assert np.abs(found - naive_mask()).max() <= 1


def test_polygons_and_circles(tmp_path: Path) -> None:
    polygon = {"shape_type": "polygon", "points": [[0, 0], [400, 0], [0, 300]]}
    circle = {"shape_type": "circle", "points": [[200, 150], [200, 250]]}
    for shape, share in ((polygon, 0.5), (circle, np.pi * 100**2 / (300 * 400))):
        (tmp_path / "a.json").write_text(json.dumps({**LABELME, "shapes": [shape]}))
        assert read_regions(tmp_path / "a.json", SIZE, 100).mean() == pytest.approx(share, abs=0.01)
    flat = {**COCO["annotations"][0], "segmentation": [[0, 0, 400, 0, 0, 300]]}
    (tmp_path / "coco.json").write_text(json.dumps({**COCO, "annotations": [flat]}))
    (tmp_path / "a.json").unlink()
    found = Regions(tmp_path, [IMAGE])(IMAGE, SIZE, 100)
    assert found is not None
    assert found.mean() == pytest.approx(0.5, abs=0.01)


def test_regions_that_overlap_count_once(tmp_path: Path) -> None:
    shapes = LABELME["shapes"] * 2
    (tmp_path / "a.json").write_text(json.dumps({**LABELME, "shapes": shapes}))
    found = read_regions(tmp_path / "a.json", SIZE, 100)
    np.testing.assert_allclose(found, naive_mask(), atol=0.01)


def test_the_file_with_most_of_the_folders_goes_with_an_image(tmp_path: Path) -> None:
    write(tmp_path, "voc")
    (tmp_path / "photos").mkdir()
    mask = np.full(SIZE, 255, np.uint8)
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), mask)
    other = Found(Path("x/a.jpg"), "x/a.jpg")
    regions = Regions(tmp_path, [IMAGE, other])
    assert regions(IMAGE, SIZE, 10).min() > 0.999  # type: ignore[union-attr]
    assert regions(other, SIZE, 10).min() == 0  # type: ignore[union-attr]


def test_images_without_regions(tmp_path: Path) -> None:
    write(tmp_path, "voc")
    other = Found(Path("b.jpg"), "b.jpg")
    assert Regions(tmp_path, [IMAGE, other])(other, SIZE, 10) is None
    with pytest.raises(GradcamError, match="goes with any of the images"):
        Regions(tmp_path, [other])
    with pytest.raises(GradcamError, match="not a folder"):
        Regions(tmp_path / "a.xml", [IMAGE])


def test_several_files_of_one_image(tmp_path: Path) -> None:
    write(tmp_path, "voc")
    write(tmp_path, "mask")
    with pytest.raises(GradcamError, match=r"several files .* a.png, a.xml|a.xml, a.png"):
        Regions(tmp_path, [IMAGE])


def test_an_image_is_not_its_own_mask(tmp_path: Path) -> None:
    write(tmp_path, "voc")
    mask_file(tmp_path / "a.png")
    image = Found(tmp_path / "a.png", "a.png")
    assert Regions(tmp_path, [image])(image, SIZE, 100) is not None


BROKEN: tuple[Any, ...] = (
    *(5, [5], [[None]], [[]], [[1, 2, 3]], {"counts": [], "size": SIZE}),
    *(
        {"counts": counts, "size": SIZE}
        for counts in ("a", "o0", "\u00e9", "P" * 9, [1], [-1, 120001], [10**30])
    ),
)
POINT = {"points": [[1, 2]], "shape_type": "point"}
BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><annotation><size>&b;</size></annotation>"""
FOREIGN = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<annotation><size><width>&a;</width></size></annotation>"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xml", ""),
        ("a.xml", "<annotation>"),
        ("a.xml", "<annotation/>"),
        ("a.xml", BOMB),
        ("a.xml", FOREIGN),
        ("a.xml", VOC.replace("<width>400", "<width>nan")),
        ("a.xml", VOC.replace("<width>400", "<width>300")),
        ("a.xml", VOC.replace("<xmin>101", "<xmin>inf")),
        ("a.json", "["),
        ("a.json", "[" * 100_000),
        ("a.json", json.dumps({**LABELME, "imageWidth": 0})),
        (
            "a.json",
            json.dumps({**LABELME, "shapes": [{"points": [[1, 2]], "shape_type": "point"}]}),
        ),
        ("a.json", json.dumps({**LABELME, "shapes": [{"points": [["x", 2]]}]})),
        ("a.json", json.dumps({**LABELME, "imageWidth": 4e-300, "imageHeight": 3e-300})),
        (
            "a.json",
            json.dumps({**LABELME, "shapes": [{"points": [[1e308, 0], [-1e308, 9], [0, 5]]}]}),
        ),
        ("coco.json", json.dumps({**COCO, "annotations": [{"image_id": 9}]})),
        ("coco.json", json.dumps({**COCO, "annotations": [{"image_id": 7}]})),
        (
            "coco.json",
            json.dumps({**COCO, "annotations": [{"image_id": 7, "segmentation": {"counts": "a"}}]}),
        ),
        *(("coco.json", of_a(each)) for each in BROKEN),
        ("coco.json", json.dumps({"images": [], "annotations": {}})),
        ("other.json", json.dumps({"images": []})),
        ("other.json", json.dumps([1, 2])),
        ("a.png", "no image"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(GradcamError, match="--regions") as caught:
        Regions(tmp_path, [IMAGE])(IMAGE, SIZE, 100)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_mask_of_a_very_long_image_takes_no_memory(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.tile(np.array([0, 255], np.uint8), (1, 3000)))
    tracemalloc.start()
    mask = read_regions(tmp_path / "a.png", (1, 6000), 100)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert mask == pytest.approx(np.full((100, 100), 0.5))
