"""``gradcam methods``: the METHODS table for people."""

from __future__ import annotations

from gradcam_cli.cam.methods import METHODS
from gradcam_cli.commands import say
from gradcam_cli.commands.options import Json


def methods(json: Json = False) -> None:
    """List the methods, their formulas and papers."""
    if json:
        for name, method in METHODS.items():
            row = {
                "name": name,
                "title": method.title,
                "formula": method.formula,
                "paper": method.paper,
                "needs_pooled_head": method.needs_pooled_head,
            }
            say.json_line(row)
        return
    rows = [(name, method.title, method.formula, method.paper) for name, method in METHODS.items()]
    say.table(("name", "title", "map", "paper"), rows)
