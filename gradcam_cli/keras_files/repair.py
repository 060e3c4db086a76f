"""An old file's configuration becomes one that Keras 3 opens.

A configuration is the JSON that Keras keeps beside the weights. Each repair is a small function
that changes a copy of it in place and returns one sentence for every kind of thing it changed,
nothing when there was nothing to do. A repair touches only what Keras 3 is known to refuse, so a
configuration that opens as it is comes back equal.
"""

from __future__ import annotations

import base64
import copy
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from gradcam_cli.isolation import keras
from gradcam_cli.keras_files import tfops
from gradcam_cli.keras_files.archive import objects
from gradcam_cli.keras_files.keras1 import keras_1_layers, list_sequentials
from gradcam_cli.keras_files.known import (
    ELSEWHERE,
    accepted_arguments,
    class_of,
    every_layer,
)
from gradcam_cli.keras_files.meanings import (
    before_keras_3,
    lost_arguments,
    old_defaults,
    old_functions,
)
from gradcam_cli.keras_files.names import KERAS_MODULE
from gradcam_cli.keras_files.rewire import (
    counted,
    input_shapes,
    keras_operations,
    listed,
    nested_calls,
    operations,
    reported,
    single_outputs,
    slash_names,
    tensor_keywords,
)

_Json = dict[str, Any]

# A class of old -> what does the same today, when nothing is being trained.
_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "FixedDropout": "Dropout",
    "RandomHeight": "Identity",
    "RandomWidth": "Identity",
}
# An activation that code of the time had to bring along -> Keras's own.
_ACTIVATIONS = {
    "get_swish": "silu",
    "hard_swish": "hard_silu",
    "h_swish": "hard_silu",
    "hswish": "hard_silu",
    "log_softmax_v2": "log_softmax",
    "relu_6": "relu6",
    "softmax_v2": "softmax",
    "swish_activation": "silu",
}
# Arguments that Keras 3 no longer takes and that change nothing with these values; () is any value.
_IDLE: dict[str, tuple[Any, ...]] = {
    "adjustment": (None,),
    "batch_input_shape": (),
    "dynamic": (False, None),
    "experimental_run_tf_function": (),
    "function_type": (),
    "force_generator": (),
    "fused": (),
    "groups": (1,),
    "interpolation_antialias": (False,),
    "keepdims": (False,),
    "key_shape": (),
    "module": (),
    "noise_shape": (None,),
    "output_shape_module": (),
    "output_shape_type": (),
    "query_shape": (),
    "ragged": (False,),
    "renorm": (False,),
    "renorm_clipping": (None, {}),
    "renorm_momentum": (),
    "rng_type": (),
    "robust_masking": (),
    "softmax_robust_masking": (),
    "sparse": (False,),
    "stateful": (False,),
    "synchronized": (),
    "time_major": (False,),
    "trainable": (),
    "unroll": (),
    "value_shape": (),
    "virtual_batch_size": (None,),
}
_BLOCK = re.compile(r"block(35|17|8)_\d+")
_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")


def repair(config: _Json, version: str = "") -> tuple[_Json, tuple[str, ...]]:
    """Return a repaired copy of a model's configuration, and one sentence for each repair.

    ``version`` is that of the Keras that saved it, empty where it is not known. Raises ModelError
    for a TensorFlow operation inside the model that has no Keras counterpart, and for what Keras 0
    and 1 had and Keras 3 has not.
    """
    repaired = copy.deepcopy(config)
    repairs = (
        (keras_1_layers, *_MEANINGS, *_REPAIRS) if before_keras_3(config, version) else _REPAIRS
    )
    sentences = [sentence for one in repairs for sentence in one(repaired)]
    if sentences:
        _tidy(repaired)
    return (repaired, tuple(sentences)) if sentences else (config, ())


