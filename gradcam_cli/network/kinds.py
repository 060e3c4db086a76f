"""Kinds of TensorFlow operations, by what they do: every list of them that the network needs."""

from __future__ import annotations

from typing import Literal

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
"""Windows over rows and columns, with weights."""

PRODUCTS = ("MatMul", "BatchMatMulV2", "Einsum")

WEIGHTED = (*CONVOLUTIONS, "Conv3D", *PRODUCTS)
"""What learned weights enter by."""

COPIES = ("Identity", "Cast", "StopGradient")
"""The same numbers in the same order and shape."""

SAME_NUMBERS = (*COPIES, "Reshape", "Squeeze", "ExpandDims", "Transpose")
"""The same numbers, maybe in another shape."""

VIEWS = {"Const", "ExpandDims", "Identity", "Placeholder", "ReadVariableOp", "Reshape", "Squeeze"}
"""What gives memory that is there already."""

SHRINKING = ("Pool", "Pad", "Slice", "Resize", "Tile", "Reverse")
"""Parts of the names of what changes a grid and computes no features."""

ACTIVATIONS: dict[str, Literal["softmax", "sigmoid"]] = {
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
    "Sigmoid": "sigmoid",
}
"""What makes probabilities of logits."""
