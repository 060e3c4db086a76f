"""``run.json``: all that was asked of a run, and what was decided before its first image."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradcam_cli import __version__
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.store.records import SCHEMA_VERSION

_PACKAGES = ("tensorflow", "keras", "opencv-python-headless", "numpy")


@dataclass(frozen=True, slots=True)
class RunFile:
    """What a run's folder says of how it was made.

    ``settings`` are all that decide numbers or pixels, with the model's files by their content;
    ``digest`` stands for them in every record. ``methods`` are those whose maps the folder has, of
    this run and earlier ones. ``decided`` has what was left to the machine:
    ``batch_size`` and ``precision``. ``versions`` are those of the program and its libraries.
    """

    settings: Mapping[str, Any]
    digest: str
    methods: tuple[str, ...] = ()
    decided: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def run_name(manifest: str) -> str:
    """Return the name of the file beside a manifest: ``run.json``, or a shard's own."""
    return manifest.replace("manifest", "run", 1).removesuffix("l")


def read_run(path: Path) -> RunFile | None:
    """Return what a file says; None when there is none, or it is not whole."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return RunFile(
            settings=dict(values["settings"]),
            digest=str(values["digest"]),
            methods=tuple(map(str, values.get("methods", ()))),
            decided=dict(values["decided"]),
            versions=dict(values["versions"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_run(path: Path, run: RunFile) -> None:
    """Write the file whole; raises GradcamError where that is not possible."""
    values = {
        "schema_version": SCHEMA_VERSION,
        "settings": run.settings,
        "digest": run.digest,
        "methods": list(run.methods),
        "decided": run.decided,
        "versions": {
            "gradcam-cli": __version__,
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }
    write_bytes(path, (json.dumps(values, indent=2, sort_keys=True) + "\n").encode())


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two runs' settings, for people: ``intensity 0.4, now 0.5``."""
    said = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            said += differences(old, new)
        elif old != new:
            said.append(f"{name} {_shown(old)}, now {_shown(new)}")
    return said


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)
