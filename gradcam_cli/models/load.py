"""A name or a file becomes a Model: network, input size, scaling, labels, default layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras, own_settings
from gradcam_cli.keras_files.assign import assign_weights
from gradcam_cli.keras_files.blank import blank_weights
from gradcam_cli.keras_files.budget import limited_operations
from gradcam_cli.keras_files.file import open_network
from gradcam_cli.keras_files.foreign import checkpoint
from gradcam_cli.keras_files.refusal import blaming
from gradcam_cli.models import lite0
from gradcam_cli.models.arrays import read_array
from gradcam_cli.models.backbone import application_of, recognise
from gradcam_cli.models.catalog import Entry, find, names
from gradcam_cli.models.choice import file_digest, folder_digest, is_file, is_preset
from gradcam_cli.models.classes import check_count
from gradcam_cli.models.fetch import fetch
from gradcam_cli.models.hub import open_preset
from gradcam_cli.models.labels import Labels, imagenet_labels, read_labels
from gradcam_cli.models.preprocessor import Preprocessor, own_preprocessor
from gradcam_cli.models.scaling import (
    SCALINGS,
    UNKNOWN,
    Scaling,
    check_channels,
    custom_scaling,
    find_scaling,
    of_bgr,
)
from gradcam_cli.models.weights import cached_file, is_installed
from gradcam_cli.network.paths import named_operations
from gradcam_cli.network.ports import Ports, find_ports, single_input, takes_any_size
from gradcam_cli.network.survey import Survey, survey
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spelling import nearby

_NO_LABELS = Labels(names=(), ids=())


@dataclass(frozen=True, slots=True)
class Model:
    """A classifier that is ready to classify images, and all that was found out about it.

    ``ports`` say where the image goes in and the classes come out. ``scaling`` turns pixels of
    0..255 into what the network takes. ``layer`` is
    the default layer, empty where there is none. ``notes`` and ``warnings`` are for the user.
    ``own`` says that the network was read from a file of theirs; what was found while it was is
    kept for ``surveyed``.
    """

    name: str
    network: Any
    weights: str
    ports: Ports
    scaling: Scaling
    labels: Labels
    classes: int
    layer: str = ""
    interpolation: str = "bilinear"
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    own: bool = False
    found: Survey | None = field(default=None, repr=False)

    def surveyed(self) -> Survey:
        """Return what one trace of the network shows."""
        return self.found or survey(self.network, self.ports)


def load(choice: ModelSpec, only_shown: bool = False) -> Model:
    """Load the chosen model.

    ``only_shown`` is for showing a model rather than using it: ImageNet weights that are not on
    this machine are random, and pixels stay unscaled where nothing says how; both become warnings.

    Raises ModelError when it cannot be had or does not fit the other choices, and GradcamError for
    preprocessing or labels that make no sense.
    """
    with own_settings():
        if is_preset(choice.model):
            model = _load_preset(choice, only_shown)
        else:
            model = (_load_file if is_file(choice.model) else _load_named)(choice, only_shown)
    if choice.channels == "bgr":
        model = _in_bgr(model)
    if choice.labels is not None:
        model = replace(model, labels=read_labels(choice.labels))
    if model.labels.names:
        check_count(model.labels, model.classes)
    return model


def _in_bgr(model: Model) -> Model:
    scaling = of_bgr(model.scaling)
    check_channels(replace(scaling, bgr=True), model.ports.channels)
    note = f"channels before the model, by --channels bgr: {scaling.says}"
    return replace(model, scaling=scaling, notes=(*model.notes, note))


def _load_named(choice: ModelSpec, only_shown: bool) -> Model:
    entry = find(choice.model)
    if only_shown and choice.weights == "imagenet" and not _is_here(entry):
        choice = replace(choice, weights="random")
    warnings: tuple[str, ...] = ()
    if choice.weights == "random":
        network, weights = _build(entry, seed=choice.seed), f"random, seed {choice.seed}"
        warnings = ("the weights are random: predictions and heatmaps mean nothing",)
    elif choice.weights == "imagenet":
        network, weights = _with_imagenet(entry), "imagenet"
    else:
        path = Path(choice.weights)
        weights = file_digest(path, "--weights")
        network = _with_file(entry, path)
    own = SCALINGS["none" if entry.preprocess == "inside" else entry.preprocess]
    scaling = _chosen_scaling(choice) or own
    if scaling != own:
        warnings = (
            *warnings,
            f"{entry.name} was trained on other numbers: {own.says}"
            + (", which it scales itself" if entry.preprocess == "inside" else ""),
        )
    return Model(
        name=entry.name,
        network=network,
        weights=weights,
        ports=_named_ports(choice, entry),
        scaling=scaling,
        labels=imagenet_labels(),
        classes=len(imagenet_labels().names),
        layer="" if entry.layer_is_numbered else entry.layer,
        interpolation=lite0.INTERPOLATION if entry.name == lite0.NAME else "bilinear",
        warnings=warnings,
    )


def _named_ports(choice: ModelSpec, entry: Entry) -> Ports:
    if choice.inputs or choice.output:
        raise ModelError(
            f"{entry.name} has one input and one output", "leave out --input and --output"
        )
    if choice.architecture or choice.custom_objects or choice.unsafe_load:
        raise ModelError(
            f"{entry.name} is built by name, without a model file",
            "leave out --architecture, --custom-objects and --unsafe-load",
        )
    if choice.input_size not in (None, entry.input_size):
        raise ModelError(
            f"{entry.name} takes pictures of {entry.input_size[0]}x{entry.input_size[1]}",
            "leave out --input-size",
        )
    ports = single_input(entry.input_size)
    return ports.turned() if choice.transpose else ports


def _is_here(entry: Entry) -> bool:
    return is_installed(entry) or cached_file(entry) is not None


def _build(entry: Entry, seed: int | None = None) -> Any:
    if seed is not None:
        keras.utils.set_random_seed(seed)
    if entry.name == lite0.NAME:
        return lite0.build("random", seed)
    constructor = getattr(keras.applications, entry.constructor, None)
    if constructor is None:
        raise ModelError(
            f"{entry.constructor} is not in Keras {keras.__version__}", "install a newer Keras"
        )
    return constructor(weights=None)


def _with_imagenet(entry: Entry) -> Any:
    if entry.name == lite0.NAME:
        return lite0.build("imagenet")
    return _with_file(entry, fetch(entry))


def _with_file(entry: Entry, path: Path) -> Any:
    with blank_weights():
        network = _build(entry)
    assign_weights(network, path, entry.name)
    return network


def _load_file(choice: ModelSpec, only_shown: bool) -> Model:
    path = Path(choice.model)
    if not path.exists() and path.with_name(f"{path.name}.index").exists():
        raise checkpoint(path)
    if not path.exists():
        raise ModelError(
            f"there is no model file {path}",
            f"{nearby(path)}; models known by name: {', '.join(names()[:4])}, ... "
            "(`gradcam models` lists all)",
        )
    if choice.weights != "imagenet":
        raise ModelError(
            "--weights goes with a named model; a model file brings its own", "leave out --weights"
        )
    opened = open_network(
        path,
        unsafe=choice.unsafe_load,
        custom_objects=choice.custom_objects,
        architecture=choice.architecture,
        application=application_of,
    )
    notes = tuple(f"repaired: {repair}" for repair in opened.repaired)
    return _own_model(choice, only_shown, opened.network, file_digest(path), notes)


def _load_preset(choice: ModelSpec, only_shown: bool) -> Model:
    if choice.weights != "imagenet" or choice.architecture or choice.custom_objects:
        raise ModelError(
            f"{choice.model} is a preset of KerasHub, which brings all that belongs to it",
            "leave out --weights, --architecture and --custom-objects",
        )
    network = open_preset(choice.model, unsafe=choice.unsafe_load)
    folder = Path(choice.model)
    weights = folder_digest(folder) if folder.is_dir() else f"preset {choice.model}"
    model = _own_model(choice, only_shown, network, weights)
    # KerasHub's presets with ImageNet in their names keep ImageNet's order, but not its labels.
    if "imagenet" in choice.model and model.classes == 1000 and not folder.is_dir():
        model = replace(model, labels=imagenet_labels())
    return model


def _own_model(
    choice: ModelSpec, only_shown: bool, network: Any, weights: str, notes: tuple[str, ...] = ()
) -> Model:
    """Return the model of a network from a file or preset, which is at fault for what it raises."""
    with blaming(choice.model, "traced"):
        return _examined(choice, only_shown, network, weights, notes)


def _examined(
    choice: ModelSpec, only_shown: bool, network: Any, weights: str, notes: tuple[str, ...]
) -> Model:
    own = own_preprocessor(network)
    size = choice.input_size or (own.size if own and takes_any_size(network) else None)
    constants = {name: read_array(name, path) for name, path in choice.inputs}
    with limited_operations(choice.model):
        ports = find_ports(network, size, constants, choice.output, choice.transpose)
        found = survey(network, ports)
    scaling, warnings = _file_scaling(choice, found, network, own, only_shown)
    check_channels(scaling, ports.channels)
    if found.behind_softmax:
        warnings = (
            *warnings,
            "no logits were found behind the model's output (a softmax or sigmoid written out by "
            "hand, or an average of several): maps explain the output itself, as --score "
            "probability does",
        )
    if own is not None and own.resize != "squash":
        notes = (*notes, f"the model's own preprocessor resizes as --resize {own.resize} does")
    if found.inside not in ("", "nothing"):
        notes = (*notes, f"scaling inside the model: to {found.inside}")
    return Model(
        name=choice.model if "://" in choice.model else str(Path(choice.model)),
        network=network,
        weights=weights,
        ports=ports,
        scaling=scaling,
        labels=_NO_LABELS,
        classes=found.classes,
        layer=found.default,
        notes=notes,
        warnings=warnings,
        own=True,
        found=found,
    )


def _chosen_scaling(choice: ModelSpec) -> Scaling | None:
    families = [(name, find(name).preprocess) for name in names()]
    if choice.preprocess == "auto" and not (choice.mean or choice.std):
        return None
    name = "none" if choice.preprocess == "auto" else choice.preprocess
    scaling = find_scaling(name, families)
    if choice.mean or choice.std:
        scaling = custom_scaling(scaling, choice.mean, choice.std)
    return scaling


def _file_scaling(
    choice: ModelSpec, found: Survey, network: Any, own: Preprocessor | None, only_shown: bool
) -> tuple[Scaling, tuple[str, ...]]:
    """Return how to scale for a user's model, and what to warn of; never silently a guess."""
    chosen = _chosen_scaling(choice)
    scales_itself = found.inside not in ("", "nothing")
    if chosen is not None:
        if scales_itself and chosen.name != "none":
            return chosen, (
                f"the model already scales pixels to {found.inside}; --preprocess {chosen.name} "
                "scales them twice",
            )
        return chosen, ()
    if own is not None:
        return own.scaling, ()
    if scales_itself:
        return SCALINGS["none"], ()
    backbone = recognise(named_operations(network))
    if backbone is not None and backbone.preprocess in SCALINGS:
        scaling = SCALINGS[backbone.preprocess]
        return scaling, (
            f"the backbone looks like {backbone.constructor}: pixels are scaled as its "
            f"preprocess_input does ({scaling.says}); --preprocess says otherwise",
        )
    if only_shown:
        return UNKNOWN, ("nothing in the model says how its pictures must be scaled",)
    raise ModelError(
        f"nothing in {choice.model} says how its pictures must be scaled",
        "say it with --preprocess; the training code may have rescale=1/255 (unit), "
        "/127.5 - 1 (tf), preprocess_input of an application (its name), or nothing (none); "
        "--preprocess try shows them side by side; wrong scaling gives confident nonsense",
    )
