"""A font of coloured squares, made by the test itself, with names of emoji."""

from __future__ import annotations

from pathlib import Path

from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

COLOURS = {"face": (250, 200, 30), "cat": (230, 60, 20), "flag": (20, 160, 60), "suit": (0, 0, 200)}
CHARACTERS = {"face": "😀", "cat": "🐱", "suit": "👩", "rocket": "🚀", "i": "🇮", "r": "🇷"}


def write(path: Path) -> Path:
    """Write a COLR font whose squares span the em from the line upwards."""
    plain = [".notdef", "zwj", *CHARACTERS, "flag", "together"]
    layers = {name: f"{name}.layer" for name in (*COLOURS, "rocket", "i", "r", "together")}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([*plain, *layers.values()])
    builder.setupCharacterMap(
        {ord(each): name for name, each in CHARACTERS.items()} | {0x200D: "zwj"}
    )
    pen = TTGlyphPen(None)
    for place, point in enumerate([(0, 0), (0, 1000), (1000, 1000), (1000, 0)]):
        (pen.lineTo if place else pen.moveTo)(point)
    pen.closePath()
    square, nothing = pen.glyph(), TTGlyphPen(None).glyph()
    order = builder.font.getGlyphOrder()
    builder.setupGlyf({name: nothing if name in (".notdef", "zwj") else square for name in order})
    builder.setupHorizontalMetrics({name: (0 if name == "zwj" else 1000, 0) for name in order})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    shown = {"rocket": "suit", "i": "flag", "r": "flag", "together": "cat"}
    names = list(COLOURS)
    builder.setupCOLR(
        {name: [(layer, names.index(shown.get(name, name)))] for name, layer in layers.items()},
        version=0,
    )
    builder.setupCPAL([[(*(level / 255 for level in COLOURS[name]), 1.0) for name in names]])
    rules = "feature ccmp { sub i r by flag; sub suit zwj rocket by together; } ccmp;"
    addOpenTypeFeaturesFromString(builder.font, f"languagesystem DFLT dflt; {rules}")
    builder.save(path)
    return path
