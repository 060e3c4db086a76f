"""A TensorFlow operation recorded in a Keras 2 file becomes the same operation of Keras 3.

Keras 2 saved ``x / 127.5`` or ``tf.nn.relu(x)`` between two layers as a layer of its own:
``TFOpLambda`` and ``SlicingOpLambda`` (2.4 and later) with the call written into the node that
feeds it, ``TensorFlowOpLayer`` (2.2 and 2.3) with a node of the TensorFlow graph.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gradcam_cli.errors import ModelError

CLASSES = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")

_Json = dict[str, Any]

_NUMPY, _NN = "keras.src.ops.numpy", "keras.src.ops.nn"

# Last part of the TensorFlow name, lower case without underscores -> (module, class) in Keras 3.
_BINARY = {
    "add": "Add",
    "addv2": "Add",
    "biasadd": "Add",
    "sub": "Subtract",
    "subtract": "Subtract",
    "mul": "Multiply",
    "multiply": "Multiply",
    "div": "TrueDivide",
    "divide": "TrueDivide",
    "truediv": "TrueDivide",
    "realdiv": "TrueDivide",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "pow": "Power",
}
_UNARY = {
    "abs": (_NUMPY, "Absolute"),
    "elu": (_NN, "Elu"),
    "exp": (_NUMPY, "Exp"),
    "log": (_NUMPY, "Log"),
    "neg": (_NUMPY, "Negative"),
    "negative": (_NUMPY, "Negative"),
    "relu": (_NN, "Relu"),
    "relu6": (_NN, "Relu6"),
    "rsqrt": ("keras.src.ops.math", "Rsqrt"),
    "selu": (_NN, "Selu"),
    "sigmoid": (_NN, "Sigmoid"),
    "silu": (_NN, "Silu"),
    "softplus": (_NN, "Softplus"),
    "sqrt": (_NUMPY, "Sqrt"),
    "square": (_NUMPY, "Square"),
    "swish": (_NN, "Silu"),
    "tanh": (_NUMPY, "Tanh"),
}
_REDUCTION = {"mean": "Mean", "sum": "Sum", "max": "Max", "min": "Min", "prod": "Prod"}
_ALONG = {"expanddims": "ExpandDims", "squeeze": "Squeeze", "concat": "Concatenate"}
_NOTHING = ("identity", "stopgradient", "identityn")

# The parameters of a TensorFlow function after its first tensor, by position.
_PARAMETERS = {
    **dict.fromkeys(_REDUCTION, ("axis", "keepdims")),
    "reshape": ("shape",),
    "expanddims": ("axis",),
    "squeeze": ("axis",),
    "transpose": ("perm",),
    "cast": ("dtype",),
    "softmax": ("axis",),
    "resize": ("size", "method"),
    "resizebilinear": ("size",),
    "resizenearestneighbor": ("size",),
    "clipbyvalue": ("clip_value_min", "clip_value_max"),
}


def keras_operation(layer: _Json, names: Collection[str]) -> _Json:
    """Return the Keras 3 layer that does what a Keras 2 operation layer did.

    ``names`` are those of all layers of the model that it is in. Name and inputs stay the same.
    Raises ModelError for an operation that is not known here.
    """
    read = _graph_call if layer["class_name"] == "TensorFlowOpLayer" else _function_call
    nodes = layer.get("inbound_nodes") or []
    calls = [read(layer["config"], node, names) for node in nodes]
    operations = [_operation(function, operands, options) for function, operands, options in calls]
    built = [one for one in operations if one is not None and one[:3] == (operations[0] or ())[:3]]
    if not built or len(built) < len(operations):
        function = calls[0][0] if calls else layer["config"].get("function", "?")
        raise ModelError(
            f"the model holds the TensorFlow operation {function!r} as layer {layer['name']!r}, "
            "which Keras 3 cannot open",
            "in the environment that trained it, put the operation into the data preparation or "
            "use a Keras layer for it, and save the model again",
        )
    module, class_name, config, _ = built[0]
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": layer["name"], **config},
        "registered_name": class_name if module.startswith("keras.src") else None,
        "name": layer["name"],
        "inbound_nodes": [{"args": one[3], "kwargs": {}} for one in built],
    }


def tensor(reference: list[Any]) -> _Json:
    """Return the Keras 3 form of ``[layer, node, tensor]``; shape and type are found on loading."""
    history = [reference[0], int(reference[1]), int(reference[2])]
    inner = {"shape": [], "dtype": "float32", "keras_history": history}
    return {"class_name": "__keras_tensor__", "config": inner}


def _function_call(
    config: _Json, node: list[Any], names: Collection[str]
) -> tuple[str, list[Any], _Json]:
    """Read a call of ``TFOpLambda``: function, operands, keyword arguments."""
    several = bool(node) and isinstance(node[0], list)
    first: Any
    if several:
        first = [_value(one[:3], names) for one in node]
        options = dict(node[0][3]) if len(node[0]) > 3 else {}
    else:
        first = node[2] if node[0] == "_CONSTANT_VALUE" else _value(node[:3], names)
        options = dict(node[3]) if len(node) > 3 else {}
    options.pop("name", None)
    return str(config["function"]), [first], {k: _value(v, names) for k, v in options.items()}


def _graph_call(
    config: _Json, node: list[Any], names: Collection[str]
) -> tuple[str, list[Any], _Json]:
    """Read a ``TensorFlowOpLayer``: its constants lie at their place among the inputs."""
    definition = config["node_def"] if isinstance(config["node_def"], dict) else {}
    constants = {int(place): value for place, value in (config.get("constants") or {}).items()}
    inputs = [_value(one[:3], names) for one in node]
    operands = [
        constants[place] if place in constants else inputs.pop(0)
        for place in range(len(constants) + len(inputs))
    ]
    function = str(definition.get("op", "?"))
    attributes = {key: _attribute(value) for key, value in definition.get("attr", {}).items()}
    options: _Json = {}
    if function == "ConcatV2":
        return "concat", [operands[:-1]], {"axis": operands[-1]}
    if function == "StridedSlice":
        return "getitem", operands[:1], {"slice_spec": _strides(operands[1:4], attributes)}
    if attributes.get("align_corners") or attributes.get("half_pixel_centers") is False:
        return f"{function} without pixel centres", operands, {}
    if "keep_dims" in attributes:
        options["keepdims"] = attributes["keep_dims"]
    if "squeeze_dims" in attributes:
        options["axis"] = attributes["squeeze_dims"]
    if function == "Cast":
        options["dtype"] = str(attributes.get("DstT", "")).removeprefix("DT_").lower()
    return function, operands, options


def _attribute(value: _Json) -> Any:
    """Return the Python value of one attribute of a TensorFlow node in its JSON form."""
    if "list" in value:
        return [int(one) for one in value["list"].get("i", [])]
    if "i" in value:
        return int(value["i"])
    return value.get("b", value.get("type", value.get("f", value.get("s"))))


def _strides(bounds: list[Any], masks: _Json) -> list[Any]:
    """Return a slice for each entry of a StridedSlice, as its bit masks say."""
    spec: list[Any] = []
    for place, (low, high, by) in enumerate(zip(*bounds, strict=True)):
        set_in = {
            name for name, mask in masks.items() if isinstance(mask, int) and mask >> place & 1
        }
        if "ellipsis_mask" in set_in:
            spec.append({"class_name": "__ellipsis__"})
        elif "new_axis_mask" in set_in:
            spec.append(None)
        elif "shrink_axis_mask" in set_in:
            spec.append(low)
        else:
            start = None if "begin_mask" in set_in else low
            stop = None if "end_mask" in set_in else high
            spec.append({"start": start, "stop": stop, "step": by})
    return spec


def _value(value: Any, names: Collection[str]) -> Any:
    """Return an argument with every reference to a layer's output in its Keras 3 form."""
    if isinstance(value, list):
        is_reference = len(value) == 3 and isinstance(value[0], str) and value[0] in names
        return tensor(value) if is_reference else [_value(one, names) for one in value]
    return value


