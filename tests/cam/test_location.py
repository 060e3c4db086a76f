from __future__ import annotations

import math
from typing import Any

import pytest

from gradcam_cli.cam.location import known, stated
from gradcam_cli.images.fit import Cells, Span

CELLS = Cells(Span(15.5, 16.0, 0.0, 224.0), Span(-3.0, -8.0, -7.0, 100.0))


def test_where_cells_lie_comes_back() -> None:
    numbers = stated((224, 160), (14, 9), CELLS)
    assert known(numbers, (14, 9)) == ((224, 160), CELLS)
    assert known(stated((32, 16), (4, 2), None), (4, 2)) == ((32, 16), None)


def test_cells_of_another_grid_share_the_same_way() -> None:
    numbers = stated((224, 160), (14, 9), CELLS)
    found = known(numbers, (7, 27))
    assert found is not None
    assert found[1] is not None
    rows, columns = found[1]
    # A cell of two has its centre between those, one of a third lies a third of a step further.
    assert (rows.first, rows.step) == (15.5 + 8, 32)
    assert columns.first == pytest.approx(-3 + 8 / 3)
    assert columns.first + columns.step == pytest.approx(-3)
    assert (rows.low, rows.high, columns.low, columns.high) == (0, 224, -7, 100)


@pytest.mark.parametrize(
    "numbers",
    [
        (),
        (224, 224, 7),
        (0, 224, 7, 7),
        (224, 224, 7, 7, 1.0, 1.0, 0.0),
        (224, 224, 7, 7, 16, 0.0, 0, 224, 16, 32, 0, 224),
        (224, 224, 7, 7, 16, 32, 0, math.inf, 16, 32, 0, 224),
        (224, 224, 7, 7, 16, 32, 0, math.nan, 16, 32, 0, 224),
        (10**400, 224, 7, 7),
        (1e300, 224, 7, 7),
    ],
)
def test_numbers_that_say_nothing_are_passed_by(numbers: Any) -> None:
    assert known(numbers, (7, 7)) is None
