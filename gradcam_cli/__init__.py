"""Grad-CAM heatmaps for Keras image classifiers.

``load`` a model, ``explain`` images with it, or ``run`` over many; importing this alone imports
nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradcam_cli.api import Explanation as Explanation
    from gradcam_cli.api import explain as explain
    from gradcam_cli.api import load as load
    from gradcam_cli.api import run as run
    from gradcam_cli.cam.answer import Answer as Answer
    from gradcam_cli.engine.steps import Failed as Failed
    from gradcam_cli.engine.steps import Prepared as Prepared
    from gradcam_cli.errors import GradcamError as GradcamError
    from gradcam_cli.models.load import Model as Model
    from gradcam_cli.spec.draw import DrawSpec as DrawSpec
    from gradcam_cli.spec.explain import ExplainSpec as ExplainSpec
    from gradcam_cli.spec.image import ImageSpec as ImageSpec
    from gradcam_cli.spec.model import ModelSpec as ModelSpec
    from gradcam_cli.spec.run import RunSpec as RunSpec

__version__ = "0.2.0"

_HOMES = {
    "Answer": "gradcam_cli.cam.answer",
    "DrawSpec": "gradcam_cli.spec.draw",
    "ExplainSpec": "gradcam_cli.spec.explain",
    "Explanation": "gradcam_cli.api",
    "Failed": "gradcam_cli.engine.steps",
    "GradcamError": "gradcam_cli.errors",
    "ImageSpec": "gradcam_cli.spec.image",
    "Model": "gradcam_cli.models.load",
    "ModelSpec": "gradcam_cli.spec.model",
    "Prepared": "gradcam_cli.engine.steps",
    "RunSpec": "gradcam_cli.spec.run",
    "explain": "gradcam_cli.api",
    "load": "gradcam_cli.api",
    "run": "gradcam_cli.api",
}
"""Every public name, and the module that it is imported from when it is asked for."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
