"""A configuration file becomes defaults for the options of every verb."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradcam_cli.errors import GradcamError
from gradcam_cli.regular import read_bounded, readable
from gradcam_cli.spelling import suggestion
from gradcam_cli.text import NotTextError, decoded

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG = "gradcam.toml"
"""Read from the working folder where no other file is named."""

_MOST_DOTS = 200  # in a line

Defaults = dict[str, dict[str, Any]]


def read_config(path: Path, verbs: Mapping[str, Any]) -> Defaults:
    """Return the defaults a TOML file sets, by verb and parameter name.

    ``verbs`` are the commands by name. Keys at the top go to every verb that has such an option
    (``batch-size = 8``); those in a table named after a verb go to that verb alone. Raises
    GradcamError for a file that is not valid TOML, and for a key that is not an option.
    """
    with readable(path, "--config", "it takes a TOML file", GradcamError):
        data = read_bounded(path, "--config")
    try:
        text = decoded(data)
        _check_lines(text, path)
        values = tomllib.loads(text)
    except NotTextError as error:
        raise GradcamError(
            f"{path}, line {error.line}: {error.reason}", "save it as UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise GradcamError(f"{path} is not valid TOML: {error}", "e.g. model = 'vgg16'") from None
    except (RecursionError, ValueError):  # a list in a list without end, a number of 5000 digits
        message = f"{path} nests too deeply, or holds a number that is none"
        raise GradcamError(message, "e.g. model = 'vgg16'") from None
    options = {verb: _options(command) for verb, command in verbs.items()}
    everywhere = {key: value for key, value in values.items() if not isinstance(value, dict)}
    known = {name for names in options.values() for name in names}
    _check(everywhere, known, path, "any verb")
    defaults: Defaults = {}
    for verb, names in options.items():
        own = values[verb] if isinstance(values.get(verb), dict) else {}
        _check(own, set(names), path, f"`gradcam {verb}`")
        chosen = {**everywhere, **own}
        defaults[verb] = {
            option.name: _value(key, value, option, path)
            for key, value in chosen.items()
            if (option := names.get(_key(key))) is not None
        }
    for table in values:
        if isinstance(values[table], dict) and table not in verbs:
            raise GradcamError(
                f"{path} has a table [{table}], which is not a verb", suggestion(table, verbs)
            )
    return defaults


def _check_lines(text: str, path: Path) -> None:
    """Refuse keys of so many parts (``a.a.a...``) that reading them would take minutes."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS:
            raise GradcamError(
                f"{path}, line {number}: more than {_MOST_DOTS} dots",
                "keys are plain options; a long list may go over several lines",
            )


def _value(key: str, value: Any, option: Any, path: Path) -> Any:
    """Return a value as the option takes it: a list, or one value, whose parts commas separate."""
    if isinstance(value, dict):
        raise GradcamError(f"{path} sets {key!r} to a table", f"`{key} = ...` takes a plain value")
    if option.multiple:
        return value if isinstance(value, list) else [value]
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _options(command: Any) -> dict[str, Any]:
    """Return a verb's options by their long names without dashes."""
    return {
        _key(option): parameter
        for parameter in command.params
        if parameter.param_type_name == "option"
        for option in parameter.opts
        if option.startswith("--") and parameter.name != "help"
    }


def _key(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


def _check(values: Mapping[str, Any], known: set[str], path: Path, whose: str) -> None:
    for key in values:
        if _key(key) not in known:
            raise GradcamError(
                f"{path} sets {key!r}, which is not an option of {whose}",
                suggestion(_key(key), known, "keys are the long options without dashes"),
            )
