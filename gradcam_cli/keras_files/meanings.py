"""What a configuration of Keras 1 or 2 meant, where Keras 3 means something else by the same names.

Nothing here makes a file open: without it the file opens and answers wrongly. What is in the tables
is all that differs between the arguments, defaults and functions of Keras 1.0 to 2.15, tf_keras and
Keras 3 in layers that images go through.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from gradcam_cli.isolation import keras
from gradcam_cli.keras_files.archive import objects
from gradcam_cli.keras_files.known import class_of, every_layer
from gradcam_cli.keras_files.rewire import counted, reported

_Json = dict[str, Any]

_RECURRENT = {"recurrent_activation": "hard_sigmoid"}
# Class -> what an argument that is not there was taken to be; Keras 3 takes it for another value.
_DEFAULTS: dict[str, _Json] = {
    "ConvLSTM1D": _RECURRENT,
    "ConvLSTM2D": _RECURRENT,
    "ConvLSTM3D": _RECURRENT,
    "GRU": {**_RECURRENT, "reset_after": False},
    "GRUCell": {**_RECURRENT, "reset_after": False},
    "LSTM": _RECURRENT,
    "LSTMCell": _RECURRENT,
}
# Classes that only a GPU had -> the class, and its arguments that were fixed.
_ON_GPU: dict[str, tuple[str, _Json]] = {
    "CuDNNGRU": (
        "GRU",
        {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True},
    ),
    "CuDNNLSTM": ("LSTM", {"activation": "tanh", "recurrent_activation": "sigmoid"}),
}


@keras.saving.register_keras_serializable("gradcam")  # type: ignore[untyped-decorator]
def keras_2_hard_sigmoid(x: Any) -> Any:
    """Return clip(x / 5 + 1/2, 0, 1); Keras 3's ``hard_sigmoid`` is clip(x / 6 + 1/2, 0, 1)."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


# Name of a function -> what that name stood for.
_FUNCTIONS = {"hard_sigmoid": keras_2_hard_sigmoid}


def before_keras_3(config: _Json, version: str) -> bool:
    """Return whether a configuration was written by Keras 1, Keras 2, tf.keras or tf_keras.

    Where no version is known, Keras 3 (and the Keras core before it) is recognised by the module
    that it writes beside every class.
    """
    if version:
        return version.startswith(("1.", "2."))
    return "module" not in config


def old_defaults(config: _Json) -> list[str]:
    """Write down arguments that are missing and of which Keras 3 has another default."""
    found: Counter[str] = Counter()
    for node in objects(config):
        if not isinstance(node.get("config"), dict):
            continue
        if node["class_name"] in _ON_GPU:
            name, fixed = _ON_GPU[node["class_name"]]
            found[f"read {{}} {node['class_name']} as {name}"] += 1
            node["class_name"] = name
            node["config"] |= fixed
        if node["class_name"] == "RandomCrop" and "height" in node["config"]:
            # Outside training Keras 2 resized the largest part of the crop's proportions.
            common = ("name", "trainable", "dtype", "height", "width", "batch_input_shape")
            node["class_name"] = "Resizing"
            node["config"] = {key: node["config"][key] for key in common if key in node["config"]}
            node["config"]["crop_to_aspect_ratio"] = True
            found["read {} RandomCrop as Resizing"] += 1
        for key, value in _DEFAULTS.get(node["class_name"], {}).items():
            if key not in node["config"]:
                node["config"][key] = value
                found[f"gave {{}} {node['class_name']} the `{key}` of its time, {value}"] += 1
    return reported(found)


def old_functions(config: _Json) -> list[str]:
    """Let activations that are named be what the name stood for."""
    found: Counter[str] = Counter()
    for layer in every_layer(config):
        for key in ("activation", "recurrent_activation"):
            value = layer["config"].get(key)
            name = value.get("config") if isinstance(value, dict) else value
            if isinstance(name, str) and name in _FUNCTIONS:
                layer["config"][key] = keras.activations.serialize(_FUNCTIONS[name])
                found[f"took `{name}` in {{}} for Keras 2's, which is not Keras 3's"] += 1
    return reported(found, "place")


def lost_arguments(config: _Json) -> list[str]:
    """Name the module of layers whose arguments Keras 3 loses on the way it reads old HDF5 files.

    It drops an ``axis`` of several numbers there, and takes the text ``dot`` for a function.
    """
    found: Counter[str] = Counter()
    for layer in every_layer(config):
        axis = layer["config"].get("axis")
        key = "axis" if isinstance(axis, list) and len(axis) > 1 else ""
        key = "score_mode" if layer["config"].get("score_mode") == "dot" else key
        known = class_of({**layer, "module": "keras.layers"})
        if key and known is not None and "module" not in layer:
            layer["module"], layer["registered_name"] = "keras.layers", None
            found[f"preserved `{key}` of {{}} {layer['class_name']}"] += 1
    return reported(found)


def not_reproduced(config: _Json, version: str, theano: bool) -> tuple[str, ...]:
    """Return a sentence for every kind of layer that Keras 3 can only come near to.

    Theano centred padding, where TensorFlow puts the odd cell behind. Keras 2.2.3 to 2.3 (not
    tf.keras) interpolated from the corners of cells.
    """
    padded = sum(theano and _pads_unevenly(layer["config"]) for layer in every_layer(config))
    corners = version.startswith(("2.2.", "2.3.")) and "tf" not in version
    resized = sum(
        corners
        and layer["class_name"] == "UpSampling2D"
        and layer["config"].get("interpolation") == "bilinear"
        for layer in every_layer(config)
    )
    sentences = []
    if padded:
        what = counted(padded, "layer")
        sentences.append(f"padded {what} ('same', strided or even) as TensorFlow, not as Theano")
    if resized:
        what = counted(resized, "UpSampling2D layer")
        sentences.append(f"interpolated {what} from the centres of cells, not as Keras {version}")
    return tuple(sentences)


def _pads_unevenly(inner: _Json) -> bool:
    """Return whether a layer's 'same' padding may differ between Theano and TensorFlow."""
    sizes = [inner.get("kernel_size"), inner.get("pool_size")]
    numbers = [one if isinstance(one, list) else [one] for one in (inner.get("strides"), *sizes)]
    strided = any(one not in (1, None) for one in numbers[0])
    even = any(isinstance(one, int) and one % 2 == 0 for many in numbers[1:] for one in many)
    return inner.get("padding") == "same" and (strided or even)