def _operation(
    function: str, operands: list[Any], options: _Json
) -> tuple[str, str, _Json, list[Any]] | None:
    """Return module, class, configuration and call arguments; None for an unknown operation."""
    word = function.split(".")[-1].replace("_", "").lower().removeprefix("reduce")
    if "getitem" in word:
        return _NUMPY, "GetItem", {}, [operands[0], _key(options["slice_spec"])]
    if word in _BINARY:
        other = operands[1:] or [options.get("y", options.get("bias", options.get("value")))]
        if options.get("data_format") not in (None, "NHWC") or other[0] is None:
            return None
        return _NUMPY, _BINARY[word], {}, [_constant(one) for one in (operands[0], *other)]
    if word in _NOTHING:
        return "keras.layers", "Identity", {}, operands[:1]
    named = dict(zip(_PARAMETERS.get(word, ()), operands[1:], strict=False)) | options
    if word in _UNARY:
        return (*_UNARY[word], {}, operands[:1]) if not named else None
    if any(isinstance(one, dict) for one in named.values()):
        return None
    rest = _arranging(word, named)
    return None if rest is None else (*rest, operands[:1])


def _arranging(word: str, named: _Json) -> tuple[str, str, _Json] | None:
    """Return module, class and configuration of an operation that has settings."""
    axis = named.get("axis")
    if word in _REDUCTION:
        return _NUMPY, _REDUCTION[word], {"axis": axis, "keepdims": bool(named.get("keepdims"))}
    if word in _ALONG:
        return _NUMPY, _ALONG[word], {"axis": axis}
    if word == "reshape":
        return _NUMPY, "Reshape", {"newshape": named["shape"]}
    if word == "transpose":
        return _NUMPY, "Transpose", {"axes": named.get("perm")}
    if word == "cast":
        return "keras.src.ops.core", "Cast", {"dtype": named["dtype"]}
    if word == "softmax":
        return _NN, "Softmax", {"axis": -1 if axis is None else axis}
    if word == "leakyrelu":
        return _NN, "LeakyRelu", {"negative_slope": named.get("alpha", 0.2)}
    if word == "gelu":
        return _NN, "Gelu", {"approximate": bool(named.get("approximate"))}
    if word == "clipbyvalue":
        limits = {"x_min": named["clip_value_min"], "x_max": named["clip_value_max"]}
        return _NUMPY, "Clip", limits
    if word in ("resize", "resizebilinear", "resizenearestneighbor"):
        return _resize(word, named)
    return None


def _resize(word: str, named: _Json) -> tuple[str, str, _Json] | None:
    if named.get("antialias") or named.get("preserve_aspect_ratio"):
        return None
    method = "nearest" if "nearest" in word else str(named.get("method") or "bilinear")
    config = {"size": named["size"], "interpolation": method, "data_format": "channels_last"}
    return "keras.src.ops.image", "Resize", config


def _key(spec: Any) -> list[Any]:
    """Return what stood in the brackets, in the form of Keras 3."""
    entries = spec.get("value", spec) if isinstance(spec, dict) else spec
    key: list[Any] = []
    for one in entries if isinstance(entries, list) else [entries]:
        if isinstance(one, dict) and "start" in one:
            bounds = {name: one.get(name) for name in ("start", "stop", "step")}
            key.append({"class_name": "__slice__", "config": bounds})
        elif isinstance(one, dict):
            key.append({"class_name": "__ellipsis__", "config": {}})
        else:
            key.append(one)
    return key


def _constant(value: Any) -> Any:
    """Return a list of numbers as the array that Keras 3 wants; anything else as it is."""
    if isinstance(value, list):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    return value
