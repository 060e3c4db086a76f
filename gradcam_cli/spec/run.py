"""All that is asked of a run, and the digest of what decides its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.setting import deciding


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What is asked of every image of a run; without ``explain``, predictions only."""

    model: ModelSpec = field(default_factory=ModelSpec)
    images: ImageSpec = field(default_factory=ImageSpec)
    explain: ExplainSpec | None = field(default_factory=ExplainSpec)
    draw: DrawSpec = field(default_factory=DrawSpec)

    def deciding(
        self, model: Mapping[str, object], files: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Return all settings that decide numbers or pixels, as JSON values.

        ``model`` is what stands for the model's own settings, its fingerprint, and ``files`` for
        those that name other files: each by its content.
        """
        values: dict[str, Any] = {"model": dict(model), **deciding(self.images)}
        if self.explain is not None:
            values |= deciding(self.explain) | deciding(self.draw) | dict(files or {})
        parsed: dict[str, Any] = json.loads(json.dumps(values))
        return parsed


def digest(settings: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that differ as soon as one setting does."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
