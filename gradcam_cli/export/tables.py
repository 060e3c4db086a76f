"""The rows of a table become a CSV or a Parquet file."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from gradcam_cli.errors import GradcamError
from gradcam_cli.export.rows import COLUMNS, Cell

_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What spreadsheets take for the beginning of a formula, wide forms included."""
_GROUP = 10_000
CSV_HEAD = (",".join(COLUMNS) + "\r\n").encode()


def as_csv(rows: Iterable[list[Cell]]) -> Iterator[bytes]:
    """Yield a CSV file (RFC 4180, UTF-8) in pieces.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    yield CSV_HEAD
    waiting = iter(rows)
    while group := list(islice(waiting, _GROUP)):
        text = io.StringIO(newline="")
        csv.writer(text).writerows([_harmless(cell) for cell in row] for row in group)
        yield text.getvalue().encode()


def _harmless(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return str(cell).lower()
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def as_parquet(rows: Iterable[list[Cell]]) -> bytes:
    """Return a Parquet file with a typed column each.

    Raises GradcamError where pyarrow is not installed, and for numbers beyond 64 bits.
    """
    arrow, parquet = _pyarrow()
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    schema = arrow.schema(
        [(name, kinds[kind]) for name, kind in COLUMNS.items()], metadata={"generator": "gradcam"}
    )
    sink = arrow.BufferOutputStream()
    waiting = iter(rows)
    try:
        with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            while group := list(islice(waiting, _GROUP)):
                columns = zip(*group, strict=True)
                arrays = [
                    arrow.array(list(column), field.type)
                    for column, field in zip(columns, schema, strict=True)
                ]
                writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
    except (arrow.ArrowException, OverflowError) as error:
        raise GradcamError(f"a record does not fit a Parquet table: {error}", "--to csv") from error
    return bytes(sink.getvalue())


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise GradcamError(
            "Parquet files need pyarrow, which is not installed",
            "pip install 'gradcam-cli[parquet]', or --to csv",
        ) from error
