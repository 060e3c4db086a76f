"""A network's layers become paths, and what the user typed becomes one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.spelling import suggestion


def named_operations(network: Any) -> dict[str, Any]:
    """Return every layer and operation inside a network by its path, outer layers first.

    A path is the names from the outside in, ``base/block5_conv3``; the network's own name is left
    out. Names are never split. A layer that is reached in two ways has the first path; two
    different layers with one path are distinguished as ``name#2``.
    """
    found: dict[str, Any] = {}
    seen: set[int] = {id(network)}

    def visit(parent: Any, prefix: str) -> None:
        for child in _children(parent):
            if id(child) in seen or type(child).__name__ == "InputLayer":
                continue
            seen.add(id(child))
            path, number = prefix + child.name, 1
            while path in found:
                number += 1
                path = f"{prefix}{child.name}#{number}"
            found[path] = child
            visit(child, path + "/")

    visit(network, "")
    return found


def _children(layer: Any) -> Iterable[Any]:
    operations = getattr(layer, "operations", None)
    if operations is not None:
        return list(operations)
    flatten = getattr(layer, "_flatten_layers", None)
    return list(flatten(include_self=False, recursive=False)) if flatten else []


def resolve_layer(typed: str, paths: Iterable[str]) -> str:
    """Return the path that ``typed`` names: a whole path, or an end of just one path.

    Raises ModelError with the nearest paths when nothing fits, or the paths when several do.
    """
    paths = list(paths)
    if typed in paths:
        return typed
    ends = [path for path in paths if path.endswith("/" + typed)]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ModelError(
            f"several layers are called {typed!r}", f"give the path: {', '.join(ends[:6])}"
        )
    last = {path.rsplit("/", 1)[-1]: path for path in paths}
    known = paths + [name for name in last if name not in paths]
    others = f"its last layers are {', '.join(paths[:-5:-1])}; `gradcam layers MODEL` lists all"
    raise ModelError(f"the model has no layer {typed!r}", suggestion(typed, known, others))
