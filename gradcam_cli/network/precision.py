"""What layers compute in: float32, or bfloat16 where the processor is made for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradcam_cli.isolation import keras, tf
from gradcam_cli.network.anatomy import Anatomy, FeatureMap, ancestors
from gradcam_cli.network.footprint import on_gpu

_FLAGS = ("avx512_bf16", "amx_bf16")
_PRODUCTS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    keras.layers.EinsumDense,
)
_PICKING = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.MaxPooling3D)


def has_bfloat16() -> bool:
    """Return whether this machine multiplies bfloat16 faster than float32: some CPUs, and GPUs."""
    if on_gpu():
        return True
    try:
        features = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return any(flag in features for flag in _FLAGS)


def keep_float32() -> None:
    """Have float32 computed as such on GPUs, so that maps there are those of a CPU.

    TensorFlow lets newer ones round what goes into large products to 10 bits (TensorFloat-32).
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)


def trunk(anatomy: Anatomy, chosen: FeatureMap) -> list[Any]:
    """Return the layers on the way to the chosen feature map that may compute in bfloat16.

    Those are the large products, where nearly all time goes, and what only picks numbers out; sums,
    normalisation and depthwise convolutions gain nothing by it and lose digits. The first weights,
    which see the pixels, and the head need float32.
    """
    before = ancestors(chosen.step.tensor)
    layers = {
        id(each.step.layer): each.step.layer
        for each in anatomy.maps
        if each.step.tensor.op.name in before and _can_be_lowered(each.step.layer)
    }
    found = list(layers.values())
    first = next((layer for layer in found if isinstance(layer, _PRODUCTS)), None)
    return [layer for layer in found if layer is not first]


def _can_be_lowered(layer: Any) -> bool:
    # A quantised layer's policy says how to read its integers; it must stay.
    quantized = getattr(layer, "quantization_mode", None) is not None
    return isinstance(layer, (*_PRODUCTS, *_PICKING)) and not quantized


@contextmanager
def in_bfloat16(layers: Iterable[Any]) -> Iterator[None]:
    """Give layers the policy ``mixed_bfloat16`` while the block runs: weights stay float32."""
    policies = [(layer, layer.dtype_policy) for layer in layers]
    try:
        for layer, _ in policies:
            layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
        yield
    finally:
        for layer, policy in policies:
            layer.dtype_policy = policy
