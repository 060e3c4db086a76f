"""Arrays of HDF5 files of Keras 1, of Theano and of cuDNN layers become what Keras 3 computes with.

Keras 2 converted them as it read a file, by the attributes that the file carries. Keras 3 and
tf_keras assign them as they lie there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gradcam_cli.isolation import keras

_Array = NDArray[Any]

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
# Where in an LSTM's twelve arrays, and a GRU's nine, Keras 1 had the gates that Keras 2 joined.
_GATES = {12: (0, 6, 3, 9), 9: (0, 3, 6)}


def written_by_theano(group: Any) -> bool:
    """Return whether a group of weights, or the file that it is in, names Theano as its backend."""
    return any(_text(one.attrs.get("backend", "")) == "theano" for one in (group, group.file))


def conversion(group: Any, version: str) -> str:
    """Return why the arrays in a group of weights have to be converted; empty if they need not.

    The answer is ``Keras 1``, ``Theano``, ``Theano and Keras 1`` or ``cuDNN``.
    """
    reasons = ["Theano"] if written_by_theano(group) else []
    if not _text(group.attrs.get("keras_version", version)).startswith(("2.", "3.", "0.")):
        reasons.append("Keras 1")
    return " and ".join(reasons) or ("cuDNN" if _has_cudnn(group) else "")


def assign_converted(network: Any, group: Any, why: str) -> int:
    """Give the arrays of a group in the layout of Keras 1 and 2 to a network, each converted.

    ``why`` is what ``conversion`` gave. Returns how many kernels were turned by 180 degrees. Raises
    ValueError when the file has other layers or arrays than the network.
    """
    turned = 0
    for layer, datasets in stored_layers(network, group):
        arrays = [np.asarray(dataset) for dataset in datasets]
        for owner, variable, array in _paired(layer, arrays, "Keras 1" in why):
            if "Theano" in why and _is_kernel(owner, variable):
                array = np.flip(array, tuple(range(array.ndim - 2)))
                turned += 1
            check_fit(variable, array)
            variable.assign(array)
    return turned


def stored_layers(network: Any, group: Any) -> list[tuple[Any, list[Any]]]:
    """Pair a network's layers with what a group holds for each, by their order, as Keras does.

    Raises ValueError when the file has more or fewer layers with weights than the network.
    """
    layers = [layer for layer in network.layers if layer.weights]
    stored = [
        [group[layer][name] for name in names_in(group[layer], "weight_names")]
        for layer in names_in(group, "layer_names")
    ]
    stored = [datasets for datasets in stored if datasets]
    if len(stored) != len(layers):
        raise ValueError(f"{len(stored)} layers with weights, {len(layers)} are needed")
    return list(zip(layers, stored, strict=True))


def check_fit(variable: Any, array: Any) -> None:
    """Raise ValueError when an array has another shape than the variable that it is for."""
    if tuple(variable.shape) != array.shape:
        raise ValueError(f"{variable.path} is {tuple(variable.shape)}, the file has {array.shape}")


def finalize(network: Any) -> None:
    """Let Normalization layers derive what they compute with from what was read.

    Keras does so in HDF5 files for those of the outermost model alone.
    """
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            finalize(layer)
        elif isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _is_kernel(layer: Any, variable: Any) -> bool:
    names = ("kernel", "depthwise_kernel", "recurrent_kernel")
    return isinstance(layer, _CONVOLUTIONS) and variable.name in names


def _paired(layer: Any, arrays: list[_Array], keras_1: bool) -> Iterator[tuple[Any, Any, _Array]]:
    """Yield every variable of a layer with the layer that it belongs to and its array."""
    if isinstance(layer, keras.Model):
        for part in ("trainable_weights", "non_trainable_weights"):
            for inner in layer.layers:
                count = _stored(inner, part, arrays, keras_1)
                here, arrays = arrays[:count], arrays[count:]
                yield from _paired_part(inner, getattr(inner, part), here, keras_1)
    elif isinstance(layer, keras.layers.Bidirectional):
        half = len(arrays) // 2
        yield from _paired(layer.forward_layer, arrays[:half], keras_1)
        yield from _paired(layer.backward_layer, arrays[half:], keras_1)
    elif isinstance(layer, keras.layers.TimeDistributed):
        yield from _paired(layer.layer, arrays, keras_1)
    else:
        variables = [*layer.trainable_weights, *layer.non_trainable_weights]
        yield from _paired_part(layer, variables, arrays, keras_1)


def _stored(layer: Any, part: str, arrays: list[_Array], keras_1: bool) -> int:
    """Return how many of a nested model's arrays the next layer takes."""
    needed = len(getattr(layer, part))
    if keras_1 and needed == 3 and isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)):
        joined = arrays[0].shape[-1] != layer.units
        return 3 if joined else 12 if isinstance(layer, keras.layers.LSTM) else 9
    return needed


