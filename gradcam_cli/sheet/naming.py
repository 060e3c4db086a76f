"""What a sheet calls its images and maps: short, and not two the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

from gradcam_cli.cam.methods import METHODS
from gradcam_cli.sheet.choose import Shown
from gradcam_cli.text import printable

_SAID = 3


def file_names(sources: Iterable[str]) -> dict[str, str]:
    """Return images' names by source: the last parts of their paths that no other ends with."""
    parts = {source: PurePath(source).parts for source in sources}
    found: dict[str, str] = {}
    length = 1
    while parts:
        shared = Counter(each[-length:] for each in parts.values())
        for source, each in list(parts.items()):
            if shared[each[-length:]] == 1 or length >= len(each):
                found[source] = str(PurePath(*each[-length:]))
                del parts[source]
        length += 1
    return found


def made_by(maps: Iterable[Shown]) -> str:
    """Return the methods and layers of maps, for people; those of most maps first."""
    kinds = Counter((each.method, each.layer) for each in maps)
    names = [_named(*kind) for kind, _ in kinds.most_common(_SAID)]
    more = f" and {len(kinds) - _SAID} more" if len(kinds) > _SAID else ""
    return "; ".join(filter(None, names)) + more


def _named(method: str, layer: str) -> str:
    title = METHODS[method].title if method in METHODS else printable(method)
    return ", ".join(filter(None, [title, f"layer {printable(layer)}" if layer else ""]))
