from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np
import pytest

from gradcam_cli.gate.compare import Frame
from gradcam_cli.gate.packed import PackedMap, pack, unpack
from gradcam_cli.images.fit import Span


def frame(u: int, v: int) -> Frame:
    return Frame(Span(0.5 / u, 1 / u, 0, 1), Span(0.5 / v, 1 / v, 0, 1))


def packed(u: int, v: int, seed: int = 0) -> tuple[np.ndarray, PackedMap]:
    raw = np.random.default_rng(seed).normal(size=(u, v)).astype(np.float32)
    return raw, pack(raw, frame(u, v))


@pytest.mark.parametrize(("size", "levels"), [((7, 7), 65535), ((14, 18), 65535), ((30, 30), 255)])
def test_a_map_comes_back_up_to_half_a_level(size: tuple[int, int], levels: int) -> None:
    raw, stored = packed(*size)
    found = unpack(stored)
    assert found is not None
    step = (raw.max() - raw.min()) / levels
    np.testing.assert_allclose(found, raw, atol=0.51 * step + 2e-6 * np.abs(raw).max())


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (14, 14), (32, 32), (56, 56), (250, 3)])
def test_a_map_costs_about_a_kilobyte_at_most(size: tuple[int, int]) -> None:
    raw, stored = packed(*size)
    line = msgspec.json.encode(stored)
    assert len(line) < 1700
    assert msgspec.json.decode(line, type=PackedMap) == stored
    assert stored.grid == raw.shape


def test_a_fine_map_is_averaged_over_whole_blocks() -> None:
    raw, stored = packed(64, 96)
    assert stored.shape == (32, 32)
    found = unpack(stored)
    assert found is not None
    mean = raw.reshape(32, 2, 32, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found, mean, atol=(mean.max() - mean.min()) / 255)
    assert stored.frame.rows == pytest.approx((1 / 64, 1 / 32, 0, 1), abs=1e-6)
    assert stored.frame.columns == pytest.approx((1 / 64, 1 / 32, 0, 1), abs=1e-6)


def test_flat_and_infinite_maps() -> None:
    for value in (0.0, -3.5):
        found = unpack(pack(np.full((4, 4), value, np.float32), frame(4, 4)))
        np.testing.assert_array_equal(found, np.full((4, 4), value))
    for value in (np.nan, np.inf):
        raw = np.full((4, 4), 1, np.float32)
        raw[1, 2] = value
        assert unpack(pack(raw, frame(4, 4))) is None


def test_the_digest_tells_the_last_bit() -> None:
    raw, stored = packed(7, 7)
    again = pack(raw.copy(), frame(7, 7))
    assert again == stored
    raw[3, 3] = np.nextafter(raw[3, 3], np.float32(np.inf))
    assert pack(raw, frame(7, 7)).digest != stored.digest


@pytest.mark.parametrize(
    "change",
    [
        {"cells": "not base64"},
        {"cells": base64.b64encode(b"x" * 97).decode()},
        {"low": 2.0, "high": 1.0},
        {"rows": (0.1, 0.0, 0.0, 1.0)},
    ],
)
def test_what_cannot_have_been_packed_is_refused(change: dict[str, Any]) -> None:
    _, stored = packed(7, 7)
    values = {**msgspec.to_builtins(stored), **change}
    with pytest.raises(ValueError, match=r"\w"):
        unpack(msgspec.convert(values, PackedMap))
