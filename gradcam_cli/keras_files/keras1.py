"""The layers of Keras 1 (2015 to 2017) become those of Keras 2: other names, the same meaning."""

from __future__ import annotations

from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.archive import objects
from gradcam_cli.keras_files.rewire import counted

_Json = dict[str, Any]

_CLASSES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
_MERGES = {
    "ave": "Average",
    "concat": "Concatenate",
    "dot": "Dot",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}
# Arguments by their name today; several old ones make one list.
_RENAMED: dict[str, tuple[str, ...]] = {
    "atrous_rate": ("dilation_rate",),
    "bias": ("use_bias",),
    "border_mode": ("padding",),
    "dim_ordering": ("data_format",),
    "dropout_U": ("recurrent_dropout",),
    "dropout_W": ("dropout",),
    "filter_length": ("kernel_size",),
    "inner_activation": ("recurrent_activation",),
    "input_dtype": ("dtype",),
    "length": ("size",),
    "nb_filter": ("filters",),
    "p": ("rate",),
    "pool_length": ("pool_size",),
    "sigma": ("stddev",),
    "stride": ("strides",),
    "subsample": ("strides",),
    "subsample_length": ("strides",),
}
_KERNELS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
_ORDERS = {"tf": "channels_last", "th": "channels_first"}
# What only training and the first weights depend on.
_TRAINING = (
    *("W_constraint", "W_regularizer", "U_regularizer", "activity_regularizer", "b_constraint"),
    *("b_regularizer", "beta_init", "beta_regularizer", "consume_less", "depthwise_constraint"),
    *("depthwise_regularizer", "forget_bias_init", "gamma_init", "gamma_regularizer", "init"),
    *("inner_init", "input_dim", "input_length", "pointwise_constraint", "pointwise_regularizer"),
    "weights",
)
# What no layer of Keras 2 has among its arguments.
_MARKS = {
    *("W_constraint", "W_regularizer", "b_regularizer", "beta_init", "border_mode", "consume_less"),
    *("dim_ordering", "filter_length", "init", "inner_init", "input_dtype", "mode", "nb_filter"),
    *("p", "pool_length", "sigma", "subsample"),
}
_OLDER = "Keras 1.2 opens it and saves it as .h5, which is read here: pip install keras==1.2.2"


def list_sequentials(config: _Json) -> list[str]:
    """Before Keras 2.2.3 a Sequential's configuration was the bare list of its layers."""
    found = 0
    for node in objects(config):
        if node["class_name"] == "Sequential" and isinstance(node.get("config"), list):
            found += 1
            node["config"] = {
                "name": node.get("name") or f"sequential_{found}",
                "layers": node["config"],
            }
    return [f"named {counted(found, 'Sequential model')} of Keras 2.2 or older"] if found else []


def keras_1_layers(config: _Json) -> list[str]:
    """Rename the classes and arguments of Keras 1.

    Raises ModelError for a model of Keras 0 and for what has no counterpart in Keras 3.
    """
    if "class_name" not in config or config["class_name"] == "Graph":
        raise ModelError("the model was saved by Keras 0, before 2016", _OLDER)
    found = 0
    for node in objects(config):
        inner = node.get("config")
        if (
            isinstance(inner, dict)
            and not inner.get("layers")
            and _is_old(node["class_name"], inner)
        ):
            _rename(node, inner)
            found += 1
        elif node["class_name"] == "Merge":
            raise _refused(node, "joins models in front of a Sequential model")
    return [f"renamed the arguments of {counted(found, 'layer')} of Keras 1"] if found else []


def _is_old(name: str, inner: _Json) -> bool:
    """Return whether a layer has a class or an argument that only Keras 1 had."""
    if name in ("Dense", "LSTM", "GRU", "SimpleRNN"):
        return "output_dim" in inner
    if name == "UpSampling1D":
        return "length" in inner
    if name == "Lambda":
        return False
    return name in _CLASSES or name == "Merge" or bool(_MARKS & set(inner))


def _rename(node: _Json, inner: _Json) -> None:
    name = node["class_name"]
    if name == "Merge":
        _merge(node, inner)
        return
    if name == "BatchNormalization" and inner.pop("mode", 0) != 0:
        raise _refused(node, "normalises by the batch or the sample (mode 1 or 2)")
    if inner.get("border_mode") == "full":
        raise _refused(node, "has the border mode `full`")
    node["class_name"] = _CLASSES.get(name, name)
    if name != "Embedding" and "output_dim" in inner:
        inner["units"] = inner.pop("output_dim")
    if name == "Deconvolution2D":
        inner.pop("output_shape", None)
    for key in _TRAINING if name != "Embedding" else (*_TRAINING, "dropout"):
        if (name, key) != ("Embedding", "input_dim"):
            inner.pop(key, None)
    for sizes in _KERNELS:
        if sizes[0] in inner:
            inner["kernel_size"] = [inner.pop(size) for size in sizes]
    for old, (new,) in _RENAMED.items():
        if old in inner:
            inner[new] = inner.pop(old)
    if inner.get("data_format") in _ORDERS:
        inner["data_format"] = _ORDERS[inner["data_format"]]
    padding = inner.get("padding")
    if name == "ZeroPadding2D" and isinstance(padding, dict):
        padding = [padding.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
    if name == "ZeroPadding2D" and isinstance(padding, list) and len(padding) == 4:
        inner["padding"] = [padding[:2], padding[2:]]


def _merge(node: _Json, inner: _Json) -> None:
    mode = inner.get("mode")
    if mode not in _MERGES or inner.get("layers"):
        raise _refused(node, f"merges by {mode!r}")
    node["class_name"] = _MERGES[mode]
    # Without `trainable` it would be taken for an operation of Keras 3.
    settings: _Json = {"name": inner.get("name"), "trainable": True}
    if mode == "concat":
        settings["axis"] = inner.get("concat_axis", -1)
    if mode == "dot":
        settings["axes"] = inner.get("dot_axes", -1)
    node["config"] = settings


def _refused(node: _Json, what: str) -> ModelError:
    inner = node.get("config")
    label = inner.get("name") if isinstance(inner, dict) else None
    return ModelError(
        f"the {node['class_name']} layer {label!r} of Keras 1 {what}, which Keras 3 cannot",
        "build that layer anew in the environment that trained the model, and save it as .h5",
    )
