"""What is asked of a run goes into a baseline's head, and comes out of it again.

Files are named by their path from the baseline's folder. What runs code (``--custom-objects``,
``--unsafe-load``) is never taken from a file that somebody else may have written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradcam_cli.errors import GradcamError
from gradcam_cli.models.choice import is_file, is_handle
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.parsers import size
from gradcam_cli.spec.run import RunSpec
from gradcam_cli.spec.setting import plain, settings
from gradcam_cli.text import encodable

Given = Mapping[str, Mapping[str, Any]]
"""Settings by group (``model``, ``images``, ``explain``) and name."""

_GROUPS: Mapping[str, type] = {"model": ModelSpec, "images": ImageSpec, "explain": ExplainSpec}
_LEFT_OUT = ("custom_objects", "unsafe_load", "batch_size")
"""What runs code, and what decides the last bits only."""
_OF_ONE_MODEL = ("weights", "seed", "architecture")
"""Settings that belong to the model that they were given with, and to no other."""

_FILES = ("./", "../", "/")
"""How the path of a file begins in a head; a model's name never does."""
_MAY_BE_FILES = ("model", "weights", "labels", "architecture", "target", "like")


def to_folder(path: str | Path, folder: Path) -> str:
    """Return a file's path as it is seen from a folder; bytes that are not UTF-8 are escaped."""
    return encodable(os.path.relpath(os.fspath(path), folder).replace(os.sep, "/"))


def from_folder(path: str, folder: Path) -> Path:
    """Return the file at a path as it is seen from a folder."""
    return Path(os.path.normpath(folder / path))


def asked_of(spec: RunSpec, folder: Path) -> dict[str, dict[str, Any]]:
    """Return all settings of a check, as JSON values; files as seen from ``folder``."""

    def value(name: str, given: Any) -> Any:
        own_file = (name == "model" and is_file(given)) or (
            name == "weights" and given not in ("imagenet", "random")
        )
        if isinstance(given, Path) or own_file:
            path = to_folder(given, folder)
            return path if path.startswith(_FILES) else f"./{path}"
        if isinstance(given, tuple):
            return [value("", each) for each in given]
        return encodable(given) if isinstance(given, str) else given

    groups = {"model": spec.model, "images": spec.images, "explain": spec.explain}
    return {
        group: {
            name: value(name, given)
            for name in settings(type(values))
            if name not in _LEFT_OUT
            for given in [getattr(values, name)]
        }
        for group, values in groups.items()
        if values is not None
    }


def spec_of(asked: Given, folder: Path, given: Given) -> RunSpec:
    """Return what a baseline's head asks for, with what the user ``given`` in its place.

    Raises GradcamError for settings that this version does not know, or that are not valid.
    """
    model = dict(asked.get("model", {}))
    if "model" in given.get("model", {}):
        dropped = ("model", *_OF_ONE_MODEL)
        model = {name: value for name, value in model.items() if name not in dropped}
    try:
        spec = RunSpec(
            model=ModelSpec(**_values("model", _found(model, folder))),
            images=ImageSpec(**_values("images", asked.get("images", {}))),
            explain=ExplainSpec(**_values("explain", _found(asked.get("explain", {}), folder))),
        )
    except (TypeError, ValueError) as error:
        raise GradcamError(
            f"the baseline's settings are not valid: {str(error)[:200]}",
            "make it again with `gradcam baseline`",
        ) from None
    return RunSpec(
        model=replace(spec.model, **given.get("model", {})),
        images=replace(spec.images, **given.get("images", {})),
        explain=spec.explain and replace(spec.explain, **given.get("explain", {})),
    )


def _found(group: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a group's settings with the paths of its files as seen from here."""

    def value(name: str, given: Any) -> Any:
        if name == "inputs" and isinstance(given, list):
            return tuple((str(key), from_folder(str(path), folder)) for key, path in given)
        if name == "input_size" and isinstance(given, list):
            return size("x".join(map(str, given)))
        if name in _MAY_BE_FILES and isinstance(given, str) and given.startswith(_FILES):
            return os.fspath(from_folder(given, folder))
        return given

    name = str(group.get("model", ""))
    if "://" in name or is_handle(name):
        raise GradcamError(
            f"the baseline was made with the model at {name[:200]}",
            "name it with -m: no address is taken from a file",
        )
    return {name: value(name, given) for name, given in group.items()}


def _values(group: str, values: Mapping[str, Any]) -> dict[str, Any]:
    known = set(settings(_GROUPS[group])) - set(_LEFT_OUT)
    unknown = sorted(set(values) - known)
    if unknown:
        raise GradcamError(
            f"the baseline sets {unknown[0][:60]!r}, which this version of gradcam does not know",
            "use the version that made it, or make it again with `gradcam baseline`",
        )
    return plain(_GROUPS[group], values)
