"""Layers of a transformer that mislead, as far as the traced graph shows it."""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_cli.explaining.request import Request
from gradcam_cli.network.anatomy import Anatomy, FeatureMap, ancestors


def layer_cautions(
    request: Request, anatomy: Anatomy, chosen: Sequence[FeatureMap]
) -> tuple[str, ...]:
    """Return a sentence for each layer that was asked for by name and that is known to mislead.

    Behind the last attention of a network with a class token, other tokens have no gradient. Where
    all tokens count, the normalisation before an attention shows the background more than the one
    behind it, as seen on Swin-T (frgfm/torch-cam#412).
    """
    if request.spec is None or request.spec.layers == ("auto",):
        return ()
    behind = {each.path: _behind_attention(anatomy, each) for each in chosen}
    if not any(each.features.tokens or behind[each.path] for each in chosen):
        return ()
    found = request.model.surveyed()
    unreached = {(row.path, row.call) for row in found.layers if not row.reached}
    sentences = []
    for each in chosen:
        better = behind[each.path]
        if (each.path, each.step.call) in unreached:
            sentences.append(
                f"behind layer {each.path!r} the score reads the class token alone, so the "
                "gradient of all others is zero"
                + (f"; --layer {found.default} lies before that" if found.default else "")
            )
        elif better and (better.path, better.step.call) not in unreached:
            sentences.append(
                f"layer {each.path!r} normalises what enters an attention, where maps can show the "
                f"background; --layer {better.path} lies behind it"
            )
    return tuple(sentences)


def _behind_attention(anatomy: Anatomy, chosen: FeatureMap) -> FeatureMap | None:
    """Return the next normalised map, if ``chosen`` is one and an attention lies in between."""
    names = [each.step.tensor.name for each in anatomy.maps]
    if not chosen.normalised or chosen.step.tensor.name not in names:
        return None
    later = anatomy.maps[names.index(chosen.step.tensor.name) + 1 :]
    following = next((each for each in later if each.normalised), None)
    if following is None:
        return None
    start, before = chosen.step.tensor.op, ancestors(following.step.tensor)
    softmaxes = [
        operation
        for operation in start.graph.get_operations()
        if operation.type == "Softmax" and operation.name in before
    ]
    attends = any(start.name in ancestors(each.outputs[0]) for each in softmaxes)
    return following if attends else None
