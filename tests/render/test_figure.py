from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from gradcam_cli.render.colours import colour_table
from gradcam_cli.render.figure import figure
from gradcam_cli.spec.draw import DrawSpec
from tests.render.figures import a_drawing, a_map, opened


@pytest.mark.parametrize("colours", ["viridis", "jet"])
def test_every_cell_is_a_square_of_its_colour(colours: str) -> None:
    drawing = a_drawing([a_map(2)], spec=DrawSpec(figure_colormap=colours))
    raw = drawing.maps[0].raw
    heat = np.clip(raw, 0, None) / raw.max()
    whole = opened(figure(drawing))
    table = colour_table(colours).astype(int)
    expected = table[np.minimum((heat * 256).astype(int), 255)]
    hot = np.unravel_index(np.argmax(raw), raw.shape)
    rows, columns = np.nonzero((whole == table[255]).all(axis=2))
    # The hottest cell, but for the colour bar's end right of it.
    side = np.bincount(columns).max()
    wide = np.flatnonzero(np.bincount(columns) == side)
    left, top = wide.min(), rows[columns == wide.min()].min()
    x0, y0 = left - hot[1] * side, top - hot[0] * side
    for (row, column), colour in zip(np.ndindex(raw.shape), expected.reshape(-1, 3), strict=True):
        pixel = whole[int(y0 + (row + 0.5) * side), int(x0 + (column + 0.5) * side)]
        assert pixel.tolist() == colour.tolist()


def test_axes_count_cells_and_the_bar_runs_to_1() -> None:
    data = figure(a_drawing([a_map(2)], spec=DrawSpec(figure_format="svg")))
    texts = [each.text for each in ET.fromstring(data).iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:12] == [*"0123456", *"01234"]
    assert texts[-1] == "1.0"


@pytest.mark.parametrize(
    ("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_same_map_has_the_same_bytes(kind: str, start: bytes) -> None:
    drawing = a_drawing([a_map(2)], spec=DrawSpec(figure_format=kind))  # type: ignore[arg-type]
    data = figure(drawing)
    assert data.startswith(start)
    assert data == figure(drawing)
    assert b"CreationDate" not in data
