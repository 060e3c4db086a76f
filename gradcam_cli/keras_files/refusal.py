"""What keeps a model file from being opened becomes an error that says what helps."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gradcam_cli.errors import GradcamError, ModelError, OutOfMemory
from gradcam_cli.isolation import keras, tf
from gradcam_cli.keras_files.allowed import refused
from gradcam_cli.keras_files.archive import Archive, objects
from gradcam_cli.keras_files.known import unknown_classes
from gradcam_cli.keras_files.lambdas import failing_layer, function_called, quoted

_QUANTIZED = (
    "open it within `with tfmot.quantization.keras.quantize_scope():`, and copy its weights into "
    "the model from before quantize_model"
)
# Wrappers that change training alone, and what gives the layers back.
_WRAPPERS = {
    "ClusterWeights": "model = tfmot.clustering.keras.strip_clustering(model)",
    "PruneLowMagnitude": "model = tfmot.sparsity.keras.strip_pruning(model)",
    "QuantizeAnnotate": _QUANTIZED,
    "QuantizeLayer": _QUANTIZED,
    "QuantizeWrapper": _QUANTIZED,
    "QuantizeWrapperV2": _QUANTIZED,
}
_STYLE = re.compile(r"\x1b\[\d*m")
_CAUSES = ("Exception encountered:", "Exception encountered when calling")


@contextmanager
def blaming(name: str, done: str, own: bool = True) -> Iterator[None]:
    """Turn whatever is raised while a user's file is read, traced or run into what the file is.

    ``done`` is what cannot be done to the file, such as ``opened``. Raises OutOfMemory for a lack
    of memory, and ModelError for anything else that is not a GradcamError, unless the model is not
    the user's ``own``: then it is a fault of this program.
    """
    try:
        yield
    except GradcamError:
        raise
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise OutOfMemory(
            f"{name} cannot be {done}: it needs more memory than there is",
            "close other programs, or take a machine with more memory",
        ) from error
    except Exception as error:
        if not own:
            raise
        kind = type(error).__name__
        raise ModelError(
            f"{name} cannot be {done}: {kind}: {first_line(error)}",
            "the file may be damaged; --debug shows where it failed",
        ) from error


def refuse_code(archive: Archive, custom: Mapping[str, Any], unsafe: bool) -> None:
    """Raise ModelError for what a file names and that is not allowed, or that the file lacks.

    ``unsafe`` allows all code that there is; a function that is only named is not among it, nor
    is what no classifier is made of.
    """
    found = refused(archive.config, custom)
    _refuse_wrappers(archive)
    never = [one.what for one in found if one.why == "never"]
    if never:
        raise ModelError(
            f"{archive.path} names what no classifier is made of: {_listed(never)}",
            "only layers, activations, initializers and operations of Keras are opened, with "
            "--unsafe-load too; ask the file's author for the plain network",
        )
    missing = [one.what for one in found if one.why == "missing"]
    carried = [one.what for one in found if one.why == "runs"]
    read = [one.what for one in found if one.why == "reads"]
    if unsafe:
        missing = [one for one in missing if one.startswith("function")]
        carried = read = []
    if carried:
        raise _carries(archive, [*carried, *missing])
    if read:
        raise ModelError(
            f"{archive.path} would have another file read: {_listed(read)}",
            "save the model with its vocabulary in it, as a list; if you trust the file's author, "
            "add --unsafe-load",
        )
    if missing:
        raise _lacks(archive, missing)


def _listed(what: list[str]) -> str:
    return f"{'; '.join(what[:3])}{f' and {len(what) - 3} more' if len(what) > 3 else ''}"


def _lacks(archive: Archive, missing: list[str]) -> ModelError:
    hint = "give the Python file that defines it: --custom-objects FILE.py"
    if missing[0].startswith("function 'preprocess_input'"):
        hint = (
            "say of which application: --custom-objects FILE.py with a line such as "
            "`from keras.applications.resnet50 import preprocess_input`"
        )
    return ModelError(
        f"{archive.path} needs code of its author that is not in the file: {_listed(missing)}", hint
    )


def _carries(archive: Archive, code: list[str]) -> ModelError:
    lambdas = [quoted(one) for one in code if one.startswith("Lambda layer '")]
    return ModelError(
        f"{archive.path} carries code that would run here: {_listed(code)}",
        f"{'a Lambda layer' if lambdas else 'it'} is the author's own program and can do anything; "
        "if you trust the file's author, add --unsafe-load"
        + (
            f"; or put a function of yours in its place: --custom-objects FILE.py with "
            f"`def {function_called(lambdas[0])}(x)`"
            if lambdas
            else ""
        ),
    )


def _refuse_wrappers(archive: Archive) -> None:
    """Raise ModelError for layers that tensorflow_model_optimization has wrapped for training."""
    for node in objects(archive.config):
        name = str(node["class_name"]).rpartition(">")[2]
        if name in _WRAPPERS:
            raise ModelError(
                f"{archive.path} was saved with the wrappers of tensorflow_model_optimization "
                f"around its layers ({name})",
                f"in the environment that trained it: {_WRAPPERS[name]}, then save that model",
            )


def refuse_unknown(archive: Archive, config: dict[str, Any], custom: Mapping[str, Any]) -> None:
    """Raise ModelError for a class that nobody has, or whose arguments the file does not hold."""
    model = {key: value for key, value in config.items() if key != "compile_config"}
    unknown = [one.what for one in refused(model, custom) if one.why == "unknown"]
    unknown += unknown_classes(model, custom)
    if unknown:
        saved = f", saved by Keras {archive.keras_version}" if archive.keras_version else ""
        raise ModelError(
            f"{archive.path}{saved}, has the class {unknown[0]!r}, which Keras "
            f"{keras.__version__} does not have",
            "if it is your own, give the Python file that defines it: --custom-objects FILE.py"
            + (
                "; if not, install a newer Keras: pip install --upgrade keras"
                if _is_newer(archive.keras_version)
                else ""
            ),
        )
    for node in objects(model):
        missing = _missing_arguments(node, custom)
        if missing:
            raise ModelError(
                f"{archive.path} was saved without the arguments of the class "
                f"{node['class_name']!r}: {', '.join(missing)}",
                "give them defaults in the file of --custom-objects, with the values of the "
                f"training: def __init__(self, {'=..., '.join(missing)}=...)",
            )


def _missing_arguments(node: dict[str, Any], custom: Mapping[str, Any]) -> list[str]:
    """Return the arguments that a user's class cannot do without and the file does not have."""
    kind = custom.get(str(node.get("registered_name"))) or custom.get(node["class_name"])
    inner = node.get("config")
    if not inspect.isclass(kind) or not isinstance(inner, dict):
        return []
    own = getattr(getattr(kind, "from_config", None), "__func__", None)
    if own not in (keras.Layer.from_config.__func__, keras.Model.from_config.__func__):
        return []
    positional = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        one.name
        for one in inspect.signature(kind).parameters.values()
        if one.kind in positional and one.default is one.empty and one.name not in inner
    ]


