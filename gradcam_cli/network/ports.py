"""A network's inputs and outputs: where the image goes in, and where the classes come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import keras, tf
from gradcam_cli.network.tap import trace
from gradcam_cli.spelling import suggestion

_PICTURE_RANK = 4
_CHANNELS = (1, 3)
_SMALLEST_GREY = 8
"""Pixels a side from which on an input without channels passes for a grey image."""

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class _Socket:
    """One input of a network."""

    name: str
    shape: Shape
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class Ports:
    """How a network is called.

    ``size`` is the image input's ``(h, w)`` and ``channels`` its 1 or 3; ``batch`` is the one
    batch size that the network takes, or 0. ``channels_first`` takes ``[N, K, h, w]``,
    ``no_channels`` grey ``[N, h, w]``. ``constants`` gives every other input, in order, its array
    without the batch axis; the image's own place holds None. ``output`` names the output with the
    classes, empty where there is just one. A ``transposed`` network takes the image's columns for
    its rows: ``size`` is the image's side of it, ``(w, h)`` the network's own input.
    """

    size: tuple[int, int]
    channels: int
    batch: int = 0
    channels_first: bool = False
    constants: tuple[NDArray[Any] | None, ...] = (None,)
    output: str = ""
    no_channels: bool = False
    transposed: bool = False

    @property
    def plain(self) -> bool:
        """Return whether images are all that the network takes, as they are, in any number."""
        return self == single_input(self.size, self.channels)

    def turned(self) -> Ports:
        """Return the ports by which the network gets images transposed, if it did not before."""
        return replace(self, size=self.size[::-1], transposed=not self.transposed)


def single_input(size: tuple[int, int], channels: int = 3) -> Ports:
    """Return the ports of a network with one image input and one output."""
    return Ports(size, channels)


def takes_any_size(network: Any) -> bool:
    """Return whether the rows of a network's first input are left open."""
    sockets = keras.tree.flatten(_sockets(network))
    return bool(sockets) and len(sockets[0].shape) == _PICTURE_RANK and sockets[0].shape[1] is None


def find_ports(
    network: Any,
    size: tuple[int, int] | None = None,
    constants: Mapping[str, NDArray[Any]] | None = None,
    output: str = "",
    transposed: bool = False,
) -> Ports:
    """Find the image input of a network, and check what was given for the rest.

    ``size`` is the network's own input size, to use where it takes any; ``constants`` are arrays by
    input name, ``output`` an output's name. Raises ModelError when there is no single image
    input, a constant is missing or does not fit, or several outputs leave the choice open.
    """
    sockets = keras.tree.flatten(_sockets(network))
    given = dict(constants or {})
    picture = _picture_socket(sockets, given)
    shape = picture.shape
    bare = len(shape) == _PICTURE_RANK - 1
    first = not bare and shape[3] not in _CHANNELS and shape[1] in _CHANNELS
    grid = (shape[2], shape[3]) if first else (shape[1], shape[2])
    ports = Ports(
        size=_size(grid, size),
        channels=1 if bare else int((shape[1] if first else shape[3]) or 0),
        batch=int(shape[0] or 0),
        channels_first=first,
        constants=_constants(sockets, picture.name, given),
        output=_output(network, output),
        no_channels=bare,
    )
    ports = ports.turned() if transposed else ports
    return ports if not ports.batch or _binds(network, ports) else replace(ports, batch=0)


def _binds(network: Any, ports: Ports) -> bool:
    """Return whether a batch size in the file is more than what the network was first called with.

    Keras writes it down, but only a layer that counts on it makes another size impossible.
    """
    shape = (ports.batch + 1, *ports.size, ports.channels)
    try:
        output = trace(lambda x: run(network, ports, x), tf.TensorSpec(shape, tf.float32))
    except ModelError:
        return True
    return bool(output.structured_outputs.shape[:1] != shape[:1])


def _functional(network: Any) -> Any | None:
    """Return the network with its symbolic inputs, or None for a subclassed one."""
    inner = getattr(network, "_functional", None) or network
    return inner if getattr(inner, "inputs", None) else None


def _sockets(network: Any) -> Any:
    """Return a network's inputs, nested as it takes them.

    A subclassed network names only what it takes in a dictionary; in a list they count from 0.
    """
    inner = _functional(network)
    if inner is not None:
        return keras.tree.map_structure(
            lambda tensor: _Socket(tensor.name, tuple(tensor.shape), str(tensor.dtype)),
            inner.input,
        )
    built = (network.get_build_config() or {}).get("input_shape")
    if not built:
        raise ModelError(
            "the model does not say what it takes: it was saved before it was ever called",
            "call it on one picture before saving it",
        )
    if isinstance(built, dict):
        return {name: _built_socket(name, shape) for name, shape in built.items()}
    if isinstance(built[0], list | tuple):
        return [_built_socket(str(place), shape) for place, shape in enumerate(built)]
    return _built_socket("input", built)


def _built_socket(name: str, shape: Any) -> _Socket:
    return _Socket(name, (None, *shape[1:]))  # the batch it was built with is not a limit


