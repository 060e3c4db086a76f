"""The calls between the layers of a Keras 2 configuration become calls as Keras 3 reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from gradcam_cli.keras_files import tfops
from gradcam_cli.keras_files.known import class_of, every_model

_Json = dict[str, Any]


def counted(count: int, what: str) -> str:
    """Return ``1 layer`` or ``2 layers``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def reported(found: Counter[str], what: str = "layer") -> list[str]:
    """Return sentences, in each of which ``{}`` stands for how many of something were found."""
    return [sentence.format(counted(count, what)) for sentence, count in found.items()]


def listed(things: Iterable[str]) -> str:
    """Return things in alphabetical order, each once, with commas between them."""
    return ", ".join(sorted(set(things)))


def slash_names(config: _Json) -> list[str]:
    """Keras 2 allowed ``/`` in the name of a layer."""
    renamed = 0
    for model in every_model(config):
        taken = {_name(layer) for layer in model["config"]["layers"]}
        new: dict[str, str] = {}
        for layer in model["config"]["layers"]:
            name = _name(layer)
            if "/" in name:
                fresh = name.replace("/", "_")
                while fresh in taken:
                    fresh += "_"
                new[name] = fresh
                taken.add(fresh)
        if new:
            renamed += len(new)
            _rename(model["config"], new)
    return [f"replaced `/` in the names of {counted(renamed, 'layer')}"] if renamed else []


def _name(layer: _Json) -> str:
    inner = layer.get("config")
    return str(layer.get("name") or (inner.get("name") if isinstance(inner, dict) else ""))


def _rename(model: _Json, new: dict[str, str]) -> None:
    """Give layers of one model other names, wherever they are referred to."""

    def put(value: Any) -> Any:
        if isinstance(value, list):
            if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
                return [new.get(value[0], value[0]), *map(put, value[1:])]
            return [put(one) for one in value]
        return {key: put(one) for key, one in value.items()} if isinstance(value, dict) else value

    for layer in model["layers"]:
        fresh = new.get(_name(layer))
        if fresh:
            layer["config"]["name"] = fresh
            if "name" in layer:
                layer["name"] = fresh
        if "inbound_nodes" in layer:
            layer["inbound_nodes"] = put(layer["inbound_nodes"])
    for key in ("input_layers", "output_layers"):
        if key in model:
            model[key] = put(model[key])


def nested_calls(config: _Json) -> list[str]:
    """Keras 2 counted a nested model's own graph as its first call; Keras 3 does not."""
    shifted: set[str] = set()
    for model in every_model(config):
        layers = model["config"]["layers"]
        nested = {_name(layer): layer for layer in layers if "layers" in _inner(layer)}
        inbound: dict[str, list[list[Any]]] = {name: [] for name in nested}
        for reference in _references([layer.get("inbound_nodes") for layer in layers], nested):
            inbound[reference[0]].append(reference)
        outputs = list(_references(model["config"].get("output_layers"), nested))
        for name, references in inbound.items():
            ends = [one for one in outputs if one[0] == name]
            if not references + ends or min(int(one[1]) for one in references + ends) < 1:
                continue
            # For the outputs of a model Keras 3 takes the first call off by itself, but not for
            # a nested Sequential model.
            repaired = references + (ends if nested[name]["class_name"] == "Sequential" else [])
            for one in repaired:
                one[1] = int(one[1]) - 1
            if repaired:
                shifted.add(name)
    return [f"counted the calls of {counted(len(shifted), 'nested model')} anew"] if shifted else []


def _inner(layer: _Json) -> _Json:
    inner = layer.get("config")
    return inner if isinstance(inner, dict) else {}


