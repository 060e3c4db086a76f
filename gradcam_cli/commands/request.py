"""What was typed becomes what the program works with: a model choice, settings, a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.commands.options import AskOptions, DrawOptions, LookOptions, OpenOptions
from gradcam_cli.errors import GradcamError, suggestion

if TYPE_CHECKING:
    from gradcam_cli.batch.records import Settings
    from gradcam_cli.models.choice import ModelChoice

__all__ = ["KINDS", "constants", "kinds", "model_choice", "numbers", "settings", "shard", "size"]

KINDS = ("overlay", "heatmap", "array")


def model_choice(model: str, opening: OpenOptions) -> ModelChoice:
    """Return the model options as one choice; raises GradcamError for numbers that are none."""
    from gradcam_cli.models.choice import ModelChoice

    return ModelChoice(
        model=model,
        weights=opening.weights,
        seed=opening.seed,
        labels=opening.labels,
        preprocess=opening.preprocess,
        channels=opening.channels.value,
        mean=numbers("--mean", opening.mean),
        std=numbers("--std", opening.std),
        input_size=size(opening.input_size),
        transpose=opening.transpose,
        constants=constants(opening.input),
        output=opening.output,
        architecture=opening.architecture,
        custom_objects=opening.custom_objects,
        unsafe=opening.unsafe_load,
    )


def settings(
    choice: ModelChoice, look: LookOptions, ask: AskOptions | None, draw: DrawOptions | None
) -> Settings:
    """Return all that decides a run's numbers and pixels; without ``ask``, predictions only.

    Raises ModelError when a file that was named cannot be read.
    """
    from gradcam_cli.batch.records import Settings

    return Settings(
        model=choice.fingerprint(),
        classes=ask.classes if ask else (),
        layer=ask.layer if ask else "",
        call=ask.call if ask else 0,
        method=ask.method if ask else "",
        score=ask.score.value if ask else "",
        precision=ask.precision.value if ask else "",
        top_k=look.top_k,
        resize=look.resize.value,
        interpolation=look.interpolation.value,
        white=look.white,
        intensity=draw.intensity if draw else 0.0,
        blend=draw.blend.value if draw else "",
        colormap=draw.colormap if draw else "",
        format=draw.format.value if draw else "",
        quality=draw.quality if draw else 0,
        max_size=draw.max_size if draw else 0,
        save=kinds(draw.save) if draw else (),
    )


def numbers(option: str, typed: str) -> tuple[float, ...]:
    """Return the numbers of ``1,2,3``; empty for an empty text."""
    if not typed.strip():
        return ()
    try:
        return tuple(float(part) for part in re.split(r"[,\s]+", typed.strip()))
    except ValueError:
        raise GradcamError(
            f"{option} {typed!r} is not a list of numbers", f"e.g. {option} 123.7,116.8,103.9"
        ) from None


def constants(typed: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """Return names and files of ``NAME=FILE.npy`` words."""
    pairs = []
    for word in typed:
        name, equals, file = word.partition("=")
        if not (name and equals and file):
            raise GradcamError(f"--input {word!r} is no NAME=FILE.npy", "e.g. --input age=age.npy")
        pairs.append((name, Path(file)))
    return tuple(pairs)


def size(typed: str) -> tuple[int, int] | None:
    """Return ``(h, w)`` of ``224`` or ``224x320``; None for an empty text."""
    if not typed.strip():
        return None
    match = re.fullmatch(r"\s*(\d+)(?:\s*[x,]\s*(\d+))?\s*", typed)
    found = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if min(found) < 1 or max(found) > 8192:
        raise GradcamError(
            f"--input-size {typed!r} is no size", "height x width in pixels, e.g. 224x224"
        )
    return found


def kinds(typed: str) -> tuple[str, ...]:
    """Return the kinds of files named by ``--save overlay,array``, in the program's order."""
    asked = [part for part in re.split(r"[,\s]+", typed.strip().lower()) if part]
    for kind in asked:
        if kind not in KINDS:
            raise GradcamError(
                f"--save does not know {kind!r}", suggestion(kind, KINDS, ", ".join(KINDS))
            )
    if not asked:
        raise GradcamError("--save names nothing to save", f"one or more of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in asked)


def shard(typed: str) -> tuple[int, int] | None:
    """Return ``(k, n)`` of ``k/n``; None for an empty text."""
    if not typed.strip():
        return None
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", typed)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise GradcamError(
            f"--shard {typed!r} is no part of a whole", "e.g. --shard 1/4, 2/4, 3/4 and 4/4"
        )
    return int(match[1]), int(match[2])