def _old_classes(config: _Json) -> list[str]:
    """Keras 2 classes have another module, or none where Keras 3 needs one; a few another name."""
    moved: Counter[str] = Counter()
    renamed: Counter[str] = Counter()
    for node in every_layer(config):
        name = node["class_name"].removeprefix("Custom>")
        if name in tfops.CLASSES:
            continue
        if name in _RENAMED and class_of(node) is None:
            node["class_name"] = _RENAMED[name]
            node["module"], node["registered_name"] = "keras.layers", None
            renamed[f"read {{}} {name} as {_RENAMED[name]}"] += 1
        elif class_of(node) is None and node.get("module", "keras") is not None:
            own = KERAS_MODULE.fullmatch(str(node.get("module", "keras")))
            home = ELSEWHERE.get(name, "keras.layers")
            if own and class_of({"class_name": name, "module": home}) is not None:
                node["module"], node["registered_name"] = home, None
                node["class_name"] = name
                moved[name] += 1
    for node in _wrapped(config):
        home = ELSEWHERE.get(node["class_name"], "keras.layers")
        if "module" not in node and class_of({**node, "module": home}) is not None:
            node["module"], node["registered_name"] = home, None
            moved[node["class_name"]] += 1
    sentences = reported(renamed)
    if moved:
        which = f"{counted(moved.total(), 'layer')} ({listed(moved)})"
        sentences.append(f"found the Keras 3 module of {which}")
    return sentences


def _scaled_sums(config: _Json) -> list[str]:
    """InceptionResNetV2 of Keras 2 adds its branches in Lambda layers; Keras 3 has a class for it.

    The layer is known by its name, its one argument and where its code says it comes from; the
    code itself is not read and is thrown away.
    """
    found = 0
    for node in every_layer(config):
        inner = node["config"]
        scale = inner.get("arguments") if isinstance(inner.get("arguments"), dict) else {}
        if (
            node["class_name"] == "Lambda"
            and _BLOCK.fullmatch(str(inner["name"]))
            and list(scale) == ["scale"]
            and isinstance(scale["scale"], int | float)
            and _code_is_from("inception_resnet_v2.py", inner.get("function"))
        ):
            found += 1
            node["class_name"] = "CustomScaleLayer"
            node["module"], node["registered_name"] = ELSEWHERE["CustomScaleLayer"], None
            common = {key: inner[key] for key in ("name", "trainable", "dtype") if key in inner}
            node["config"] = {**common, "scale": scale["scale"]}
    return (
        [f"read {counted(found, 'sum')} of InceptionResNetV2 without their code"] if found else []
    )


def _code_is_from(source: str, function: Any) -> bool:
    """Return whether a serialised lambda names a source file; its bytes are only searched."""
    if isinstance(function, dict) and isinstance(function.get("config"), dict):
        function = function["config"].get("code")
    code = function[0] if isinstance(function, list) and function else function
    if not isinstance(code, str):
        return False
    try:
        return source.encode() in base64.b64decode(code)
    except ValueError:
        return False


def _wrapped(config: _Json) -> Iterator[_Json]:
    """Yield the layers that TimeDistributed, Bidirectional and RNN layers hold."""
    for node in every_layer(config):
        inner = node["config"]
        for key in ("layer", "backward_layer", "cell"):
            if isinstance(inner.get(key), dict) and "class_name" in inner[key]:
                yield inner[key]
        cells = inner.get("cells")
        yield from (one for one in cells or () if isinstance(one, dict) and "class_name" in one)


def _build_shapes(config: _Json) -> list[str]:
    """Leave out one input shape saved for a layer that is built from several."""
    found: Counter[str] = Counter()
    for layer in every_layer(config):
        shapes, kind = layer.get("build_config"), class_of(layer)
        if kind is None or not isinstance(shapes, dict) or list(shapes) != ["input_shape"]:
            continue
        parameters = list(inspect.signature(vars(kind).get("build", len)).parameters.values())
        if sum(one.default is one.empty for one in parameters) > 2:
            del layer["build_config"]
            found[layer["class_name"]] += 1
    return [
        f"left out the build shape of {counted(count, f'{name} layer')}"
        for name, count in found.items()
    ]


def _policies(config: _Json) -> list[str]:
    """Keras 3 knows a mixed-precision policy by its name."""
    found = 0
    for layer in every_layer(config):
        policy = layer["config"].get("dtype")
        if isinstance(policy, dict) and str(policy.get("class_name")).startswith("Policy"):
            layer["config"]["dtype"] = policy["config"]["name"]
            found += 1
    return [f"read the dtype policy of {counted(found, 'layer')}"] if found else []


def _initializers(config: _Json) -> list[str]:
    """Read initializers of TensorFlow as Keras's own of the same name."""
    found: Counter[str] = Counter()
    for node in objects(config):
        name = node["class_name"]
        of_tensorflow = str(node.get("module")).startswith("tensorflow.")
        if of_tensorflow and hasattr(keras.initializers, name):
            node["module"], node["registered_name"] = "keras.initializers", None
            found[name] += 1
    return [f"read {counted(count, f'{name} initializer')}" for name, count in found.items()]


