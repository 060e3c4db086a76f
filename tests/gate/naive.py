"""The numbers of a comparison a second time: loops over cells, in plain Python floats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.gate.compare import Frame

Rows = Sequence[Sequence[float]] | NDArray[np.floating]


def flat(rows: Rows) -> list[float]:
    return [float(value) for row in rows for value in row]


def pearson(one: Rows, other: Rows) -> float:
    """Pearson 1895: the covariance over the product of the standard deviations."""
    a, b = flat(one), flat(other)
    n = len(a)
    mean_a, mean_b = math.fsum(a) / n, math.fsum(b) / n
    both = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    of_a = math.fsum((x - mean_a) ** 2 for x in a)
    of_b = math.fsum((y - mean_b) ** 2 for y in b)
    return both / math.sqrt(of_a * of_b)


def ranks(values: Sequence[float]) -> list[float]:
    """Each value's rank from 1 on; equal ones share the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def spearman(one: Rows, other: Rows) -> float:
    return pearson([ranks(flat(one))], [ranks(flat(other))])


def hottest(rows: Rows, share: float) -> set[int]:
    values = flat(rows)
    count = 0
    while count < share * len(values):  # the smallest whole number that is no less
        count += 1
    least = sorted(values, reverse=True)[count - 1]
    return {place for place, value in enumerate(values) if value >= least and value > 0}


def iou(one: Rows, other: Rows, share: float) -> float:
    a, b = hottest(one, share), hottest(other, share)
    return len(a & b) / len(a | b)


def centre(rows: Rows, frame: Frame) -> tuple[float, float]:
    mass = y = x = 0.0
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            mass += value
            y += value * (frame.rows.first + frame.rows.step * i)
            x += value * (frame.columns.first + frame.columns.step * j)
    return y / mass, x / mass


def drawn(rows: Rows, frame: Frame, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A map read bilinearly at the centres of cells that tile the image."""
    result = []
    for i in range(shape[0]):
        line = []
        for j in range(shape[1]):
            y, x = (i + 0.5) / shape[0], (j + 0.5) / shape[1]
            line.append(_read(rows, frame, y, x))
        result.append(line)
    return np.array(result)


def _read(rows: Rows, frame: Frame, y: float, x: float) -> float:
    if not (frame.rows.low <= y <= frame.rows.high):
        return 0.0
    if not (frame.columns.low <= x <= frame.columns.high):
        return 0.0
    down = (y - frame.rows.first) / frame.rows.step
    across = (x - frame.columns.first) / frame.columns.step
    total = 0.0
    for i in range(len(rows)):
        for j in range(len(rows[0])):
            total += float(rows[i][j]) * _tent(down, i, len(rows)) * _tent(across, j, len(rows[0]))
    return total


def _tent(at: float, place: int, count: int) -> float:
    nearest = min(max(at, 0.0), count - 1.0)
    return max(0.0, 1.0 - abs(nearest - place))
