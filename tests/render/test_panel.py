from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradcam_cli.cam.maps import normalised
from gradcam_cli.images.fit import place, strips
from gradcam_cli.render.colours import blended, colour_table
from gradcam_cli.render.drawing import Drawing
from gradcam_cli.render.panel import panel, panel_page
from gradcam_cli.spec.draw import DrawSpec
from tests.render.figures import Pixels, a_drawing, a_map, opened, places, reads

GREY = "#5a5a5a"


def small(drawing: Drawing) -> Pixels:
    """Return the image at the size that the panel shows it in."""
    height, width = panel_page(drawing).pictures[0].pixels.shape[:2]
    way = cv2.INTER_AREA if width < drawing.pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(drawing.pixels, (width, height), interpolation=way), np.uint8)


@pytest.mark.parametrize("size", [(300, 400), (64, 64), (400, 90), (60, 500)])
def test_a_panel_shows_the_picture_and_each_class_on_it(size: tuple[int, int]) -> None:
    drawing = a_drawing([a_map(each) for each in range(3)], size=size)
    picture, whole = small(drawing), opened(panel(drawing))
    (original,) = places(picture, whole)
    found = [original]
    for shown in drawing.maps:
        fitted = place(picture.shape[:2], (224, 224))
        height, width = picture.shape[:2]
        heat = strips(normalised(shown.raw), fitted)
        found += places(blended(picture, heat, (0, 0, width, height)), whole)
    assert len(found) == 4
    assert found == sorted(found, key=lambda at: (at[1], at[0]))
    assert abs(width / height - size[1] / size[0]) < 0.1 * size[1] / size[0]


def test_intensity_blend_and_colours_are_those_asked_for() -> None:
    spec = DrawSpec(format="png", intensity=0.7, blend="mix", colormap="magma")
    drawing = a_drawing([a_map(4)], spec=spec)
    picture, whole = small(drawing), opened(panel(drawing))
    heat = strips(normalised(drawing.maps[0].raw), place(picture.shape[:2], (224, 224)))
    covered = (0, 0, picture.shape[1], picture.shape[0])
    assert len(places(blended(picture, heat, covered, 0.7, "mix", "magma"), whole)) == 1


def test_the_colour_bar_has_the_colours_of_the_table_hottest_first() -> None:
    drawing = a_drawing([a_map(0)], spec=DrawSpec(format="png", colormap="turbo"))
    height = len(small(drawing))
    levels = [round(255 * (1 - row / (height - 1))) for row in range(height)]
    column = colour_table("turbo")[levels][:, np.newaxis]
    whole = opened(panel(drawing))
    found = places(np.repeat(column, 10, axis=1), whole)
    assert found
    assert min(x for x, _ in found) > places(small(drawing), whole)[0][0] + small(drawing).shape[1]


@pytest.mark.parametrize(
    ("probability", "number"), [(0.7973, "0.797"), (0.0001, "<0.001"), (None, "score 3.25")]
)
def test_a_class_has_its_name_rank_and_probability(probability: float | None, number: str) -> None:
    drawing = a_drawing([a_map(0), a_map(7, probability=probability)], {7: "Egyptian_Mau_$x$"})
    whole = opened(panel(drawing))
    ((_, name),) = reads("Egyptian Mau $x$", whole, 8)
    ((_, below),) = reads(f"rank 2: {number}", whole, 7, GREY)
    assert below > name
    assert reads("original", whole, 8)


def test_an_empty_map_is_called_so() -> None:
    whole = opened(panel(a_drawing([a_map(0, empty="all negative")])))
    assert reads("empty map: all negative", whole, 7, GREY)


def test_each_method_and_layer_has_rows_of_its_own() -> None:
    maps = [
        a_map(index, seed, method=method, layer=layer)
        for index in (3, 5)
        for seed, (method, layer) in enumerate(
            [("gradcam", "block_4"), ("gradcam", "block_5"), ("cam", "block_5")]
        )
    ]
    drawing = a_drawing(maps)
    whole = opened(panel(drawing))
    rows = [y for _, y in places(small(drawing), whole)]
    assert len(rows) == 3
    headings = ("Grad-CAM, layer block_4", "Grad-CAM, layer block_5", "CAM, layer block_5")
    for row, heading in zip(sorted(rows), headings, strict=True):
        lines = [line for line in panel_page(drawing).lines if line.text == heading]
        assert [line.bold for line in lines] == [True]
        assert 0 < row - 3 * lines[0].y < 20


def test_many_classes_fill_rows_of_the_same_length() -> None:
    drawing = a_drawing([a_map(each) for each in range(11)])
    whole, picture = opened(panel(drawing)), small(drawing)
    assert len(places(picture, whole)) == 1
    pictures = panel_page(drawing).pictures
    tops = [each.y for each in pictures if each.pixels.shape == picture.shape]
    assert [tops.count(top) for top in sorted(set(tops))] == [6, 6]


@pytest.mark.parametrize(("width", "kind"), [(120, "jpg"), (455, "png"), (960, "webp")])
def test_a_panel_is_as_wide_as_asked_for_and_three_times_as_sharp(width: int, kind: str) -> None:
    drawing = a_drawing([a_map(0)], spec=DrawSpec(format=kind, panel_width=width))  # type: ignore[arg-type]
    assert opened(panel(drawing)).shape[1] == 3 * width


def test_the_same_drawing_has_the_same_bytes() -> None:
    drawing = a_drawing([a_map(0), a_map(1)])
    assert panel(drawing) == panel(drawing)


@pytest.mark.parametrize(
    "name",
    [
        "x" * 10_000,
        "\x1b[31m\x00\r\n",
        "\u202eevil\u2069",
        "\ud800half",
        "$\\frac{$",
        "_",
        "\u0301",
    ],
)
def test_no_name_breaks_a_panel(name: str) -> None:
    whole = opened(panel(a_drawing([a_map(0), a_map(1)], {0: name})))
    assert whole.shape[0] < 2000
    assert reads("name 1", whole, 8)
