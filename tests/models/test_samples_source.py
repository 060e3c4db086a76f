from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "sample_images"


def table() -> dict[str, dict[str, str]]:
    """Return the README's table: a row by file name, a cell by column name."""
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]
    rows = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    return {row["file"].strip("`"): row for row in rows}


def test_every_picture_has_a_row_and_every_row_a_picture() -> None:
    pictures = sorted(path.name for path in FOLDER.iterdir() if path.suffix == ".jpg")
    assert sorted(table()) == pictures
    assert len(pictures) >= 12


def test_every_row_names_author_licence_and_source() -> None:
    free = ("CC0", "CC BY", "public domain", "BSD-3-Clause", "free of copyright", "unrestricted")
    for name, row in table().items():
        assert row["author"], name
        assert any(word in row["licence"] for word in free), name
        assert row["source"].startswith("`"), name


def test_pictures_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.jpg")) < 1_500_000
