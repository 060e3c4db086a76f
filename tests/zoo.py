"""The zoo: every kind of model structure, once; the list behind test_matrix.py and docs/models.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tests import zoo_nets as nets
from tests import zoo_tokens as tokens
from tests.zoo_nets import Built, bottom, conv

__all__ = ["CASES", "Case"]

L = keras.layers
CLASS = "HDF5 holds no subclassed models"
OPS = "Keras cannot read its own operations back from HDF5"


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of structure.

    ``layer`` is asked for by name, ``default`` is the automatic layer that must be found, with
    ``grid``. ``tolerance`` is relative to the reference map's maximum; ``inside`` the scaling that
    must be measured in the model. ``no_h5`` says why there is no HDF5 file.
    """

    name: str
    says: str
    build: Callable[[], Built]
    layer: str
    default: str
    grid: tuple[int, int]
    classes: tuple[int, ...] = (0, 2)
    call: int = 0
    output: str = ""
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    inside: str = "0..1"
    tolerance: float = 1e-4
    no_h5: str = ""
    unsafe: bool = False


SOFTMAX: dict[str, tuple[str, Callable[[Any, Any], Any], int]] = {
    "activation": ("an `Activation` layer", lambda dense, x: L.Activation("softmax")(dense(x)), 0),
    "layer": ("a `Softmax` layer", lambda dense, x: L.Softmax()(dense(x)), 0),
    "ops": ("`keras.ops.softmax`", lambda dense, x: keras.ops.softmax(dense(x)), 0),
    "log": ("`keras.ops.log_softmax`", lambda dense, x: keras.ops.log_softmax(dense(x)), 0),
    "reshape": (
        "an activation followed by a `Reshape`",
        lambda dense, x: L.Reshape((1, 1, 4))(dense(x)),
        1,
    ),
    "cast": (
        "an activation followed by a cast",
        lambda dense, x: keras.ops.cast(dense(x), "float64"),
        1,
    ),
    "lambda": (
        "a `Lambda` layer (its code must be trusted: `--unsafe-load`)",
        lambda dense, x: L.Lambda(keras.ops.softmax)(dense(x)),
        0,
    ),
}


def _softmax(name: str) -> Case:
    says, end, tail = SOFTMAX[name]
    return Case(
        f"softmax-{name}",
        f"Softmax as {says}.",
        partial(nets.softmax_spelt, end, tail),
        "conv2",
        "conv2",
        (5, 5),
        classes=(0, 3),
        unsafe=name == "lambda",
        no_h5=OPS if name in ("log", "cast") else "",
    )


