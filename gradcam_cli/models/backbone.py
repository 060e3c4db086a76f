"""A network's backbone is recognised by the names that Keras gave it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gradcam_cli.models.catalog import Entry, find, names

_BY_LAYER = {
    "block14_sepconv2_act": "xception",
    "block5_conv3": "vgg16",
    "conv5_block16_concat": "densenet121",
    "conv5_block32_concat": "densenet169",
    "conv_7b_ac": "inceptionresnetv2",
    "conv_pw_13_relu": "mobilenet",
    "mixed10": "inceptionv3",
    "out_relu": "mobilenetv2",
    "post_relu": "resnet50v2",
    "conv5_block3_out": "resnet50",
}
"""Layers that only one family has; networks built on a backbone's output keep its layers' names."""


def recognise(paths: Iterable[str]) -> Entry | None:
    """Return the catalog's entry of the backbone inside a network, from its layers' paths.

    A nested network is known by its own name (``mobilenetv2_1.00_224``), a flat one by a layer
    that only its family has. None when nothing is recognised.
    """
    parts = [part for path in paths for part in path.split("/")]
    known = {re.sub(r"[^a-z0-9]", "", name): name for name in names()}
    for part in parts:
        key = re.sub(r"[^a-z0-9]", "", part.lower())
        fitting = [name for name in known if key.startswith(name)]
        if fitting:
            return find(known[max(fitting, key=len)])
    for layer, name in _BY_LAYER.items():
        if layer in parts:
            return find(name)
    return None


def application_of(layers: Iterable[str]) -> str:
    """Return the module of ``keras.applications`` whose ``preprocess_input`` a backbone wants.

    ``layers`` are names, of which any may be the backbone's. Empty where none is recognised, and
    where there are several that were trained on different numbers.
    """
    names_here = list(layers)
    nested = [recognise([name]) for name in names_here if name not in _BY_LAYER]
    found = [entry for entry in nested if entry] or [
        entry for entry in (recognise(names_here),) if entry
    ]
    modules = {entry.module for entry in found if entry.module}
    ways = {entry.preprocess for entry in found}
    return min(modules) if len(ways) == 1 and modules else ""
