"""An overlay and its image's predictions, side by side in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.commands import say
from gradcam_cli.errors import GradcamError

if TYPE_CHECKING:
    from gradcam_cli.store.records import Record


_ROWS, _COLUMNS = 22, 60
"""The most of the terminal that an overlay takes."""
_LEAST, _BETWEEN = 16, 2
"""Columns beside a table that are worth an overlay, and those between them."""
_PIXELS = 1200
"""More than that many columns' worth; larger overlays are made smaller before they are sent."""


def check_shown(kinds: tuple[str, ...]) -> None:
    """Raise GradcamError where ``--save`` leaves out what ``--show`` shows."""
    if "overlay" not in kinds:
        raise GradcamError(
            "--show shows the overlay, which --save leaves out",
            f"--save {','.join(sorted({'overlay', *kinds}))}",
        )


def show(record: Record, folder: Path) -> bool:
    """Print a record's first overlay beside its predictions; return whether that was possible.

    It is not where standard output is no terminal, or one without colours, and for an image that
    failed or whose overlay is gone.
    """
    console = say.terminal()
    if record.failed or not console.is_terminal or console.color_system is None or console.no_color:
        return False
    names = (item.files.get("overlay") for item in record.explanations)
    name = next(filter(None, names), None)
    overlay = _opened(folder / name) if name else None
    if overlay is None:
        return False
    from rich.table import Table

    table = say.predicted(record)
    room = console.width - console.measure(table).maximum - 2 * _BETWEEN
    beside = Table.grid(padding=(0, _BETWEEN))
    with _asking():
        image = _image(overlay, room if room >= _LEAST else console.width)
        if room >= _LEAST:
            beside.add_row(image, table)
        else:
            beside.add_row(image)
            beside.add_row(table)
        say.titled(console, record.source)
        console.print(beside)
    return True


def _opened(path: Path) -> Any:
    from PIL import Image

    with suppress(OSError, Image.DecompressionBombError), Image.open(path) as file:
        file.draft("RGB", (_PIXELS, _PIXELS))
        image = file.convert("RGB")
        image.thumbnail((_PIXELS, _PIXELS))
        return image
    return None


def _image(overlay: Any, room: int) -> Any:
    """Return what draws an overlay with the best that the terminal can, which is asked for it."""
    from textual_image.renderable import Image

    across = 2 * _ROWS * overlay.width // overlay.height
    columns = max(1, min(across, _COLUMNS, room))
    return Image(overlay, width=columns, height="auto")


@contextmanager
def _asking() -> Iterator[None]:
    """Let the terminal be asked what it can only where its answer can be read."""
    listening = sys.__stdin__
    if not (listening and listening.isatty()):
        sys.__stdin__ = None  # type: ignore[misc]
    try:
        yield
    finally:
        sys.__stdin__ = listening  # type: ignore[misc]
