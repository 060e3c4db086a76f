"""A command that takes option groups becomes one that Typer understands, an option a parameter."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

__all__ = ["flat"]


def flat(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with each option group in its signature spread into single options.

    Typer sees one parameter an option; the command gets each group back as one object.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[parameter.name] = hint
            parameters += _spread(hint)
        else:
            parameters.append(
                parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY)
            )

    @functools.wraps(command)
    def spread(**given: Any) -> None:
        packed = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **packed)

    vars(spread)["__signature__"] = inspect.Signature(parameters)
    spread.__annotations__ = {each.name: each.annotation for each in parameters}
    del vars(spread)["__wrapped__"]
    return spread


def _spread(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    spread = []
    for field in fields(group):
        hint, default = hints[field.name], field.default
        if isinstance(default, tuple):  # Typer's lists repeat an option; its tuples take many words
            hint, default = Annotated[list[str], hint.__metadata__[0]], list(default)
        assert default is not MISSING  # noqa: S101  every option has a default
        spread.append(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default
            )
        )
    return spread
