"""An axis of a tensor is a product of factors: rows, columns, cells, images or anything else.

After ``[N, u, v, K]`` was reshaped to ``[N, u * v, K]``, the second axis is rows times columns, and
a later reshape can take them apart again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from gradcam_cli.network.places import Place, cut, met, spread, whole, window


class Atom(NamedTuple):
    """A factor of an axis: ``n`` images, ``u`` rows, ``v`` columns, ``t`` cells, or ``?``.

    ``t`` is all cells of ``grid``, row by row, with ``before`` and ``after`` further tokens.
    ``places`` say where rows, columns, or a grid's rows and columns lie in the network's input;
    None, or nothing, where that is not known.
    """

    letter: str
    size: int
    before: int = 0
    after: int = 0
    grid: tuple[int, int] = (0, 0)
    places: tuple[Place | None, ...] = ()


Axis = tuple[Atom, ...]
Layout = tuple[Axis, ...]


def size_of(axis: Axis) -> int:
    """Return how many entries an axis has."""
    return math.prod(atom.size for atom in axis)


def known(axis: Axis) -> bool:
    """Return whether an axis has anything to do with images, rows or columns."""
    return any(atom.letter != "?" for atom in axis)


def unknown(size: int) -> Axis:
    """Return an axis of which nothing is known."""
    return (Atom("?", size),)


def pixels(letter: str, size: int) -> Axis:
    """Return an axis of the network's input."""
    return (Atom(letter, size, places=(whole(size),) if letter in "uv" else ()),)


def place_of(axis: Axis) -> Place | None:
    """Return where the entries of an axis of rows or columns lie, None where that is not known."""
    place = axis[0].places[0] if len(axis[0].places) == 1 else None
    parts = size_of(axis[1:])  # a coarse part of rows and, behind it, what it was divided into
    return spread(place, parts) if place and parts > 1 else place


def moved(axis: Axis, size: int, to: Callable[[Place, int], Place | None]) -> Axis:
    """Return an axis that was cut, lengthened or mixed: rows stay rows, others only as they are.

    ``to`` is given where ``size_of(axis)`` rows or columns lay, and returns where they do now.
    """
    letter = _letter(axis)
    if letter is None:
        return axis if size_of(axis) == size else unknown(size)
    place = place_of(axis)
    return (Atom(letter, size, places=(to(place, size_of(axis)) if place else None,)),)


def _letter(axis: Axis) -> str | None:
    """Return ``u`` or ``v`` for an axis of rows or columns alone."""
    letters = [atom.letter for atom in axis if atom.letter != "?"]
    return letters[0] if letters in (["u"], ["v"]) else None


def mislaid(axis: Axis, size: int) -> Axis:
    """Return an axis of which some entries were taken, nobody knows which."""
    return moved(axis, size, lambda _place, _size: None)


def joined(have: Axis, axis: Axis) -> Axis:
    """Return what an axis is where two inputs meet: what the first knows, where both lie."""
    if not known(have) or not known(axis):
        return axis if known(axis) else have
    if have == axis:
        return have
    letter, size = _letter(have), size_of(have)
    if letter is not None and letter == _letter(axis):
        place = met(place_of(have), place_of(axis), size)
        return have if place == place_of(have) else (Atom(letter, size, places=(place,)),)
    if [atom.letter for atom in have] != [atom.letter for atom in axis]:
        return have
    return tuple(map(_met, have, axis))


def _met(have: Atom, other: Atom) -> Atom:
    if have.size != other.size or len(have.places) != len(other.places):
        return have._replace(places=())
    sizes = have.grid if have.letter == "t" else (have.size,)
    return have._replace(places=tuple(map(met, have.places, other.places, sizes)))


def cut_out(axis: Axis, start: int, count: int, stride: int = 1) -> Axis:
    """Return ``count`` entries of an axis, each ``stride``-th from ``start`` on, backwards too.

    Rows stay rows and columns columns; others only where all is taken.
    """
    if (start, count, stride) == (0, size_of(axis), 1):
        return axis
    if _letter(axis) is None and stride < 0 and known(axis):
        return unknown(count)
    return moved(axis, count, lambda place, size: cut(place, size, start, count, stride))


def coarse(atom: Atom, count: int) -> Atom:
    """Return the coarse part of a factor that is cut in two."""
    if atom.letter == "t":
        return Atom("?", count)
    block = atom.size // count
    places = tuple(p and window(p, atom.size, count, block, block, 0) for p in atom.places)
    return Atom(atom.letter, count, places=places)