def without_size(model: dict[str, Any]) -> bool:
    """Return whether a Sequential model begins with a layer for which no input is known."""
    layers = model["config"].get("layers") if isinstance(model.get("config"), dict) else None
    if model["class_name"] != "Sequential" or not layers:
        return False
    if model["config"].get("build_input_shape") or model.get("build_config"):
        return False
    first = layers[0]
    if first["class_name"] == "Sequential":
        return without_size(first)
    shapes = ("batch_input_shape", "batch_shape", "input_shape", "layers")
    return not any(first["config"].get(key) for key in shapes)


def cannot_open(archive: Archive, functions: Mapping[str, Any], error: Exception) -> ModelError:
    """Return the error for a file that Keras fails on; ``functions`` are those of its lambdas."""
    saved = f" (saved by Keras {archive.keras_version})" if archive.keras_version else ""
    if _is_newer(archive.keras_version):
        return ModelError(
            f"{archive.path} was saved by Keras {archive.keras_version}, newer than Keras "
            f"{keras.__version__} here, which cannot open it: {first_line(error)}",
            "pip install --upgrade keras",
        )
    failing = failing_layer(error, functions)
    if failing:
        layer, cause = failing
        return ModelError(
            f"{layer} of {archive.path}{saved} fails: {first_line(cause)}",
            "put a function that works here in its place: --custom-objects FILE.py with "
            f"`def {function_called(quoted(layer))}(x)`",
        )
    if archive.weights_only:
        return ModelError(
            f"the weights in {archive.path} do not fit the architecture: {first_line(error)}",
            "--architecture takes the JSON that model.to_json() gave for just these weights",
        )
    return ModelError(
        f"Keras {keras.__version__} cannot open {archive.path}{saved}: {first_line(error)}",
        "open it in the Keras that saved it and save it again as .keras",
    )


def _is_newer(version: str) -> bool:
    try:
        saved, here = (
            tuple(int(part) for part in one.split(".")[:2]) for one in (version, keras.__version__)
        )
    except ValueError:
        return False
    return saved > here


def first_line(error: BaseException) -> str:
    """Return the line of an error that says most: Keras wraps the cause in the configuration."""
    text = _STYLE.sub("", str(error)).rpartition("Example error message for object ")[2].strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = lines or [type(error).__name__]
    if lines[0].startswith("<") and lines[0].endswith(">:") and len(lines) > 1:
        return f"{lines[0].split('name=')[-1].split(',')[0]}: {lines[1]}"[:200]
    causes = [place for place, line in enumerate(lines) if line.startswith(_CAUSES)]
    if not causes:
        return lines[0][:200]
    said = lines[causes[-1]]
    cause = said.removeprefix(_CAUSES[0]) if said.startswith(_CAUSES[0]) else ""
    return (cause.strip() or " ".join(lines[causes[-1] + 1 :][:1]) or said)[:200]
