"""Configurations are damaged at random places, always the same ones."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 3, 2**33, 2**63, 1e30, "", "relu", "nothing"),
    *([], {}, [None], [1, 2], ["a"], {"class_name": "Dense"}, {"class_name": 3}, [[[]]]),
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a configuration as what holds it and its key there."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def mutated(config: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a copy with one to three places changed, left out, renamed or exchanged."""
    config = copy.deepcopy(config)
    for _ in range(chance.randint(1, 3)):
        found = list(places(config))
        if not found:
            break
        holder, key = chance.choice(found)
        other, there = chance.choice(found)
        kind = chance.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            holder[key] = copy.deepcopy(other[there])
        elif kind == 2 and isinstance(holder, dict):
            holder[f"{key}_"] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(chance.choice(VALUES))
    return config
