"""A preset of KerasHub becomes its image classifier, where that package is installed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import warnings
from pathlib import Path
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras
from gradcam_cli.keras_files.allowed import refused
from gradcam_cli.keras_files.blank import blank_weights
from gradcam_cli.keras_files.bounded import parsed
from gradcam_cli.keras_files.hdf5 import bounded_text, open_hdf5
from gradcam_cli.keras_files.memory import sharing
from gradcam_cli.keras_files.refusal import first_line
from gradcam_cli.models.catalog import names
from gradcam_cli.models.choice import is_handle
from gradcam_cli.regular import check_regular, read_bounded, readable
from gradcam_cli.spelling import suggestion

_MODULES = re.compile(r"keras_hub\.src\.(layers|models)(\.\w+)*")
_TASK = ("task.json", "task.weights.h5")
_SHARDS = "model.weights.json"
_CONFIGURATIONS = ("config.json", "task.json", "preprocessor.json", "image_converter.json")


def open_preset(model: str, *, unsafe: bool = False) -> Any:
    """Return the ``ImageClassifier`` of a preset: a folder, a built-in name or an address.

    Unless ``unsafe``, nothing but Keras and KerasHub is imported for it. Raises ModelError when
    KerasHub is not installed or the preset is unknown, cannot be downloaded, is not a whole image
    classifier, or names classes of anybody else.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise ModelError(f"{model} is a preset of KerasHub, which is not installed", _INSTALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hub = importlib.import_module("keras_hub")
        preset = _preset(model, hub)
        configurations = _configurations(preset, model)
        _refuse_others(configurations, model, unsafe)
        _check_weights(preset, model)
        try:
            with blank_weights(), sharing(), bounded_text():
                return hub.models.ImageClassifier.from_preset(preset)
        except MemoryError:
            raise
        except Exception as error:  # of Keras, h5py, JSON and whatever downloads
            raise ModelError(
                f"KerasHub {hub.__version__} cannot open the preset {model} as an image "
                f"classifier: {first_line(error)}",
                f"try it in Python: keras_hub.models.ImageClassifier.from_preset({preset!r})",
            ) from error


_INSTALL = "pip install keras-hub"


def _preset(model: str, hub: Any) -> str:
    """Return what KerasHub calls a preset."""
    if "://" in model or Path(model).is_dir():
        return model
    if is_handle(model):
        return f"kaggle://{model}"
    known = hub.models.ImageClassifier.presets
    if model not in known:
        raise ModelError(
            f"there is no model and no image classifier of KerasHub called {model!r}",
            suggestion(model.lower(), [*known, *names()], "`gradcam models` lists the names")
            + "; presets: https://keras.io/keras_hub/presets",
        )
    return model


def _configurations(preset: str, model: str) -> dict[str, Any]:
    """Return a preset's JSON files, downloaded if need be."""
    files = importlib.import_module("keras_hub.src.utils.preset_utils")
    if Path(preset).is_dir():
        _check_files(Path(preset))
    try:
        read = {
            name: _json(files, preset, name)
            for name in _CONFIGURATIONS
            if files.check_file_exists(preset, name)
        }
        whole = all(files.check_file_exists(preset, name) for name in _TASK)
    except Exception as error:  # of whatever downloads, and of JSON
        if Path(preset).is_dir():
            raise ModelError(
                f"{model} is a damaged preset: {first_line(error)}", "copy its folder again"
            ) from error
        raise ModelError(
            f"the preset {model} cannot be downloaded: {first_line(error)}",
            "check the name and the connection; or where there is one, in Python: "
            f"keras_hub.models.ImageClassifier.from_preset({preset!r}).save_to_preset('FOLDER'), "
            "then --model FOLDER",
        ) from error
    config = read.get("config.json")
    if not isinstance(config, dict):
        raise ModelError(
            f"{model} has no configuration, config.json",
            "only presets of image classifiers can be explained: those in "
            "keras_hub.models.ImageClassifier.presets",
        )
    if "registered_name" in config and not whole:
        raise ModelError(
            f"the preset {model} holds a backbone without a trained head",
            f"{' and '.join(_TASK)} are needed: classifier.save_to_preset('FOLDER') writes them",
        )
    return read


def _json(files: Any, preset: str, name: str) -> Any:
    path = Path(preset) / name
    if Path(preset).is_dir():
        return parsed(read_bounded(path, "--architecture"), path, "it")
    return files.load_json(preset, name)


def _check_files(folder: Path) -> None:
    """Raise ModelError for a pipe or a device in a folder, where KerasHub would wait for ever."""
    for path in folder.rglob("*"):
        if path.is_dir() or not path.exists():
            continue
        with readable(path, "", "copy the preset's folder again"):
            check_regular(path, "--architecture" if path.suffix == ".json" else "--model")


def _refuse_others(configurations: dict[str, Any], model: str, unsafe: bool) -> None:
    """Raise ModelError for what no image classifier of Keras and KerasHub is made of."""
    for name, value in configurations.items():
        found = refused(value, also=_is_hubs)
        never = [one.what for one in found if one.why == "never"]
        if never:
            raise ModelError(
                f"{name} of the preset {model} names what no classifier is made of: "
                f"{'; '.join(never[:3])}",
                "only layers, models and image converters are opened, with --unsafe-load too",
            )
        if found and not unsafe:
            raise ModelError(
                f"{name} of the preset {model} needs code of its author: "
                f"{'; '.join(one.what for one in found[:3])}",
                "if you trust the preset's author, add --unsafe-load",
            )


def _check_weights(preset: str, model: str) -> None:
    """Raise ModelError for weights that are damaged or lead to other files; download them."""
    files = importlib.import_module("keras_hub.src.utils.preset_utils")
    names = {"model.weights.h5", "task.weights.h5"}
    try:
        if files.check_file_exists(preset, _SHARDS):
            for shards in files.load_json(preset, _SHARDS)["weight_map"].values():
                names |= {shards} if isinstance(shards, str) else set(shards)
        for name in sorted(names):
            if Path(name).name != name:
                raise ModelError(
                    f"{_SHARDS} of the preset {model} names weights in another folder, {name!r}",
                    "get the preset again, from its author",
                )
            if files.check_file_exists(preset, name):
                with open_hdf5(Path(files.get_file(preset, name))):
                    pass
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # of whatever downloads, of JSON and of h5py
        raise ModelError(
            f"the weights of the preset {model} cannot be read: {first_line(error)}",
            "get the preset again, from its author",
        ) from error


def _is_hubs(node: dict[str, Any]) -> bool:
    """Return whether an object is a layer or model of KerasHub that deals with images.

    Keras looks for the registered name alone if there is such a class. Tokenizers read files.
    """
    named = node.get("registered_name") or node["class_name"]
    kind = keras.saving.get_registered_object(named) if isinstance(named, str) else None
    return (
        inspect.isclass(kind)
        and issubclass(kind, keras.Layer)
        and bool(_MODULES.fullmatch(kind.__module__))
        and not any("Tokenizer" in base.__name__ for base in kind.__mro__)
    )
