"""The zoo becomes the table in docs/models.md: ``python -m tests.zoo.table`` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from tests.zoo import CASES, Case

__all__ = ["PAGE", "filled", "table"]

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
_MARKED = re.compile(r"(<!-- generated: structures -->\n).*?(<!-- end -->)", re.DOTALL)


def table() -> str:
    """Return the table, one row a case."""
    lines = [
        "| structure | layer asked for | automatic layer | `.h5` |",
        "| --- | --- | --- | --- |",
    ]
    lines += [_row(case) for case in CASES]
    return "\n".join(lines) + "\n"


def _row(case: Case) -> str:
    says = case.says.replace("|", "\\|")
    asked = f"`{case.layer}`" + (f", call {case.call}" if case.call else "")
    return f"| {says} | {asked} | `{case.default}` | {'no' if case.no_h5 else 'yes'} |"


def filled(page: str) -> str:
    """Return a page with the table between its markers brought up to date."""
    return _MARKED.sub(lambda match: f"{match[1]}{table()}{match[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
