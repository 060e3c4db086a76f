"""Where a map's cells lie becomes a few numbers of a record, and is known again later."""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_cli.images.fit import Cells, Span

_MOST = 1e6
_LEAST_STEP = 1e-3


def stated(
    network: tuple[int, int], grid: tuple[int, int], cells: Cells | None
) -> tuple[float, ...]:
    """Return where the cells of a map ``(u, v)`` lie in a network input ``(h, w)``, as numbers.

    They are h, w, u, v, and where it is known of the rows, then the columns: the first centre, the
    step to the next one, and from where to where they see, in pixels of the input.
    """
    spans = () if cells is None else (*cells.rows, *cells.columns)
    return (*network, *grid, *map(float, spans))


def known(
    numbers: Sequence[float], grid: tuple[int, int]
) -> tuple[tuple[int, int], Cells | None] | None:
    """Return the network's input ``(h, w)`` and where the cells of a map ``(u, v)`` lie in it.

    The map may be on another grid than the one that was ``stated``, over the same area. None for
    numbers that cannot be those of a map.
    """
    whole = all(-_MOST <= each <= _MOST for each in numbers)
    if not whole or len(numbers) not in (4, 12) or min(numbers[:4]) < 1:
        return None
    high, wide, rows, columns = map(int, numbers[:4])
    if len(numbers) == 4:
        return (high, wide), None
    spans = Span(*numbers[4:8]), Span(*numbers[8:12])
    if min(abs(each.step) for each in spans) < _LEAST_STEP:
        return None
    return (high, wide), Cells(
        _on_grid(spans[0], rows, grid[0]), _on_grid(spans[1], columns, grid[1])
    )


def _on_grid(span: Span, before: int, now: int) -> Span:
    """Return where another number of cells lies that shares the same way."""
    step = span.step * before / now
    return span._replace(first=span.first + (step - span.step) / 2, step=step)
