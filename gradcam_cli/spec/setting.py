"""A setting is declared once: its default, its range, its help, and whether it decides results."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from gradcam_cli.errors import GradcamError
from gradcam_cli.spelling import suggestion


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of one field of a spec besides its type and default.

    ``names`` are its options on the command line, ``panel`` the part of the help that it is in.
    ``parse`` makes a value of what was typed, where the type alone does not say how; of each one,
    where the option is ``repeatable``. ``decides`` says that other values give other numbers or
    pixels: then it belongs to the digest.
    """

    help: str
    names: tuple[str, ...]
    panel: str
    metavar: str | None
    least: float | None
    most: float | None
    parse: Callable[[str], Any] | None
    repeatable: bool
    decides: bool

    @property
    def option(self) -> str:
        """Return the long name."""
        return next(name for name in self.names if name.startswith("--"))


def setting(
    default: Any,
    help: str,  # noqa: A002  what every library calls it
    *names: str,
    panel: str,
    metavar: str | None = None,
    least: float | None = None,
    most: float | None = None,
    parse: Callable[[str], Any] | None = None,
    repeatable: bool = False,
    decides: bool = True,
) -> Any:
    """Return the field of a dataclass with all that there is to say of it."""
    known = Setting(help, names, panel, metavar, least, most, parse, repeatable, decides)
    return field(default=default, metadata={"setting": known})


def settings(kind: type) -> Mapping[str, Setting]:
    """Return the settings of a dataclass by the names of its fields."""
    return _settings(kind)


def choices(kind: type) -> Mapping[str, tuple[str, ...]]:
    """Return the values of those fields that have just a few."""
    hints = _hints(kind)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


@functools.cache
def _settings(kind: Hashable) -> Mapping[str, Setting]:
    return {each.name: each.metadata["setting"] for each in fields(kind)}  # type: ignore[arg-type]


@functools.cache
def _hints(kind: Hashable) -> Mapping[str, Any]:
    return get_type_hints(kind)


def deciding(group: Any) -> dict[str, Any]:
    """Return the values of a group that decide numbers or pixels, by their names."""
    known = settings(type(group))
    return {name: getattr(group, name) for name, each in known.items() if each.decides}


def plain(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a spec has them: paths for texts that name files, tuples for lists."""
    hints = _hints(cast("Hashable", kind))

    def converted(name: str, value: Any) -> Any:
        if isinstance(value, str) and Path in get_args(hints.get(name)):
            return Path(value)
        return tuple(value) if isinstance(value, list) else value

    return {name: converted(name, value) for name, value in given.items()}


def typed(group: Any) -> list[str]:
    """Return what has to be typed for a group: the options whose values are not the defaults."""
    kind = type(group)
    default, words = kind(), []
    for name, known in settings(kind).items():
        value = getattr(group, name)
        if value != getattr(default, name):
            words += option_words(known, value)
    return words


def option_words(known: Setting, value: object) -> list[str]:
    """Return an option and its value as they are typed."""
    if isinstance(value, bool):
        return [known.option] if value else []
    several = value if isinstance(value, list | tuple) else None
    if several is not None and known.repeatable:
        words = []
        for each in several:
            pair = isinstance(each, list | tuple)  # --input NAME=FILE
            words += [known.option, "=".join(map(str, each)) if pair else str(each)]
        return words
    between = "/" if known.metavar == "K/N" else ","
    return [known.option, str(value) if several is None else between.join(map(str, several))]


def check(group: Any) -> None:
    """Raise GradcamError for a value that is of another type, not among a few, or out of range."""
    kind = type(group)
    hints, few = _hints(cast("Hashable", kind)), choices(kind)
    for name, known in settings(kind).items():
        value = getattr(group, name)
        if name in few:
            if value not in few[name]:
                hint = suggestion(str(value), few[name], ", ".join(few[name]))
                raise GradcamError(f"{known.option} {value!r} is not a valid choice", hint)
        elif not _is_a(value, hints[name]):
            raise GradcamError(
                f"{known.option} {value!r} is not a valid value", f"it is of type {hints[name]}"
            )
        elif _outside(value, known):
            raise GradcamError(
                f"{known.option} {value!r} is out of range", f"it is {_range(known)}"
            )


def _is_a(value: object, hint: Any) -> bool:
    """Return whether a value is of a plain type, one of several, or a tuple of them."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_a(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        inner = get_args(hint)
        every = inner[:1] * len(value) if inner[1:] == (Ellipsis,) else inner
        return len(every) == len(value) and all(map(_is_a, value, every))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _outside(value: Any, known: Setting) -> bool:
    if not isinstance(value, int | float):
        return False
    below = known.least is not None and not value >= known.least
    return below or (known.most is not None and not value <= known.most)


def _range(known: Setting) -> str:
    if known.most is None:
        return f"at least {known.least}"
    return f"{known.least} to {known.most}"
