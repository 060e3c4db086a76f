from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.errors import GradcamError
from gradcam_cli.spec.parsers import batch_size, named_file, numbers, part, several, size


@pytest.mark.parametrize(
    ("parse", "typed", "value"),
    [
        (numbers("--mean"), "", ()),
        (numbers("--mean"), "1", (1.0,)),
        (numbers("--mean"), " 1.5, -2 3e1 ", (1.5, -2.0, 30.0)),
        (named_file, "age=a=b.npy", ("age", Path("a=b.npy"))),
        (size, "", None),
        (size, " 224 ", (224, 224)),
        (size, "224x320", (224, 320)),
        (size, "1,8192", (1, 8192)),
        (several, "overlay", ("overlay",)),
        (several, " Overlay, array\theatmap,overlay ", ("array", "heatmap", "overlay")),
        (several, "", ()),
        (part, "", None),
        (part, "2/3", (2, 3)),
        (part, " 1 / 1 ", (1, 1)),
        (batch_size, "auto", "auto"),
        (batch_size, "16", 16),
    ],
)
def test_what_is_typed_becomes_a_value(
    parse: Callable[[str], Any], typed: str, value: object
) -> None:
    assert parse(typed) == value


@pytest.mark.parametrize(
    ("parse", "typed"),
    [
        *[(numbers("--std"), typed) for typed in ("a", "1;2", "1,b")],
        *[(named_file, typed) for typed in ("age", "=a.npy", "age=")],
        *[(size, typed) for typed in ("0", "x", "1x", "8193", "224x0", "-1", "1x2x3", "2.5")],
        *[(part, typed) for typed in ("0/3", "4/3", "1", "a/b", "1/2/3", "-1/2", "1/9999999")],
        *[(batch_size, typed) for typed in ("0", "-1", "", "many", "1.5", "Auto")],
    ],
)
def test_what_cannot_be_read_is_said_with_an_example(
    parse: Callable[[str], Any], typed: str
) -> None:
    with pytest.raises(GradcamError, match=r"^--") as caught:
        parse(typed)
    assert "e.g." in caught.value.hint
    assert repr(typed) in caught.value.message
