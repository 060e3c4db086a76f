"""What ``run.json`` says of a run becomes a command line to copy, and rows to read."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath

from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.setting import Setting, settings
from gradcam_cli.store.reading import manifests
from gradcam_cli.store.runfile import RunFile, read_run, run_name
from gradcam_cli.text import printable

_KINDS = (ModelSpec, ExplainSpec, DrawSpec, ImageSpec)


def read_settings(folder: Path) -> RunFile | None:
    """Return what a folder says of its run, that of its latest manifest; None without it."""
    try:
        paths = sorted(manifests(folder), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    except OSError:
        return None
    found = (read_run(folder / run_name(path.name)) for path in paths)
    return next((run for run in found if run is not None), None)


def command_line(run: RunFile, sources: Iterable[str]) -> str:
    """Return the command that such a run is made with, quoted for a shell.

    ``sources`` are the pictures: the folder that has them all stands for several. Only what differs
    from its default is said. Files are known by their content alone: those stand as they are.
    """
    common = _common(sources)
    words = ["gradcam", "run", f"./{common}" if common.startswith("-") else common]
    for kind in _KINDS:
        defaults = kind()
        for name, known in settings(kind).items():
            value = _value(run, name)
            if value is not None and _plain(value) != _plain(getattr(defaults, name)):
                words += _option(known, value)
    return " ".join(shlex.quote(printable(word)) for word in words)


def setting_rows(run: RunFile) -> list[tuple[str, str]]:
    """Return all that a run's file says, for people: names and values."""
    return [*_asked(run), *_flat(run.decided), *_flat(run.versions)]


def differing(one: RunFile, other: RunFile) -> list[tuple[str, str, str]]:
    """Return the settings in which two runs differ, with the value of each."""
    first, second = dict(_asked(one)), dict(_asked(other))
    return [
        (name, first.get(name, ""), second.get(name, ""))
        for name in sorted({*first, *second})
        if first.get(name) != second.get(name)
    ]


def white_level(run: RunFile | None) -> int:
    """Return the level that was white in deep images; 0 where none was named."""
    white = run.settings.get("white", 0) if run else 0
    return white if isinstance(white, int) and 0 <= white <= 65535 else 0


def _value(run: RunFile, name: str) -> object:
    if name == "methods":
        return list(run.methods) or None
    model = run.settings.get("model")
    if isinstance(model, Mapping) and name in model:
        value: object = model[name]
        return None if name == "channels" and value == "rgb" else value
    return run.settings.get(name)


def _plain(value: object) -> object:
    """Return a value as JSON has it, whatever order or spelling it came in."""
    if isinstance(value, list | tuple):
        return sorted(map(str, value))
    return "" if value is None else value


def _option(known: Setting, value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield from [known.option] if value else []
    elif isinstance(value, list) and known.repeatable:
        for each in value:
            pair = isinstance(each, list)  # --input NAME=FILE
            yield from (known.option, "=".join(map(str, each)) if pair else str(each))
    else:
        yield from (known.option, _typed(value))


def _typed(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _common(sources: Iterable[str]) -> str:
    sources = list(sources)
    if len(sources) == 1:
        return sources[0]
    parents = sorted({os.path.dirname(source) or "." for source in sources})  # noqa: PTH120
    if not parents:
        return "SOURCES"
    try:
        return PurePath(os.path.commonpath(parents)).as_posix()
    except ValueError:  # some are absolute, some are not
        return "SOURCES"


def _asked(run: RunFile) -> Iterator[tuple[str, str]]:
    yield from _flat({"methods": list(run.methods)})
    yield from _flat(run.settings)


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif value not in (None, "", [], False):
            yield name.replace("_", " "), _typed(value)
