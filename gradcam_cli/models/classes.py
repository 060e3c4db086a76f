"""What the user typed becomes class indices, by way of the labels."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradcam_cli.errors import GradcamError
from gradcam_cli.models.labels import WORDNET_ID, Labels

_TOP = re.compile(r"top[-_ ]?([0-9]{1,6})", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?[0-9]{1,9}")
_CLOSE = 0.75
_MOST_COMPARED = 100_000  # a million spellings would take a minute


@dataclass(frozen=True, slots=True)
class ClassChoice:
    """Which classes to explain in every image.

    The ``top`` most probable ones (0 for none, 1 for the predicted class), and the ``fixed``
    indices in the order they were asked for.
    """

    top: int = 0
    fixed: tuple[int, ...] = ()


def parse_classes(terms: Sequence[str], labels: Labels, count: int) -> ClassChoice:
    """Turn ``predicted``, ``top3``, indices, WordNet ids and names into a choice of classes.

    ``count`` is how many classes the model has. A class that is itself called ``predicted`` or
    ``top3`` is reached by its index or as ``name:top3``. Raises GradcamError as ``resolve`` does,
    when more classes are asked for than there are, and for none at all.
    """
    top = 0
    fixed: dict[int, None] = {}
    for term in terms:
        wanted = _top(term.strip())
        if wanted is None:
            fixed[resolve(term, labels, count)] = None
            continue
        if not 1 <= wanted <= count:
            raise GradcamError(
                f"--class {term} asks for {wanted} of the model's {count} classes",
                f"top1 to top{count} can be had",
            )
        top = max(top, wanted)
    if not (top or fixed):
        raise GradcamError("no class is named to be explained", "predicted is the likeliest one")
    return ClassChoice(top, tuple(fixed))


def _top(term: str) -> int | None:
    if term.casefold() == "predicted":
        return 1
    match = _TOP.fullmatch(term)
    return int(match[1]) if match else None


def resolve(term: str, labels: Labels, count: int) -> int:
    """Return the index of the one class that is meant by an index, a WordNet id or a name.

    An exact name comes before one in which case, spaces, hyphens, underscores and quotes differ.
    ``index:5`` and ``name:5`` say which is meant where classes are named by numbers. Raises
    GradcamError when no class is meant, or more than one.
    """
    typed = term.strip()
    exact = _named(typed, labels)
    if _NUMBER.fullmatch(typed):
        return _number(typed, exact, labels, count)
    if not exact and typed.startswith(("index:", "name:")):
        kind, _, rest = typed.partition(":")
        rest = rest.strip()
        if kind == "index" and _NUMBER.fullmatch(rest):
            return _in_range(int(rest), count)
        if kind == "name":
            typed, exact = rest, _named(rest, labels)
    if not exact and WORDNET_ID.fullmatch(typed):
        exact = [i for i, id_ in enumerate(labels.ids) if id_ == typed.lower()]
    if not exact:
        key = _key(typed)
        exact = [i for i, name in enumerate(labels.names) if key and _key(name) == key]
    return _in_range(_one(typed, exact, labels, count), count)


def _named(name: str, labels: Labels) -> list[int]:
    return [i for i, other in enumerate(labels.names) if other == name]


def _number(typed: str, named: list[int], labels: Labels, count: int) -> int:
    """Return what a number means where it may be an index, and a name as well."""
    index = int(typed)
    fits = 0 <= index < count
    if not named or (fits and named == [index]):
        return _in_range(index, count)
    if not fits:
        return _one(typed, named, labels, count)
    raise GradcamError(
        f"{typed} is ambiguous: the index of {_shown(index, labels)}, and the name of "
        f"{_listed(named, labels)}",
        f"write index:{typed} or name:{typed}",
    )


def _in_range(index: int, count: int) -> int:
    if not 0 <= index < count:
        raise GradcamError(
            f"there is no class {index}: the model has {count} classes",
            f"indices go from 0 to {count - 1}",
        )
    return index


def _one(typed: str, found: list[int], labels: Labels, count: int) -> int:
    if len(found) == 1:
        return found[0]
    if found:
        raise GradcamError(
            f"{typed!r} is ambiguous: {_listed(found, labels)}",
            f"give the index{' or the WordNet id' if labels.ids else ''}",
        )
    if not typed:
        raise GradcamError("an empty class name", "give predicted, topN, an index or a name")
    if not labels.names:
        raise GradcamError(
            f"unknown class {typed!r}: the model's file has no class names",
            f"give an index from 0 to {count - 1}, or the names with --labels FILE",
        )
    near = [labels.names[i] for i in search(typed, labels)[:3]]
    if near:
        hint = f"did you mean {' or '.join(filter(None, [', '.join(near[:-1]), near[-1]]))}?"
    elif len(labels.names) <= 12:
        hint = f"the classes are {', '.join(labels.names)}"
    else:
        hint = "`gradcam classes WORD` searches the names"
    raise GradcamError(f"unknown class {typed!r}", hint)


def _listed(found: Iterable[int], labels: Labels) -> str:
    return ", ".join(_shown(index, labels) for index in found)


def _shown(index: int, labels: Labels) -> str:
    id_, name = describe(index, labels)
    return f"{index} {id_} {name}" if id_ else f"{index} {name}"


def _words(name: str) -> list[str]:
    """Return a name's parts, folded: case, accents' spelling, quotes and separators forgiven."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"['\u2019\"`.]", "", folded).replace("_", " ").replace("-", " ").split()


def _key(name: str) -> str:
    return "".join(_words(name))


def search(query: str, labels: Labels) -> list[int]:
    """Return the classes whose name or id has all words of the query, or else a close spelling.

    Indices come in the labels' order, close spellings best first; an empty query gives all. A
    number gives the class of that index first.
    """
    words, number = _words(query), query.strip()
    if not words:
        return [] if number else list(range(len(labels.names)))
    found = []
    for index, name in enumerate(labels.names):
        known = f"{' '.join(_words(name))} {labels.ids[index] if labels.ids else ''}"
        if all(word in known for word in words):
            found.append(index)
    if _NUMBER.fullmatch(number) and 0 <= int(number) < len(labels.names):
        return [int(number), *(index for index in found if index != int(number))]
    return found or _close(words, labels)


def _close(words: Sequence[str], labels: Labels) -> list[int]:
    """Return the classes in which each word is nearly there, the nearest first."""
    whole = "".join(words)
    scores = {}
    for index, name in enumerate(labels.names[:_MOST_COMPARED]):
        parts = _words(name)
        by_word = [max((_ratio(word, part) for part in parts), default=0.0) for word in words]
        scores[index] = max(_ratio(whole, "".join(parts)), min(by_word, default=0.0))
    near = [index for index, score in scores.items() if score >= _CLOSE]
    return sorted(near, key=lambda index: (-scores[index], index))


def _ratio(word: str, other: str) -> float:
    matcher = difflib.SequenceMatcher(None, word, other)
    return matcher.ratio() if matcher.real_quick_ratio() >= _CLOSE else 0.0


def describe(index: int, labels: Labels) -> tuple[str, str]:
    """Return a class's WordNet id (or nothing) and name (``class 7`` where there are no labels)."""
    if index >= len(labels.names):
        return "", f"class {index}"
    return labels.ids[index] if labels.ids else "", labels.names[index]


def check_count(labels: Labels, outputs: int) -> None:
    """Raise GradcamError unless there is one label an output; one sigmoid unit takes two labels."""
    named, classes = len(labels.names), 2 if outputs == 1 else outputs
    if named == classes:
        return
    if outputs == 1:
        raise GradcamError(
            f"{named} labels for a model with 1 output, which takes 2",
            "give the label of output 0 first, that of output 1 second",
        )
    raise GradcamError(
        f"{named} labels for a model with {outputs} classes",
        "give one label for each class, in the order of the model's outputs",
    )
