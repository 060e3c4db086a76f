"""``gradcam methods``: the METHODS table for people."""

from __future__ import annotations

from gradcam_cli.commands import say
from gradcam_cli.commands.options import Json


def methods(json: Json = False) -> None:
    """List the methods: what each answers and costs, its formula and paper."""
    from gradcam_cli.cam.methods import COSTS, METHODS

    if json:
        for name, method in METHODS.items():
            say.json_line(
                {
                    "name": name,
                    "title": method.title,
                    "needs": method.needs,
                    "cost": COSTS[method.needs],
                    "formula": method.formula,
                    "paper": method.paper,
                    "answers": method.answers,
                    "misleads": method.misleads,
                    "tokens": method.tokens,
                    "needs_pooled_head": method.needs_pooled_head,
                }
            )
        return
    rows = [
        (name, method.title, method.answers, COSTS[method.needs], method.paper)
        for name, method in METHODS.items()
    ]
    say.table(("name", "title", "shows", "cost", "paper"), rows)
