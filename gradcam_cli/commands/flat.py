"""A command that takes groups of settings becomes one that Typer understands, an option each."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Annotated, Any, get_type_hints

import typer

from gradcam_cli.commands.completion import COMPLETE
from gradcam_cli.render.artifacts import artifacts_help
from gradcam_cli.spec.setting import Setting, choices, settings

DAILY = "Most used"
"""The part of the help that comes first."""


def flat(command: Callable[..., None], *, daily: tuple[str, ...] = ()) -> Callable[..., None]:
    """Return the command with each group in its signature spread into single options.

    Typer sees one parameter a setting; the command gets each group back as one object. A parameter
    of the command's own that has a setting's name takes the place of that option. The ``daily``
    settings come before all others, in their order, under a heading of their own.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type] = {}
    own: dict[str, inspect.Parameter] = {}
    spread: dict[str, inspect.Parameter] = {}
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[parameter.name] = hint
            spread |= _spread(hint)
        else:
            own[parameter.name] = spread[parameter.name] = parameter.replace(
                annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY
            )
    first = {name: place for place, name in enumerate((*own, *daily))}
    parameters = [
        own.get(name) or (_daily(spread[name]) if name in daily else spread[name])
        for name in sorted(spread, key=lambda name: first.get(name, len(first)))
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        packed = {name: _packed(group, given) for name, group in groups.items()}
        command(**{name: given[name] for name in own}, **packed)

    vars(run)["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    del vars(run)["__wrapped__"]
    return run


def _daily(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return an option that is under the first heading."""
    option = parameter.annotation.__metadata__[0]
    option.rich_help_panel = DAILY
    return parameter


def _packed(group: type, given: Mapping[str, Any]) -> Any:
    """Return a group with the values of its options."""
    values = {}
    for name, known in settings(group).items():
        value = given[name]
        if known.repeatable:
            value = tuple(map(known.parse, value) if known.parse else value)
        elif isinstance(value, Enum):
            value = value.value
        elif known.parse is not None:
            value = known.parse(value)
        values[name] = value
    return group(**values)


def _spread(group: type) -> dict[str, inspect.Parameter]:
    hints, few = get_type_hints(group), choices(group)
    spread = {}
    for field in fields(group):
        known = settings(group)[field.name]
        hint: Any = hints[field.name]
        default: Any = field.default
        if field.name in few:
            hint = _enum(known.option, few[field.name])
            default = hint(default)
        elif known.repeatable:
            hint, default = list[str], list(default)
        elif known.parse is not None:
            hint, default = str, _typed(default)
        spread[field.name] = inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[hint, _option(known, default)],
            default=default,
        )
    return spread


def _enum(option: str, values: Iterable[str]) -> Any:
    make: Any = Enum
    return make(option, {value: value for value in values}, type=str)


def _typed(value: object) -> str:
    """Return what would have to be typed for a value."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _option(known: Setting, default: object) -> Any:
    plain = known.parse is None
    return typer.Option(
        *known.names,
        help=known.help.format(artifacts=artifacts_help()),
        rich_help_panel=known.panel,
        metavar=known.metavar,
        min=known.least if plain else None,
        max=known.most if plain else None,
        show_default=default not in ("", None, []),
        autocompletion=COMPLETE.get(known.option),
    )
