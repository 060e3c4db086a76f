"""A model file becomes a Keras network, whatever version of Keras saved it."""

from __future__ import annotations

import contextlib
import copy
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras, tf
from gradcam_cli.keras_files.allowed import without_training
from gradcam_cli.keras_files.archive import Archive, objects, read_archive, read_pair
from gradcam_cli.keras_files.blank import blank_weights
from gradcam_cli.keras_files.budget import limited_weights
from gradcam_cli.keras_files.container import WEIGHTS, unpacked, without_assets
from gradcam_cli.keras_files.custom import CustomObjects, read_custom_objects
from gradcam_cli.keras_files.hdf5 import bounded_text
from gradcam_cli.keras_files.lambdas import own_functions, trusted_code
from gradcam_cli.keras_files.link import named
from gradcam_cli.keras_files.meanings import not_reproduced
from gradcam_cli.keras_files.memory import sharing
from gradcam_cli.keras_files.names import LOOKUPS
from gradcam_cli.keras_files.oldweights import assign_converted, conversion, finalize
from gradcam_cli.keras_files.refusal import (
    blaming,
    cannot_open,
    first_line,
    refuse_code,
    refuse_unknown,
    without_size,
)
from gradcam_cli.keras_files.regroup import keras_2_groups, regroup
from gradcam_cli.keras_files.repair import repair


@dataclass(frozen=True, slots=True)
class Opened:
    """A network from a file, and what was done to open it.

    ``repaired`` has a plain sentence for each repair, such as "dropped `groups` from 17
    DepthwiseConv2D layers", and is empty for a file that Keras opens as it is.
    """

    network: Any
    repaired: tuple[str, ...]


def open_network(
    path: Path,
    *,
    unsafe: bool = False,
    custom_objects: Path | None = None,
    architecture: Path | None = None,
    application: Callable[[Iterable[str]], str] = lambda _: "",
) -> Opened:
    """Open a model file without compiling it and without running code from it.

    ``unsafe`` lets Lambda layers and pickled code in the file run, ``custom_objects`` is a Python
    file with the user's own layers and functions, ``architecture`` the JSON that belongs to a file
    of weights, ``application`` what ``own_functions`` asks. The file itself is never changed.

    Raises ModelError when the file is not a Keras model, is damaged, holds code or classes that are
    not allowed, or cannot be repaired; the sentence says which, the hint says what helps.
    """
    with blaming(str(path), "opened"):
        archive = read_archive(path) if architecture is None else read_pair(path, architecture)
    mine = CustomObjects() if custom_objects is None else read_custom_objects(custom_objects)
    with blaming(str(path), "opened"):
        return _opened(archive, mine, unsafe, application)


def _opened(
    archive: Archive,
    mine: CustomObjects,
    unsafe: bool,
    application: Callable[[Iterable[str]], str],
) -> Opened:
    path = archive.path
    config, functions, taken = own_functions(archive.config, mine.objects, application)
    config, repaired = repair(config, archive.keras_version)
    repaired = (*taken, *repaired)
    custom = mine.objects | functions
    config, trained = without_training(config)
    refuse_code(replace(archive, config=config), custom, unsafe)
    if unsafe:
        config, trusted = trusted_code(config, mine.names, path)
        functions |= trusted
        custom |= trusted
    custom |= _registered_names(archive, custom)
    refuse_unknown(archive, config, custom)
    if without_size(config):
        raise ModelError(
            f"{path} does not say the size of its pictures",
            "in the environment that saved it: model.build((None, HEIGHT, WIDTH, CHANNELS)), "
            "then save it again",
        )
    try:
        with contextlib.ExitStack() as stack, warnings.catch_warnings():
            # What Keras has to say about an old file is not for the user of this program.
            warnings.simplefilter("ignore")
            stack.enter_context(contextlib.nullcontext() if mine.names else blank_weights())
            stack.enter_context(sharing())
            stack.enter_context(bounded_text())
            stack.enter_context(limited_weights(path))
            changed = repaired or functions or archive.weights_only or trained
            if changed or _old_groups(archive) or _conversion(archive):
                network, matched = _rebuild(archive, config, custom, unsafe)
                theano = "Theano" in _conversion(archive)
                matched += not_reproduced(config, archive.keras_version, theano)
            else:
                network, matched = _load(archive, custom, unsafe), ()
            if archive.container == "hdf5":
                finalize(network)
    except (ModelError, MemoryError, tf.errors.ResourceExhaustedError):
        raise
    except Exception as error:
        raise cannot_open(archive, functions, error) from error
    if not isinstance(network, keras.Model):
        raise ModelError(
            f"{path} holds the class {type(network).__name__!r}, not a model",
            "save the whole model",
        )
    return Opened(
        network=network,
        repaired=(*repaired, *matched),
    )


