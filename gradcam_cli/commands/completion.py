"""The beginning of an option's value becomes what it could be, for the shell; TensorFlow sleeps."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout, suppress
from itertools import islice
from pathlib import Path

import typer

from gradcam_cli.errors import GradcamError

_VARIABLE = "_GRADCAM_COMPLETE"
_SPECIAL = re.compile(r"[^\w@%+=:,./\n-]")
"""What bash may take for more than itself."""
_EXPANDED = re.compile(r"[\\\x00-\x1f\x7f]")
"""What undoes the quoting of a shell: zsh evaluates what completes a word."""
_MOST_RECORDS = 1000
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
        return _in_any_case(incomplete, ("predicted", *labels.names))
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


def _kinds(incomplete: str) -> list[str]:
    """Return kinds of files for the last of a list with commas."""
    from gradcam_cli.render.artifacts import ARTIFACTS

    before, comma, last = incomplete.rpartition(",")
    left = (kind for kind in ARTIFACTS if kind not in before.split(","))
    return [f"{before}{comma}{kind}" for kind in _beginning(last, left)]


def shown_classes(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the classes that a run's maps explain."""
    return _in_any_case(incomplete, _of_maps(context, "name"))


def shown_methods(context: typer.Context, incomplete: str) -> list[str]:
    """Return the methods that a run's maps are made by."""
    return _beginning(incomplete, _of_maps(context, "method"))


def shown_layers(context: typer.Context, incomplete: str) -> list[str]:
    """Return the layers that a run's maps are made at."""
    return _beginning(incomplete, _of_maps(context, "layer"))


def _of_maps(context: typer.Context, part: str) -> list[str]:
    """Return what the maps of the first records in a run's folder have there, each once."""
    from gradcam_cli.store.reading import manifests, read_manifest

    # An option without its value ends the parsing, and leaves the folder among the words.
    folder = Path(str(context.params.get("folder") or next(iter(context.args), "")))
    found: dict[str, None] = {}
    with suppress(GradcamError, OSError):
        for path in manifests(folder):
            for record in islice(read_manifest(folder, path.name), _MOST_RECORDS):
                found |= {getattr(item, part): None for item in record.explanations}
    return sorted(filter(None, found))


def quoted(complete: Callable[[], int]) -> int:
    """Let completions be printed; return the exit code.

    Bash takes what is printed for what was typed, so blanks and the like are quoted for it, unless
    a quote is open already. Other shells quote by themselves.
    """
    if os.environ.get(_VARIABLE) != "complete_bash" or _is_quoting():
        return complete()
    with redirect_stdout(io.StringIO()) as printed:
        code = complete()
    sys.stdout.write(_SPECIAL.sub(r"\\\g<0>", printed.getvalue()))
    return code


def _is_quoting() -> bool:
    try:
        shlex.split(os.environ.get("COMP_WORDS", ""))
    except ValueError:
        return True
    return False


def _in_any_case(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return the names that begin so in any case: what is typed stays, and the rest follows."""
    size, typed = len(incomplete), incomplete.casefold()
    fit = (name for name in _harmless(names) if name[:size].casefold() == typed)
    return [incomplete + name[size:] for name in fit]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in _harmless(names) if name.startswith(incomplete)]


def _harmless(names: Iterable[str]) -> Iterable[str]:
    """Leave out what a shell might run: labels, layers and records are files of anybody's."""
    return (name for name in names if not _EXPANDED.search(name))


COMPLETE: dict[str, Callable[..., list[str]]] = {
    "--model": model_names,
    "--class": _classes,
    "--contrast": _classes,
    "--layer": _layers,
    "--method": _methods,
    "--save": _kinds,
    "--colormap": _colours,
    "--figure-colormap": _colours,
}
"""What completes the value of an option."""
