"""What is asked of a model, in as few words as tests need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradcam_cli.spec.explain import ExplainSpec


def ask(top: int = 0, fixed: Sequence[int] = (), **more: Any) -> ExplainSpec | None:
    """Ask for the ``top`` likeliest classes and some by index; for none, predictions only."""
    classes = [f"top{top}"] if top else []
    classes += [f"index:{index}" for index in fixed]
    for name in ("layer", "method"):
        if name in more:
            more[f"{name}s"] = (more.pop(name),)
    return ExplainSpec(tuple(classes), **more) if classes else None
