"""The beginning of an option's value becomes what it could be, for the shell; TensorFlow sleeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import typer

from gradcam_cli.errors import GradcamError

_VARIABLE = "_GRADCAM_COMPLETE"
_OPTIONS = ("--install-completion", "--show-completion")


def is_completing() -> bool:
    """Return whether a shell has started the program to complete a line."""
    return _VARIABLE in os.environ


def is_asked(arguments: list[str]) -> bool:
    """Return whether completions are asked for, or the script of a shell that will do so."""
    return is_completing() or bool(arguments and arguments[0].partition("=")[0] in _OPTIONS)


def model_names(incomplete: str) -> list[str]:
    """Return the named models that begin so; the shell itself completes files."""
    from gradcam_cli.models.catalog import names

    return _beginning(incomplete, names())


def _classes(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of classes, of the model's own where it has ``--labels``."""
    from gradcam_cli.models.labels import imagenet_labels, read_labels

    own = context.params.get("labels")
    with suppress(GradcamError, OSError):
        labels = read_labels(Path(own)) if own else imagenet_labels()
        return _beginning(incomplete, ("predicted", *labels.names))
    return []


def _layers(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names in a model file's configuration, those inside of others by their paths."""
    model = str(context.params.get("model") or "")
    found = ["auto"]
    if Path(model).is_file():
        from gradcam_cli.keras_files.archive import read_archive

        with suppress(GradcamError, OSError):
            found += _paths(read_archive(Path(model)).config)
    return _beginning(incomplete, found)


def _paths(config: object, outer: str = "") -> list[str]:
    """Return the paths of all layers in a configuration but inputs."""
    found: list[str] = []
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else inner  # a list in Keras 2.0
    for layer in layers if isinstance(layers, list) else ():
        known = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(known, dict) or layer.get("class_name") == "InputLayer":
            continue
        path = f"{outer}{layer.get('name') or known.get('name')}"
        found += [path, *_paths(layer, f"{path}/")]
    return found


def _methods(incomplete: str) -> list[str]:
    from gradcam_cli.cam.methods import METHODS

    return _beginning(incomplete, METHODS)


def _colours(incomplete: str) -> list[str]:
    from gradcam_cli.render.colours import COLORMAPS

    return _beginning(incomplete, COLORMAPS)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


COMPLETE: dict[str, Callable[..., list[str]]] = {
    "--model": model_names,
    "--class": _classes,
    "--contrast": _classes,
    "--layer": _layers,
    "--method": _methods,
    "--colormap": _colours,
    "--figure-colormap": _colours,
}
"""What completes the value of an option."""
