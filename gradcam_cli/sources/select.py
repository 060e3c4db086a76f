"""Of all images that were found, the ones that belong to this run."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from gradcam_cli.sources.endings import ending
from gradcam_cli.sources.find import Found


def selected(
    pictures: Iterable[Found],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    limit: int | None = None,
    shard: tuple[int, int] | None = None,
    unread: Counter[str] | None = None,
) -> Iterator[Found]:
    """Yield the images that some include pattern and no exclude pattern fits.

    A pattern without a slash is held against the file's name, one with a slash against its path;
    a folder that could not be listed fits every include pattern, for its images might.
    ``shard`` ``(k, n)`` keeps every image whose path falls into part k of n, by a hash of the
    path alone: other images may come and go. Images of types that are not read are counted in
    ``unread`` by their endings and left out; without it they are yielded. ``limit`` ends the list.
    """
    chosen = (
        found
        for found in pictures
        if (not include or any(_fits(found, each) for each in include) or found.unlisted)
        and not any(_fits(found, pattern) for pattern in exclude)
        and (shard is None or _part(found, shard[1]) == shard[0])
    )
    return islice(chosen if unread is None else _set_aside(chosen, unread), limit)


def _set_aside(pictures: Iterable[Found], unread: Counter[str]) -> Iterator[Found]:
    for found in pictures:
        if found.unread:
            unread[ending(found.path.name)] += 1
        else:
            yield found


def _fits(found: Found, pattern: str) -> bool:
    return fnmatch.fnmatchcase(found.source if "/" in pattern else found.path.name, pattern)


def _part(found: Found, count: int) -> int:
    digest = hashlib.sha256(os.fsencode(found.source)).digest()
    return int.from_bytes(digest[:8], "big") % count + 1
