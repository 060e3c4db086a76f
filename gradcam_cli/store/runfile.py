"""``run.json``: all that was asked of a run, and what was decided before its first image."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gradcam_cli import __version__
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.store.records import SCHEMA_VERSION

_MOST_COMMANDS = 20
_MOST_CLASSES = 1_000_000
_BEGINNING = ["gradcam", "run"]
_PACKAGES = ("tensorflow", "keras", "opencv-python-headless", "numpy")

Classes = int | tuple[tuple[str, str], ...] | None
"""How many, or the id and the name of each."""


@dataclass(frozen=True, slots=True)
class RunFile:
    """What a run's folder says of how it was made.

    ``settings`` are all that decide numbers or pixels, with the model's files by their content;
    ``digest`` stands for them in every record. ``methods`` are those whose maps the folder has, of
    this run and earlier ones. ``decided`` has what was left to the machine:
    ``batch_size`` and ``precision``. ``versions`` are those of the program and its libraries.
    ``commands`` are the words of these runs as they were typed, each with the output folder last.
    ``classes`` are the model's own, None where they are not known, or ImageNet's.
    """

    settings: Mapping[str, Any]
    digest: str
    methods: tuple[str, ...] = ()
    decided: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()
    classes: Classes = None

    def after(self, before: RunFile | None) -> RunFile:
        """Return this run in a folder that has an earlier one with the same settings."""
        if before is None:
            return self
        new = {words[:-2] for words in self.commands}  # the folder may have been moved
        earlier = [words for words in before.commands if words[:-2] not in new]
        return replace(
            self,
            methods=tuple(dict.fromkeys((*before.methods, *self.methods))),
            commands=(*earlier, *self.commands)[-_MOST_COMMANDS:],
            classes=before.classes if self.classes is None else self.classes,
        )


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
            commands=_commands(values.get("commands", ())),
            classes=_classes(values.get("classes")),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _commands(value: Any) -> tuple[tuple[str, ...], ...]:
    """Return what was typed: anybody can write such a file, and people paste what it says."""
    lists = [each for each in value if isinstance(each, list) and each[:2] == _BEGINNING]
    return tuple(tuple(map(str, words)) for words in lists)


def _classes(value: Any) -> Classes:
    if value is None or isinstance(value, int):
        return value if value is None or 0 < value <= _MOST_CLASSES else None
    return tuple((str(identity), str(name)) for identity, name in value)


def write_run(path: Path, run: RunFile) -> None:
    """Write the file whole; raises GradcamError where that is not possible."""
    values = {
        "schema_version": SCHEMA_VERSION,
        "settings": run.settings,
        "digest": run.digest,
        "methods": list(run.methods),
        "commands": run.commands,
        **({} if run.classes is None else {"classes": run.classes}),
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
