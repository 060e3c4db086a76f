"""What ``run.json`` says of a run becomes a command line to copy, and rows to read."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath

from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.setting import option_words, settings
from gradcam_cli.store.reading import manifests
from gradcam_cli.store.runfile import RunFile, read_run, run_name
from gradcam_cli.text import printable

_CONTENT = re.compile(r"sha256:|random, seed|preset ")
_KINDS = (ModelSpec, ExplainSpec, DrawSpec, ImageSpec)


def read_settings(folder: Path) -> RunFile | None:
    """Return what a folder says of its run, that of its latest manifest; None without it."""
    try:
        paths = sorted(manifests(folder), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    except OSError:
        return None
    found = [run for path in paths if (run := read_run(folder / run_name(path.name)))]
    if not found:
        return None
    run = found[0]
    alike = [other for other in reversed(found) if other.digest == run.digest]
    commands = dict.fromkeys(words for other in alike for words in other.commands)
    return replace(run, commands=tuple(commands))


def command_line(run: RunFile, sources: Iterable[str]) -> str:
    """Return the commands that such a run was made with, quoted for a shell.

    A run of an older version does not say them: of that the folder that has all ``sources``, its
    pictures, stands for several, and only settings that differ from their defaults are said. What
    cannot be known makes it a comment.
    """
    if run.commands:
        return " && ".join(map(_quoted, run.commands))
    common = _common(sources)
    words = ["gradcam", "run", f"./{common}" if common.startswith("-") else common or "SOURCES"]
    for kind in _KINDS:
        defaults = kind()
        for name, known in settings(kind).items():
            value = _value(run, name)
            if value is not None and _plain(value) != _plain(getattr(defaults, name)):
                words += option_words(known, value)
    unknown = ["the pictures"] * (not common)
    if any(_CONTENT.match(word.partition("=")[2] or word) for word in words[3:]):
        unknown.append("files but their content")
    line = _quoted(words)
    return f"# {line}  (not known: {', '.join(unknown)})" if unknown else line


def _quoted(words: Iterable[str]) -> str:
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


def _typed(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _common(sources: Iterable[str]) -> str:
    sources = list(sources)
    if len(sources) == 1:
        return sources[0]
    parents = sorted({os.path.dirname(source) or "." for source in sources})  # noqa: PTH120
    if not parents:
        return ""
    try:
        return PurePath(os.path.commonpath(parents)).as_posix()
    except ValueError:  # some are absolute, some are not
        return ""


def _asked(run: RunFile) -> Iterator[tuple[str, str]]:
    yield from _flat({"methods": list(run.methods)})
    yield from _flat(run.settings)


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif value not in (None, "", [], False):
            yield name.replace("_", " "), _typed(value)
