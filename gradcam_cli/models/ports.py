"""A network's inputs and outputs: where the picture goes in, and where the classes come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError, suggestion

__all__ = ["Ports", "find_ports", "run", "single_input"]

_PICTURE_RANK = 4


@dataclass(frozen=True, slots=True)
class Ports:
    """How a network is called.

    ``size`` is the picture input's ``(h, w)`` and ``channels`` its 1 or 3; ``batch`` is the batch
    size fixed in the file, or 0. ``constants`` gives every other input, in order, its array without
    the batch axis; the picture's own place holds None. ``output`` names the output with the
    classes, empty where there is just one.
    """

    size: tuple[int, int]
    channels: int
    batch: int = 0
    channels_first: bool = False
    constants: tuple[NDArray[Any] | None, ...] = (None,)
    output: str = ""


def single_input(size: tuple[int, int], channels: int = 3) -> Ports:
    """Return the ports of a network with one picture input and one output."""
    return Ports(size, channels)


def find_ports(
    network: Any,
    size: tuple[int, int] | None = None,
    constants: Mapping[str, NDArray[Any]] | None = None,
    output: str = "",
) -> Ports:
    """Find the picture input of a network, and check what was given for the rest.

    ``size`` is the picture size to use where the network takes any; ``constants`` are arrays by
    input name, ``output`` an output's name. Raises ModelError when there is no single picture
    input, a constant is missing or does not fit, or several outputs leave the choice open.
    """
    shapes = _input_shapes(network)
    pictures = [name for name, shape in shapes.items() if _picture(shape)]
    free = [name for name in pictures if name not in (constants or {})]
    if len(free) != 1:
        raise _no_picture(shapes, free)
    shape = shapes[free[0]]
    first = shape[3] not in (1, 3) and shape[1] in (1, 3)
    grid = (shape[2], shape[3]) if first else (shape[1], shape[2])
    return Ports(
        size=_size(grid, size),
        channels=int(shape[1] if first else shape[3]),
        batch=int(shape[0] or 0),
        channels_first=first,
        constants=_constants(shapes, free[0], dict(constants or {})),
        output=_output(network, output),
    )


def _input_shapes(network: Any) -> dict[str, tuple[int | None, ...]]:
    inputs = getattr(network, "inputs", None)
    if inputs:
        return {tensor.name: tuple(tensor.shape) for tensor in inputs}
    built = (network.get_build_config() or {}).get("input_shape")
    if isinstance(built, list | tuple) and built and not isinstance(built[0], list | tuple | dict):
        return {"input": (None, *built[1:])}  # the batch it happened to be built with is no limit
    raise ModelError(
        "the model does not say what it takes: it was saved before it was ever called",
        "call it on one picture before saving it",
    )


def _picture(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == _PICTURE_RANK and (shape[3] in (1, 3) or shape[1] in (1, 3))


def _no_picture(shapes: dict[str, tuple[int | None, ...]], free: list[str]) -> ModelError:
    listed = ", ".join(f"{name} {_text(shape)}" for name, shape in shapes.items())
    if free:
        return ModelError(
            f"the model has several picture inputs: {listed}",
            "give all but one with --input NAME=FILE.npy",
        )
    return ModelError(
        f"the model takes no picture: {listed}", "an input of height x width x 1 or 3 is needed"
    )


def _text(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if size is None else str(size) for size in shape[1:]) or "number"


def _size(grid: tuple[int | None, int | None], asked: tuple[int, int] | None) -> tuple[int, int]:
    if asked is not None:
        if any(have not in (None, want) for want, have in zip(asked, grid, strict=True)):
            raise ModelError(
                f"--input-size {asked[0]}x{asked[1]} does not fit: the model takes "
                f"{_text((None, *grid))}",
                "leave out --input-size",
            )
        return asked
    if grid[0] is None or grid[1] is None:
        raise ModelError(
            "the model takes pictures of any size", "say which one with --input-size, e.g. 224x224"
        )
    return grid[0], grid[1]


def _constants(
    shapes: dict[str, tuple[int | None, ...]], picture: str, given: dict[str, NDArray[Any]]
) -> tuple[NDArray[Any] | None, ...]:
    for name in given:
        if name not in shapes:
            raise ModelError(
                f"the model has no input {name!r}",
                suggestion(name, shapes, f"its inputs are {', '.join(shapes)}"),
            )
    values: list[NDArray[Any] | None] = []
    for name, shape in shapes.items():
        if name == picture:
            values.append(None)
            continue
        if name not in given:
            raise ModelError(
                f"the model also needs its input {name!r} ({_text(shape)})",
                f"give one value for all pictures: --input {name}=FILE.npy",
            )
        values.append(_fitted(name, given[name], shape[1:]))
    return tuple(values)


def _fitted(name: str, value: NDArray[Any], shape: tuple[int | None, ...]) -> NDArray[Any]:
    if value.ndim == len(shape) + 1 and value.shape[0] == 1:
        value = value[0]
    fits = value.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, value.shape, strict=True)
    )
    if not fits or not np.issubdtype(value.dtype, np.number):
        raise ModelError(
            f"--input {name} is {value.dtype} {_text((None, *value.shape))}, "
            f"the model wants {_text((None, *shape))}",
            "save an array of that shape with numpy.save",
        )
    return value


def _output(network: Any, asked: str) -> str:
    names = output_names(network)
    if asked:
        if asked not in names:
            raise ModelError(
                f"the model has no output {asked!r}",
                suggestion(asked, names, f"its outputs are {', '.join(names) or 'not named'}"),
            )
        return asked
    if len(names) > 1:
        raise ModelError(
            f"the model has several outputs: {', '.join(names)}", "choose one with --output NAME"
        )
    return ""


def output_names(network: Any) -> list[str]:
    """Return the names of a network's outputs, in order; empty where it does not name them."""
    structure = getattr(network, "output", None) if getattr(network, "inputs", None) else None
    if isinstance(structure, dict):
        return sorted(structure)
    names = list(getattr(network, "output_names", None) or [])
    return (
        names if structure is not None and len(names) == len(keras.tree.flatten(structure)) else []
    )


def run(network: Any, ports: Ports, pictures: Any) -> Any:
    """Call a network on float32 ``[n, h, w, channels]`` and return its output with the classes.

    Dropout, augmentation and noise are off, and normalisation uses its stored statistics.
    """
    if ports.channels_first:
        pictures = tf.transpose(pictures, (0, 3, 1, 2))
    arguments = pictures
    if getattr(network, "inputs", None):
        count = tf.shape(pictures)[0]
        values = [
            pictures if value is None else _repeated(value, count, tensor.dtype)
            for value, tensor in zip(ports.constants, network.inputs, strict=True)
        ]
        arguments = keras.tree.pack_sequence_as(network.input, values)
    return _chosen(network(arguments, training=False), ports.output, network)


def _repeated(value: NDArray[Any], count: Any, dtype: str) -> Any:
    constant = tf.constant(value.astype(dtype))[None]
    return tf.tile(constant, tf.concat([[count], tf.ones(value.ndim, tf.int32)], 0))


def _chosen(output: Any, name: str, network: Any) -> Any:
    if name and isinstance(output, dict):
        return output[name]
    flat = keras.tree.flatten(output)
    if name:
        return flat[output_names(network).index(name)]
    if len(flat) > 1:
        raise ModelError(
            f"the model gives {len(flat)} outputs at once", "only one of them can be the classes"
        )
    return flat[0]