def _paired_part(
    layer: Any, variables: list[Any], arrays: list[_Array], keras_1: bool
) -> Iterator[tuple[Any, Any, _Array]]:
    """Yield some of a layer's variables, each with its array."""
    if variables and isinstance(
        layer, (keras.Model, keras.layers.Bidirectional, keras.layers.TimeDistributed)
    ):
        yield from _paired(layer, arrays, keras_1)
        return
    if keras_1:
        arrays = _from_keras_1(layer, arrays)
    if isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)) and len(arrays) == 3:
        arrays = _from_cudnn(layer, arrays)
    if len(arrays) != len(variables):
        raise ValueError(f"layer {layer.name} needs {len(variables)} arrays, not {len(arrays)}")
    for variable, array in zip(variables, arrays, strict=True):
        yield layer, variable, array


def _from_keras_1(layer: Any, arrays: list[_Array]) -> list[_Array]:
    """Join the gates of recurrent layers and bring kernels into the order of Keras 2."""
    if len(arrays) in _GATES:
        gates = _GATES[len(arrays)]
        arrays = [np.concatenate([arrays[gate + part] for gate in gates], -1) for part in range(3)]
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    kernel, rest = arrays[0], arrays[1:]
    if isinstance(layer, keras.layers.Conv1D) and kernel.ndim == 4:
        old = kernel.shape[:2] != (layer.kernel_size[0], 1) or kernel.shape[3] != layer.filters
        return [(kernel.transpose(2, 3, 1, 0) if old else kernel)[:, 0], *rest]
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return [kernel.transpose((2, 3, 0, 1) if first else (0, 1, 3, 2)), *rest]
    if first and isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv3D)):
        return [np.moveaxis(kernel, (1, 0), (-2, -1)), *rest]
    if first and isinstance(layer, keras.layers.ConvLSTM2D):
        return [*(np.moveaxis(one, (1, 0), (-2, -1)) for one in arrays[:2]), *arrays[2:]]
    return arrays


def _from_cudnn(layer: Any, arrays: list[_Array]) -> list[_Array]:
    """Turn what cuDNN computes with, transposed gates and two sets of biases, into Keras's."""
    kernel, recurrent, bias = arrays
    gates = 4 if isinstance(layer, keras.layers.LSTM) else 3
    if bias.shape != (2 * gates * layer.units,):
        return arrays
    kernels = [one.T.reshape(one.shape, order="F") for one in np.split(kernel, gates, 1)]
    transposed = [one.T for one in np.split(recurrent, gates, 1)]
    pair = bias.reshape(2, -1)
    return [np.hstack(kernels), np.hstack(transposed), pair.sum(0) if gates == 4 else pair]


def _has_cudnn(group: Any) -> bool:
    """Return whether a layer with three arrays has two sets of biases in one vector, as cuDNN."""
    found = False

    def visit(_: str, item: Any) -> None:
        nonlocal found
        if isinstance(item, h5py.Group):
            shapes = [one.shape for one in _datasets(item)]
            biases = {shape[0] for shape in shapes if len(shape) == 1}
            gates = {shape[1] for shape in shapes if len(shape) == 2}
            found |= len(shapes) == 3 and any(2 * one in biases for one in gates)

    group.visititems(visit)
    return found


def _datasets(group: Any) -> list[Any]:
    return [one for one in group.values() if isinstance(one, h5py.Dataset)]


def names_in(group: Any, kind: str) -> list[str]:
    """Return a list among a group's attributes, which Keras cuts into pieces where it is long."""
    names = list(group.attrs.get(kind, ()))
    place = 0
    while f"{kind}{place}" in group.attrs:
        names += list(group.attrs[f"{kind}{place}"])
        place += 1
    return [_text(name) for name in names]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