def save_repaired(network: Any, path: Path, source: Path) -> None:
    """Write an opened network as a new ``.keras`` file, whole or not at all.

    Raises ModelError when ``path`` is the file that the network came from, has another ending, or
    cannot be written.
    """
    if path.suffix != ".keras":
        raise ModelError(f"{path} does not end in .keras", "a repaired model is saved as .keras")
    if path.exists() and path.samefile(source):
        raise ModelError(
            f"{path} is the model file itself, which is never changed", "choose another name"
        )
    unfinished = path.with_name(f".{path.stem}-{os.getpid()}.keras")
    try:
        keras.saving.save_model(network, unfinished)
        unfinished.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(
            f"cannot write {path}: {reason}", "choose a folder that you may write to"
        ) from error
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"{path} cannot be saved: {first_line(error)}",
            "a class of your own needs a get_config method",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _registered_names(archive: Archive, custom: dict[str, Any]) -> dict[str, Any]:
    """Return the user's classes by the names under which the file's author registered them."""
    return {
        str(node["registered_name"]): custom[node["class_name"]]
        for node in objects(archive.config)
        if ">" in str(node.get("registered_name")) and node["class_name"] in custom
    }


def _load(archive: Archive, custom: dict[str, Any], unsafe: bool) -> Any:
    """Let Keras load a file that needs no repair."""
    ending = "model.keras" if archive.container == "keras" else "model.h5"
    with named(archive.path, ending) as link:
        if archive.container == "keras" and not custom:
            classes = {str(node["class_name"]) for node in objects(archive.config)}
            link = without_assets(link, not classes.isdisjoint(LOOKUPS))
        return keras.saving.load_model(
            link, custom_objects=custom, compile=False, safe_mode=not unsafe
        )


def _rebuild(
    archive: Archive, config: dict[str, Any], custom: dict[str, Any], unsafe: bool
) -> tuple[Any, tuple[str, ...]]:
    """Build a network from a repaired configuration, and give it the weights of the file."""
    top = {**config, "compile_config": None}
    if "module" not in top:
        functional = top["class_name"] in ("Functional", "Model")
        top["module"] = "keras.src.models.functional" if functional else "keras"
        top["class_name"] = "Functional" if functional else top["class_name"]
        top["registered_name"] = None
    # Keras empties the configuration that it is given.
    network = keras.saving.deserialize_keras_object(
        copy.deepcopy(top), custom_objects=custom, safe_mode=not unsafe
    )
    if archive.container == "hdf5":
        return network, _assign(network, archive)
    with unpacked(archive.path, WEIGHTS) as weights:
        matched = regroup(weights, network, top) if _old_groups(archive) else 0
        network.load_weights(weights)
    if not matched:
        return network, ()
    return network, (f"matched the weights of {matched} layer{'s' * (matched > 1)} by their order",)


def _assign(network: Any, archive: Archive) -> tuple[str, ...]:
    """Read the weights of an HDF5 file, in the layout of Keras 1 and 2 or of Keras 3."""
    why = _conversion(archive)
    with h5py.File(archive.path, "r", locking=False) as file:
        whole_or_old = "model_weights" in file or "layer_names" in file.attrs
        if why:
            turned = assign_converted(network, file.get("model_weights", file), why)
            return _converted(why, turned)
    with named(archive.path, "model.h5" if whole_or_old else WEIGHTS) as link:
        network.load_weights(link)
    return ()


def _conversion(archive: Archive) -> str:
    """Return why the weights of an HDF5 file must be converted; empty if they need not."""
    if archive.container != "hdf5":
        return ""
    with h5py.File(archive.path, "r", locking=False) as file:
        group = file.get("model_weights", file)
        old = any(key in group.attrs for key in ("layer_names", "layer_names0"))
        return conversion(group, archive.keras_version) if old else ""


def _converted(why: str, turned: int) -> tuple[str, ...]:
    if "Theano" in why:
        return (f"turned {turned} kernel{'s' * (turned != 1)} of Theano by 180 degrees",)
    unknown = " (whether Theano trained them is not in the file)" if "1" in why else ""
    return (f"brought the weights of {why} into the order of Keras 3{unknown}",)


def _old_groups(archive: Archive) -> bool:
    """Return whether the weights in a ``.keras`` file are grouped as Keras 2.12 to 2.15 did."""
    if archive.container != "keras" or not archive.keras_version.startswith("2."):
        return False
    return keras_2_groups(archive.path)