CASES: tuple[Case, ...] = (
    Case(
        "functional",
        'Functional: convolutions, pooling, a dense layer with `activation="softmax"`.',
        nets.functional,
        "conv1",
        "conv2",
        (14, 14),
    ),
    Case(
        "sequential",
        "Sequential with an `Input`.",
        partial(nets.sequential, True),
        "conv2",
        "conv2",
        (5, 5),
    ),
    Case(
        "sequential-no-input",
        "Sequential without an `Input`, built by its first call.",
        partial(nets.sequential, False),
        "conv2",
        "conv2",
        (5, 5),
    ),
    Case(
        "nested",
        "Transfer learning: augmentation, `Rescaling`, a backbone nested in the model, dropout.",
        nets.nested,
        "base/conv2",
        "base/relu",
        (5, 5),
        inside="-1..1",
    ),
    Case(
        "nested-twice",
        "A backbone nested in a model that is nested in the model.",
        partial(nets.nested, True),
        "outer/base/conv2",
        "outer/base/relu",
        (5, 5),
        inside="-1..1",
    ),
    Case(
        "nested-sequential",
        "A Functional backbone in a Sequential in a Sequential (Teachable Machine's way).",
        nets.nested_in_sequential,
        "front/base/relu",
        "front/base/relu",
        (5, 5),
        inside="nothing",
    ),
    Case(
        "holding-layer",
        "A custom layer that holds layers, asked for by a layer inside it.",
        nets.holding_layer,
        "block/first",
        "block",
        (10, 10),
    ),
    Case(
        "shared-last",
        "A layer that is called twice: the last call is taken.",
        partial(nets.shared, 2),
        "twice",
        "twice",
        (3, 3),
    ),
    Case(
        "shared-first",
        "A layer that is called twice: `--call 1` takes the first call.",
        partial(nets.shared, 1),
        "twice",
        "twice",
        (10, 10),
        call=1,
    ),
    Case(
        "residual",
        "A layer inside a residual branch, past which the picture also reaches the score.",
        nets.residual,
        "branch",
        "relu",
        (10, 10),
    ),
    Case(
        "parallel",
        "One of several parallel branches.",
        nets.parallel,
        "broad",
        "join",
        (12, 12),
        inside="nothing",
    ),
    Case(
        "squeeze-excite",
        "Squeeze and excite: the map also steers its own channels.",
        nets.squeeze_excite,
        "conv",
        "excite",
        (10, 10),
    ),
    Case(
        "subclassed",
        "A subclassed model (its class is given with `--custom-objects`).",
        partial(nets.subclassed, False),
        "conv",
        "block",
        (10, 10),
        no_h5=CLASS,
    ),
    Case(
        "subclassed-function",
        "A subclassed model whose call is a `@tf.function` with an `if` on a tensor.",
        partial(nets.subclassed, True),
        "conv",
        "block",
        (10, 10),
        no_h5=CLASS,
    ),
    Case(
        "subclassed-dictionaries",
        "A subclassed model that takes and gives dictionaries (`--input`, `--output`).",
        nets.two_sided,
        "conv",
        "conv",
        (10, 10),
        output="kind",
        constants={"table": nets.TABLE},
        no_h5=CLASS,
    ),
    Case(
        "outputs",
        "Several outputs in a list: `--output NAME`.",
        partial(nets.several_outputs, False),
        "conv",
        "conv",
        (10, 10),
        output="kind",
    ),
    Case(
        "outputs-named",
        "Several outputs in a dictionary: `--output KEY`.",
        partial(nets.several_outputs, True),
        "conv",
        "conv",
        (10, 10),
        output="what",
    ),
    Case(
        "inputs",
        "Several inputs: one picture, the others constant by `--input NAME=FILE.npy`.",
        nets.several_inputs,
        "conv",
        "conv",
        (10, 10),
        constants={"table": nets.TABLE},
    ),
    Case(
        "siamese",
        "Two pictures through one shared layer: the call that sees the picture is taken.",
        nets.siamese,
        "conv",
        "conv",
        (10, 10),
        classes=(0, 1),
        constants={"other": nets.OTHER},
    ),
    Case(
        "sigmoid",
        "One sigmoid unit: class 1 is +z, class 0 is -z.",
        partial(nets.headed, 1, "sigmoid"),
        "norm",
        "norm",
        (5, 5),
        classes=(0, 1),
    ),
    Case(
        "multi-label",
        "Several sigmoid units: independent labels.",
        partial(nets.headed, 4, "sigmoid"),
        "norm",
        "norm",
        (5, 5),
    ),
    Case(
        "linear",
        "A linear head: its output already is the logit.",
        partial(nets.headed, 4, None),
        "norm",
        "norm",
        (5, 5),
    ),
    Case(
        "regression",
        "Regression: one linear unit, class 0.",
        partial(nets.headed, 1, None),
        "norm",
        "norm",
        (5, 5),
        classes=(0,),
    ),
    *(_softmax(name) for name in SOFTMAX),
    Case(
        "softmax-nested",
        "Softmax inside a nested head.",
        nets.softmax_nested,
        "conv2",
        "conv2",
        (5, 5),
    ),
    Case(
        "ensemble",
        "An averaged ensemble has no single softmax: the output itself is the score.",
        nets.ensemble,
        "conv",
        "conv",
        (10, 10),
    ),
    Case(
        "gru",
        "Convolutions, then `Reshape` and a GRU.",
        partial(tokens.recurrent, "gru"),
        "conv2",
        "conv2",
        (3, 5),
    ),
    Case(
        "lstm",
        "Convolutions, then a bidirectional LSTM over the columns.",
        partial(tokens.recurrent, "lstm"),
        "conv2",
        "conv2",
        (3, 5),
    ),
    Case(
        "transformer",
        "A vision transformer that averages its tokens.",
        partial(tokens.transformer, False),
        "norm",
        "norm",
        (4, 4),
    ),
    Case(
        "transformer-token",
        "A vision transformer with a class token: the last attention's normalised tokens.",
        partial(tokens.transformer, True),
        "norm2a",
        "norm2a",
        (4, 4),
        no_h5=OPS,
    ),
    Case(
        "transformer-wide",
        "Tokens of a picture that is not square, behind a class token.",
        partial(tokens.transformer, True, (16, 24)),
        "norm2a",
        "norm2a",
        (4, 6),
        no_h5=OPS,
    ),
    Case(
        "transformer-reshaped",
        "Patches cut by reshapes and transpositions.",
        partial(tokens.transformer, False, (8, 16), patches="reshape"),
        "norm",
        "norm",
        (2, 4),
    ),
    Case(
        "windows",
        "Attention inside windows, as in Swin.",
        tokens.windows,
        "patches",
        "norm",
        (4, 4),
    ),
    Case(
        "mixer",
        "Tokens mixed without attention (MLP-Mixer).",
        tokens.mixer,
        "norm",
        "norm",
        (4, 3),
    ),
    Case(
        "float16",
        "`mixed_float16`: the map is float32 and near that of a float32 twin.",
        partial(nets.headed, 4, "softmax", "mixed_float16"),
        "norm",
        "norm",
        (5, 5),
        tolerance=1e-2,
    ),
    Case(
        "bfloat16",
        "`mixed_bfloat16`, likewise.",
        partial(nets.headed, 4, "softmax", "mixed_bfloat16"),
        "norm",
        "norm",
        (5, 5),
        tolerance=5e-2,
    ),
    Case(
        "channels-first",
        "Layers that work on channels first, behind a `Permute`.",
        partial(nets.channels_first, True),
        "relu",
        "relu",
        (5, 7),
    ),
    Case(
        "channels-first-input",
        "An input of channels x height x width.",
        partial(nets.channels_first, False),
        "relu",
        "relu",
        (5, 7),
    ),
    Case(
        "convolutional",
        "Fully convolutional, for pictures of any size (`--input-size`); classes 1 x 1 x C.",
        nets.fully_convolutional,
        "conv1",
        "classes",
        (18, 22),
        size=(20, 24),
    ),
    Case(
        "any-size",
        "An input of any size and a dense head.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv")], (None, None, 3)),
        "conv",
        "conv",
        (14, 18),
        size=(16, 20),
    ),
    Case(
        "wide",
        "Pictures that are not square, convolutions with other strides down than across.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv", strides=(1, 2))], (12, 20, 3)),
        "conv",
        "conv",
        (10, 9),
    ),
    Case(
        "grey",
        "Grey pictures of one channel.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv")], (12, 12, 1)),
        "conv",
        "conv",
        (10, 10),
    ),
    Case(
        "grey-bare",
        "Grey pictures without a channel axis (MNIST's way).",
        partial(bottom, [L.Rescaling(1 / 255), L.Reshape((14, 12, 1)), conv(6, "conv")], (14, 12)),
        "conv",
        "conv",
        (12, 10),
    ),
    Case(
        "fixed-batch",
        "A batch size fixed in the file: batches of just that size, the last one padded.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv")], (12, 12, 3), batch_size=4),
        "conv",
        "conv",
        (10, 10),
    ),
    Case(
        "integer-input",
        "An input of type uint8.",
        partial(bottom, [L.Rescaling(1 / 255), conv(6, "conv")], (12, 12, 3), dtype="uint8"),
        "conv",
        "conv",
        (10, 10),
    ),
    Case(
        "noise",
        "Dropout, noise and augmentation between the layers: all off.",
        partial(
            bottom,
            [
                L.Rescaling(1 / 255),
                L.RandomFlip(),
                L.RandomZoom(0.5),
                L.GaussianNoise(1.0),
                conv(6, "conv"),
                L.SpatialDropout2D(0.5),
                L.BatchNormalization(name="norm"),
                L.GaussianDropout(0.5),
                L.AlphaDropout(0.5),
            ],
            (12, 12, 3),
        ),
        "norm",
        "norm",
        (10, 10),
    ),
    Case(
        "convolutions",
        "Separable, depthwise, dilated, grouped and transposed convolutions; group normalisation.",
        partial(
            bottom,
            [
                L.Rescaling(1 / 255),
                L.SeparableConv2D(6, 3, name="separable"),
                L.DepthwiseConv2D(3, dilation_rate=2, name="depthwise"),
                conv(4, "dilated", dilation_rate=2),
                conv(4, "grouped", groups=2),
                L.ZeroPadding2D(1),
                L.Conv2DTranspose(4, 3, strides=2, name="transposed"),
                L.GroupNormalization(2, name="norm"),
            ],
            (16, 16, 3),
        ),
        "norm",
        "norm",
        (13, 13),
    ),
    Case(
        "normalization",
        "An adapted `Normalization` in front.",
        nets.adapted,
        "conv",
        "conv",
        (10, 10),
        inside="-1.75..1.75",
    ),
    Case(
        "preprocess-input",
        "An application's `preprocess_input`, called on the input (here: BGR, mean subtracted).",
        nets.preprocessed,
        "conv",
        "conv",
        (10, 10),
        inside="-123.68..151.06",
        no_h5=OPS,
    ),
    Case(
        "norm-first",
        "Batch normalisation first: no known scaling, `--preprocess` has to say it.",
        partial(bottom, [L.BatchNormalization(name="norm"), conv(6, "conv")], (12, 12, 3)),
        "conv",
        "conv",
        (10, 10),
        inside="nothing",
    ),
    Case(
        "segmentation",
        "A map of classes: a class's score is summed over the cells where it wins.",
        partial(nets.segmentation, "softmax"),
        "conv3",
        "conv3",
        (16, 16),
    ),
    Case(
        "segmentation-sigmoid",
        "A map of independent classes: each is summed over the cells where it is likely.",
        partial(nets.segmentation, "sigmoid"),
        "conv3",
        "conv3",
        (16, 16),
    ),
    Case(
        "segmentation-first",
        "A map of classes with channels first.",
        partial(nets.segmentation, "softmax", True),
        "conv2",
        "conv2",
        (8, 8),
    ),
    Case(
        "quantized",
        "Dense layers quantised to int8 behind the feature map.",
        nets.quantized,
        "conv",
        "conv",
        (10, 10),
    ),
)