def _references(value: Any, names: Iterable[str]) -> Iterator[list[Any]]:
    """Yield every ``[layer, node, tensor, ...]`` of Keras 2 whose layer is one of ``names``."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _references(one, names)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            if value[0] in names:
                yield value
            value = value[2:]
        for one in value:
            yield from _references(one, names)


def tensor_keywords(config: _Json) -> list[str]:
    """Keras 3 no longer finds tensors among the keyword arguments of a call of Keras 2."""
    found: Counter[str] = Counter()
    for model in every_model(config):
        names = {_name(layer) for layer in model["config"]["layers"]}
        for layer in model["config"]["layers"]:
            nodes = layer.get("inbound_nodes")
            if layer["class_name"] in tfops.CLASSES or not isinstance(nodes, list):
                continue
            for place, node in enumerate(nodes):
                call = _new_call(node, names)
                if call is not None:
                    nodes[place] = call
                    found[layer["class_name"]] += 1
    return [
        f"connected the keyword inputs of {counted(count, f'{name} call')}"
        for name, count in found.items()
    ]


def _new_call(node: Any, names: set[str]) -> _Json | None:
    """Return a call that has tensors as keyword arguments the way Keras 3 writes it."""
    if not isinstance(node, list) or not node or not isinstance(node[0], list):
        return None
    keywords = node[0][3] if len(node[0]) > 3 else {}
    if not any(True for value in keywords.values() for _ in _references(value, names)):
        return None
    inputs = [tfops.tensor(one) for one in node]
    arguments = {
        key: tfops.tensor(value) if any(True for _ in _references(value, names)) else value
        for key, value in keywords.items()
    }
    return {"args": inputs if len(inputs) == 1 else [inputs], "kwargs": arguments}


def operations(config: _Json) -> list[str]:
    """Keras 2 saved TensorFlow operations between layers as layers of a kind that is gone."""
    found: list[str] = []
    for model in every_model(config):
        layers = model["config"]["layers"]
        names = {_name(layer) for layer in layers}
        for place, layer in enumerate(layers):
            if layer["class_name"] in tfops.CLASSES:
                layers[place] = tfops.keras_operation(layer, names)
                found.append(layers[place]["class_name"])
    if not found:
        return []
    what = f"{counted(len(found), 'TensorFlow operation')} ({listed(found)})"
    return [f"read {what} as Keras operation{'s' * (len(found) > 1)}"]


def keras_operations(config: _Json) -> list[str]:
    """Find the module of Keras 3's own operations, which it leaves out of HDF5 files.

    An operation shares its class name with a layer (Add, Softmax), but has no ``trainable``.
    """
    found: list[str] = []
    for model in every_model(config):
        for layer in model["config"]["layers"]:
            if "module" in layer or {"trainable", "layers", "batch_shape"} & set(_inner(layer)):
                continue
            for home in ("numpy", "nn", "core", "image", "math", "linalg"):
                named = {"class_name": layer["class_name"], "module": f"keras.src.ops.{home}"}
                if isinstance(layer.get("config"), dict) and class_of(named) is not None:
                    layer |= {**named, "registered_name": None}
                    found.append(layer["class_name"])
                    break
    what = counted(len(found), "operation")
    return [f"found the Keras 3 module of {what} ({listed(found)})"] if found else []


def single_outputs(config: _Json) -> list[str]:
    """Unwrap a model's one input and one output from the list that Keras 2 saved them in.

    Keras 3 takes the list for the model's own: it gives a list of one, which nothing in a
    Sequential model takes, and warns of a tensor that comes in by itself.
    """
    found = 0
    for model in every_model(config):
        in_sequential = model["class_name"] == "Sequential"
        for layer in model["config"]["layers"] if in_sequential else ():
            found += _unwrap(_inner(layer))
        if any(isinstance(node, list) for node in _calls(model)):
            found += _unwrap(model["config"])
    return [f"unwrapped the single output of {counted(found, 'model')}"] if found else []


def _calls(model: _Json) -> list[Any]:
    return [node for layer in model["config"]["layers"] for node in layer.get("inbound_nodes", ())]


def _unwrap(model: _Json) -> bool:
    """Take the only output of a model, and its only input, out of their lists."""
    single = _is_wrapped(model.get("output_layers"))
    for key in ("input_layers", "output_layers"):
        if single and _is_wrapped(model.get(key)):
            model[key] = model[key][0]
    return single


def _is_wrapped(ports: Any) -> bool:
    return isinstance(ports, list) and len(ports) == 1 and isinstance(ports[0], list)


def input_shapes(config: _Json) -> list[str]:
    """Move the shape of the input from a Sequential model's first layer to a layer of its own."""
    moved = 0
    for model in every_model(config):
        layers = model["config"]["layers"]
        if model["class_name"] != "Sequential" or not layers:
            continue
        first, inner = layers[0], _inner(layers[0])
        shape = inner.get("batch_input_shape")
        if first["class_name"] == "InputLayer" or shape is None:
            continue
        moved += 1
        del inner["batch_input_shape"]
        dtype = inner.get("dtype", "float32")
        # A nested model brings its own input.
        if "input_layers" in inner:
            continue
        name = f"{inner.get('name', 'layer')}_input"
        settings = {
            "name": name,
            "batch_shape": shape,
            "dtype": dtype if isinstance(dtype, str) and "mixed" not in dtype else "float32",
        }
        layers.insert(0, {"module": "keras.layers", "class_name": "InputLayer", "config": settings})
    return [f"gave {counted(moved, 'Sequential model')} an input layer"] if moved else []
