"""A map becomes a few hundred characters of JSON, and a map again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from typing import Annotated

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.gate.compare import Frame
from gradcam_cli.images.fit import Span

MOST_CELLS = 32
"""Rows or columns that are stored; finer maps are averaged to so many."""

_FINE = 256
"""Cells; up to so many have 65,536 levels, of more 256 do."""

_Number = Annotated[float, msgspec.Meta(ge=-1e38, le=1e38)]
_Share = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
_Side = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
_Stored = Annotated[int, msgspec.Meta(ge=1, le=MOST_CELLS)]


class PackedMap(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signed map as it is stored.

    ``grid`` is ``(u, v)`` of the layer, ``shape`` that of the stored cells, which lie at ``rows``
    and ``columns`` (first centre, step, lowest and highest edge that they see, as shares of the
    image). ``cells`` are base64 of levels from ``low`` to ``high``, uint8 or little-endian uint16;
    empty where the map is not finite. ``digest`` is of the float32 map.
    """

    grid: tuple[_Side, _Side]
    shape: tuple[_Stored, _Stored]
    rows: tuple[_Share, _Share, _Share, _Share]
    columns: tuple[_Share, _Share, _Share, _Share]
    low: _Number
    high: _Number
    cells: Annotated[str, msgspec.Meta(max_length=4096)]
    digest: Annotated[str, msgspec.Meta(max_length=64)]

    @property
    def frame(self) -> Frame:
        """Return where the stored cells lie."""
        return Frame(Span(*self.rows), Span(*self.columns))


def rounded(number: float) -> float:
    """Return a number with six significant digits."""
    return float(f"{number:.6g}")


def pack(raw: NDArray[np.float32], frame: Frame) -> PackedMap:
    """Return a signed map ``[u, v]`` as it is stored; one that is not finite has no cells."""
    u, v = raw.shape
    shape = min(u, MOST_CELLS), min(v, MOST_CELLS)
    small = raw.astype(np.float64)
    if shape != (u, v):
        small = np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_AREA))
        frame = Frame(
            _coarser(frame.rows, u / shape[0], u), _coarser(frame.columns, v / shape[1], v)
        )
    low = high = 0.0
    cells = b""
    if np.isfinite(small).all():
        low, high = rounded(float(small.min())), rounded(float(small.max()))
        kind, most = ("<u2", 65535) if small.size <= _FINE else ("u1", 255)
        share = (small - low) / (high - low) if high > low else np.zeros(small.shape)
        cells = np.rint(np.clip(share, 0, 1) * most).astype(kind).tobytes()
    return PackedMap(
        grid=(u, v),
        shape=shape,
        rows=_rounded(frame.rows),
        columns=_rounded(frame.columns),
        low=low,
        high=high,
        cells=base64.b64encode(cells).decode(),
        digest=hashlib.sha256(raw.astype("<f4").tobytes()).hexdigest()[:16],
    )


def unpack(packed: PackedMap) -> NDArray[np.float64] | None:
    """Return the stored cells; None where the map was not finite.

    Raises ValueError for what ``pack`` cannot have made.
    """
    count = packed.shape[0] * packed.shape[1]
    try:
        data = base64.b64decode(packed.cells, validate=True)
    except binascii.Error as error:
        raise ValueError("its cells are not base64") from error
    if not all(step > 0 and math.isfinite(step) for step in map(abs, _steps(packed))):
        raise ValueError("its cells lie on one another")
    if not packed.low <= packed.high:
        raise ValueError("its lowest value is above its highest")
    if not data:
        return None
    kind, most = ("<u2", 65535) if count <= _FINE else ("u1", 255)
    if len(data) != count * np.dtype(kind).itemsize:
        raise ValueError(f"it has {len(data)} bytes for {count} cells")
    levels = np.frombuffer(data, kind).reshape(packed.shape).astype(np.float64)
    return np.asarray(packed.low + levels * ((packed.high - packed.low) / most))


def _steps(packed: PackedMap) -> tuple[float, float]:
    return packed.rows[1], packed.columns[1]


def _coarser(span: Span, times: float, cells: int) -> Span:
    """Return where fewer, larger cells lie that share the edges of all; at most one a cell."""
    if times == 1 or cells == 1:
        return span
    start = span.first - span.step / 2
    step = span.step * times
    return Span(start + step / 2, step, span.low, span.high)


def _rounded(span: Span) -> tuple[float, float, float, float]:
    first, step, low, high = (round(float(value), 7) for value in span)
    return first, step, low, high
