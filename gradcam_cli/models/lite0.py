"""The weights file that is installed with the package becomes EfficientNet-Lite0 in Keras.

EfficientNet-Lite0 is EfficientNet-B0 (Tan and Le 2019, https://arxiv.org/abs/1905.11946) without
squeeze-and-excite and with ReLU6 in place of swish. It ends in global average pooling straight
into one dense layer, as CAM needs it.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.isolation import keras
from gradcam_cli.models.torchfile import read_weights

NAME = "efficientnet-lite0"
INPUT_SIZE = (224, 224)
INTERPOLATION = "bicubic"
"""How its training images were resized."""
_STAGES = (
    # expansion, kernel, stride, filters, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM, _HEAD, _CLASSES = 32, 1280, 1000

Weights = dict[str, NDArray[np.float32]]


def build(
    weights: Literal["imagenet", "random"] = "imagenet", seed: int | None = None
) -> keras.Model:
    """Build the network, with ImageNet weights or random ones (the same for the same seed).

    Takes float32 ``[N, 224, 224, 3]`` RGB, scaled as row ``lite0`` of SCALINGS says, and gives
    probabilities ``[N, 1000]``; layer ``logits`` has the scores before the softmax. Raises
    ModelError when the weights' package is missing or damaged.
    """
    values = read_weights() if weights == "imagenet" else None
    model, sources = _network()
    if values is None:
        _randomise(model, np.random.default_rng(seed))
    else:
        for name, source in sources.items():
            _assign(model.get_layer(name), source, values)
    return model


def _network() -> tuple[keras.Model, dict[str, str]]:
    """Return the network and, for each layer with weights, its name in the weights file."""
    # Keras's own initialisers, though real weights follow: they cost 0.05 s of 0.7, and layers that
    # came with "zeros" could never be drawn anew.
    sources: dict[str, str] = {}
    inputs = keras.Input((*INPUT_SIZE, 3), name="image")
    x = _conv(inputs, "stem_conv", _STEM, 3, stride=2)
    x = _norm(x, "stem_bn", activation="stem_activation")
    sources |= {"stem_conv": "_conv_stem", "stem_bn": "_bn0"}
    number = 0
    for stage, (expansion, kernel, stride, filters, blocks) in enumerate(_STAGES, start=1):
        for place in range(blocks):
            name = f"block{stage}{chr(ord('a') + place)}"
            x = _block(x, name, expansion, kernel, stride if place == 0 else 1, filters)
            sources |= _block_sources(name, f"_blocks.{number}", expansion)
            number += 1
    x = _conv(x, "head_conv", _HEAD, 1)
    x = _norm(x, "head_bn", activation="head_activation")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(_CLASSES, name="logits")(x)
    outputs = keras.layers.Activation("softmax", name="probabilities")(x)
    sources |= {"head_conv": "_conv_head", "head_bn": "_bn1", "logits": "_fc"}
    return keras.Model(inputs, outputs, name=NAME), sources


def _block(x: Any, name: str, expansion: int, kernel: int, stride: int, filters: int) -> Any:
    """Apply an inverted bottleneck: widen, filter each channel, narrow, add where shapes allow."""
    entry, channels = x, int(x.shape[-1])
    if expansion != 1:
        x = _conv(x, f"{name}_expand_conv", channels * expansion, 1)
        x = _norm(x, f"{name}_expand_bn", activation=f"{name}_expand_activation")
    depthwise = keras.layers.DepthwiseConv2D
    x = depthwise(kernel, stride, padding="same", use_bias=False, name=f"{name}_dwconv")(x)
    x = _norm(x, f"{name}_bn", activation=f"{name}_activation")
    x = _conv(x, f"{name}_project_conv", filters, 1)
    x = _norm(x, f"{name}_project_bn")
    if stride == 1 and channels == filters:
        x = keras.layers.Add(name=f"{name}_add")([entry, x])
    return x


def _block_sources(name: str, source: str, expansion: int) -> dict[str, str]:
    sources = {
        f"{name}_dwconv": f"{source}._depthwise_conv",
        f"{name}_bn": f"{source}._bn1",
        f"{name}_project_conv": f"{source}._project_conv",
        f"{name}_project_bn": f"{source}._bn2",
    }
    if expansion != 1:
        sources[f"{name}_expand_conv"] = f"{source}._expand_conv"
        sources[f"{name}_expand_bn"] = f"{source}._bn0"
    return sources


def _conv(x: Any, name: str, filters: int, kernel: int, stride: int = 1) -> Any:
    layer = keras.layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)
    return layer(x)


def _norm(x: Any, name: str, activation: str = "") -> Any:
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    return keras.layers.ReLU(6.0, name=activation)(x) if activation else x


def _assign(layer: Any, source: str, values: Weights) -> None:
    """Give a layer its weights, with axes moved from PyTorch's order to Keras's."""
    if isinstance(layer, keras.layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        layer.set_weights([values[f"{source}.{part}"] for part in parts])
        return
    kernel = values[f"{source}.weight"]
    if isinstance(layer, keras.layers.Dense):
        layer.set_weights([kernel.T, values[f"{source}.bias"]])
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        layer.set_weights([kernel.transpose(2, 3, 0, 1)])  # [K,1,h,w] -> [h,w,K,1]
    else:
        layer.set_weights([kernel.transpose(2, 3, 1, 0)])  # [out,in,h,w] -> [h,w,in,out]


def _randomise(model: keras.Model, rng: np.random.Generator) -> None:
    """Draw each kernel from a normal distribution of variance 2 / fan-in (He 2015, eq. 10)."""
    for layer in model.layers:
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        if not depthwise and not isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            continue
        shape = tuple(layer.kernel.shape)
        fan_in = math.prod(shape[:2] if depthwise else shape[:-1])
        kernel = rng.normal(0.0, math.sqrt(2 / fan_in), shape).astype(np.float32)
        layer.set_weights([kernel, *layer.get_weights()[1:]])