def _rescalings(config: _Json) -> list[str]:
    """Give rescaling layers of before TensorFlow 2.3, which had no offset, an offset of nought."""
    found = 0
    for layer in every_layer(config):
        if layer["class_name"] == "Rescaling" and "offset" not in layer["config"]:
            layer["config"]["offset"] = 0.0
            found += 1
    return [f"gave {counted(found, 'Rescaling layer')} the offset 0"] if found else []


def _axis_lists(config: _Json) -> list[str]:
    """Batch normalization had its axis in a list; Keras 3 reads that in old HDF5 files only."""
    found = 0
    for layer in every_layer(config):
        axis = layer["config"].get("axis")
        single = isinstance(axis, list) and len(axis) == 1
        if single and layer["class_name"] == "BatchNormalization" and "module" in layer:
            layer["config"]["axis"] = axis[0]
            found += 1
    return [f"unwrapped `axis` of {counted(found, 'BatchNormalization layer')}"] if found else []


def _activations(config: _Json) -> list[str]:
    """Activations that Keras 2 did not have had to be custom functions; Keras 3 has them."""
    found: Counter[str] = Counter()
    for layer in every_layer(config):
        for key in ("activation", "recurrent_activation"):
            value = layer["config"].get(key)
            function = value.get("config") if isinstance(value, dict) else value
            if isinstance(function, str) and function in _ACTIVATIONS:
                layer["config"][key] = _ACTIVATIONS[function]
                found[f"read `{function}` as `{_ACTIVATIONS[function]}` in {{}}"] += 1
    return reported(found)


def _unknown_arguments(config: _Json) -> list[str]:
    """Arguments that Keras 3 does not take are dropped where they say nothing."""
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for node in objects(config):
        kind = class_of(node) if isinstance(node.get("config"), dict) else None
        if kind is None or "layers" in node["config"] or node["class_name"] == "InputLayer":
            continue
        accepted = accepted_arguments(kind)
        if accepted is None:
            continue
        unknown = [key for key in node["config"] if key not in accepted]
        dropped = tuple(sorted(key for key in unknown if _says_nothing(key, node, kind)))
        for key in dropped:
            del node["config"][key]
        if dropped:
            found[f"{node['class_name']} {_noun(kind)}", dropped] += 1
    return [
        f"dropped {', '.join(f'`{key}`' for key in keys)} from {counted(count, what)}"
        for (what, keys), count in found.items()
    ]


def _noun(kind: type) -> str:
    homes = (keras.initializers.Initializer, keras.regularizers.Regularizer)
    nouns = ("initializer", "regularizer")
    return next(
        (noun for base, noun in zip(homes, nouns, strict=True) if issubclass(kind, base)), "layer"
    )


def _says_nothing(key: str, node: _Json, kind: type) -> bool:
    value = node["config"][key]
    if value is None or kind is keras.layers.Identity:
        return True
    if key == "dtype":
        return not issubclass(kind, keras.layers.Layer)
    if key in _KERNEL:
        return f"depthwise{key.removeprefix('kernel')}" in (accepted_arguments(kind) or ())
    if key == "batch_input_shape":
        return "module" in node
    return key in _IDLE and (not _IDLE[key] or value in _IDLE[key])


def _tidy(config: _Json) -> None:
    """Take out what Keras 3 warns of, or reads in old files only, once something was repaired."""
    for layer in every_layer(config):
        inner = layer["config"]
        if layer["class_name"] != "InputLayer":
            inner.pop("batch_input_shape", None)
        axis = inner.get("axis")
        if isinstance(axis, list) and layer["class_name"] == "BatchNormalization":
            inner["axis"] = axis[0]
        if layer["class_name"] == "LeakyReLU" and "alpha" in inner:
            inner["negative_slope"] = inner.pop("alpha")


# Once the layers of Keras 1 have the names of Keras 2.
_MEANINGS: tuple[Callable[[_Json], list[str]], ...] = (
    list_sequentials,
    old_defaults,
    old_functions,
)
_REPAIRS: tuple[Callable[[_Json], list[str]], ...] = (
    list_sequentials,
    _scaled_sums,
    _old_classes,
    slash_names,
    single_outputs,
    nested_calls,
    tensor_keywords,
    operations,
    keras_operations,
    input_shapes,
    _build_shapes,
    _policies,
    _initializers,
    _rescalings,
    _axis_lists,
    lost_arguments,
    _activations,
    _unknown_arguments,
)