def _picture_socket(sockets: list[_Socket], given: Mapping[str, Any]) -> _Socket:
    pictures = [socket for socket in sockets if _is_picture(socket.shape)]
    if not pictures and len(sockets) == 1 and _is_grey(sockets[0].shape):
        pictures = sockets
    free = [socket for socket in pictures if socket.name not in given]
    if len(free) == 1:
        return free[0]
    listed = ", ".join(f"{socket.name} {_text(socket.shape)}" for socket in sockets)
    if free:
        raise ModelError(
            f"the model has several picture inputs: {listed}",
            "give all but one with --input NAME=FILE.npy",
        )
    if pictures:
        raise ModelError(
            f"--input was given for every picture input of the model: {listed}",
            "leave out the one that the pictures are for",
        )
    raise ModelError(
        f"the model takes no picture: {listed}", "an input of height x width x 1 or 3 is needed"
    )


def _is_picture(shape: Shape) -> bool:
    return len(shape) == _PICTURE_RANK and (shape[3] in _CHANNELS or shape[1] in _CHANNELS)


def _is_grey(shape: Shape) -> bool:
    """Return whether an input ``[N, h, w]`` passes for a grey image."""
    return len(shape) == _PICTURE_RANK - 1 and all((s or 0) >= _SMALLEST_GREY for s in shape[1:])


def _text(shape: Shape) -> str:
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
    sockets: list[_Socket], picture: str, given: dict[str, NDArray[Any]]
) -> tuple[NDArray[Any] | None, ...]:
    names = [socket.name for socket in sockets]
    for name in given:
        if name not in names:
            raise ModelError(
                f"the model has no input {name!r}",
                suggestion(name, names, f"its inputs are {', '.join(names)}"),
            )
    values: list[NDArray[Any] | None] = []
    for socket in sockets:
        if socket.name == picture:
            values.append(None)
        elif socket.name in given:
            values.append(_fitted(socket.name, given[socket.name], socket.shape[1:]))
        else:
            raise ModelError(
                f"the model also needs its input {socket.name!r} ({_text(socket.shape)})",
                f"give one value for all pictures: --input {socket.name}=FILE.npy",
            )
    return tuple(values)


def _fitted(name: str, value: NDArray[Any], shape: Shape) -> NDArray[Any]:
    if value.ndim == len(shape) + 1 and value.shape[0] == 1:
        value = value[0]
    fits = value.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, value.shape, strict=True)
    )
    if not fits or value.dtype.kind not in "buif":
        raise ModelError(
            f"--input {name} is {value.dtype} {_text((None, *value.shape))}, "
            f"the model wants {_text((None, *shape))}",
            "save an array of that shape with numpy.save",
        )
    return value


def _output(network: Any, asked: str) -> str:
    names = output_names(network)
    if asked and names and asked not in names:
        raise _no_output(asked, names)
    if not asked and len(names) > 1:
        raise _several_outputs(names)
    return asked


def _no_output(asked: str, names: list[str]) -> ModelError:
    return ModelError(
        f"the model has no output {asked!r}",
        suggestion(asked, names, f"its outputs are {', '.join(names)}"),
    )


def _several_outputs(names: list[str]) -> ModelError:
    return ModelError(
        f"the model has several outputs: {', '.join(names)}", "choose one with --output NAME"
    )


def output_names(network: Any) -> list[str]:
    """Return the names of a network's outputs, in order; empty where only a call would show."""
    inner = _functional(network)
    return [] if inner is None else _names(inner.output, getattr(inner, "output_names", None))


def _names(structure: Any, names: list[str] | None) -> list[str]:
    """Return the names of flat outputs: keys of a dictionary, given names, or numbers from 0."""
    if isinstance(structure, dict):
        return sorted(structure)
    count = len(keras.tree.flatten(structure))
    if names is not None and len(set(names)) == count:
        return list(names)
    return [str(place) for place in range(count)]


def run(network: Any, ports: Ports, pictures: Any) -> Any:
    """Call a network on float32 ``[n, h, w, channels]`` and return its output with the classes.

    Dropout, augmentation and noise are off, and normalisation uses its stored statistics. Raises
    ModelError when the output that the ports name is not there.
    """
    count = pictures.shape[0] if pictures.shape[0] is not None else tf.shape(pictures)[0]
    if ports.transposed:
        pictures = tf.transpose(pictures, (0, 2, 1, 3))
    if ports.channels_first:
        pictures = tf.transpose(pictures, (0, 3, 1, 2))
    elif ports.no_channels:
        pictures = tf.squeeze(pictures, -1)
    sockets = _sockets(network) if len(ports.constants) > 1 else _Socket("", ())
    values = [
        pictures if value is None else _repeated(value, count, socket.dtype)
        for value, socket in zip(ports.constants, keras.tree.flatten(sockets), strict=True)
    ]
    arguments = keras.tree.pack_sequence_as(sockets, values)
    return _chosen(network(arguments, training=False), ports.output, network)


def _repeated(value: NDArray[Any], count: Any, dtype: str) -> Any:
    constant = tf.constant(value.astype(dtype or "float32"))[None]
    return tf.tile(constant, tf.stack([count, *[1] * value.ndim]))


def _chosen(output: Any, asked: str, network: Any) -> Any:
    flat = keras.tree.flatten(output)
    names = output_names(network) or _names(output, None)
    if asked:
        if asked not in names:
            raise _no_output(asked, names)
        return output[asked] if isinstance(output, dict) else flat[names.index(asked)]
    if len(flat) > 1:
        raise _several_outputs(names)
    return flat[0]
