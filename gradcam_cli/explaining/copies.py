"""An image is explained in several versions of itself, whose maps or gradients are averaged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import LayerFacts
from gradcam_cli.cam.gradients import moments
from gradcam_cli.cam.methods import METHODS
from gradcam_cli.cam.smoothing import noisy, smoothed, variations
from gradcam_cli.explaining.found import Found
from gradcam_cli.explaining.request import Request
from gradcam_cli.explaining.trace import Traced
from gradcam_cli.isolation import tf

_SEED = 0

Pixels = NDArray[np.uint8]


def averaged(
    request: Request, traced: Traced, pixels: Pixels, classes: NDArray[np.int32]
) -> dict[str, list[Found]]:
    """Return the maps of mirrored and resized versions, brought back and averaged.

    ``pixels`` are ``[N, h, w, channels]``, ``classes`` those of the images themselves, ``[N, T]``.
    """
    assert request.spec is not None  # noqa: S101  somebody asked for it
    size = request.model.ports.size
    layers = traced.facts.layers
    every = [
        (variation, traced.explain(_float(variation.apply(pixels)), tf.constant(classes)))
        for variation in variations(request.spec.smooth)
    ]

    def found(name: str, at: int, layer: LayerFacts) -> Found:
        back = [
            variation.back(values["maps"][name][at].numpy(), size, layer.cells)
            for variation, values in every
        ]
        flat = [values["flat"][name][at].numpy() for _, values in every]
        maps = smoothed([each for each, _ in back], [seen for _, seen in back])
        return Found(layer, maps, np.logical_and.reduce(flat))

    return {
        name: [found(name, at, layer) for at, layer in enumerate(layers)]
        for name in every[0][1]["maps"]
    }


def over_noise(
    request: Request, traced: Traced, pixels: Pixels, classes: NDArray[np.int32]
) -> dict[str, list[Found]]:
    """Return the maps of the methods that average powers of the gradient over noisy versions."""
    spec = request.spec
    assert spec is not None  # noqa: S101  somebody asked for it
    given = tf.constant(classes)
    A = [each.numpy() for each in traced.slopes(_float(pixels), given)["activations"]]
    powers = [[np.float32(0)] * 3 for _ in A]
    for sample in range(spec.samples):
        seen = noisy(pixels, sample, spec.noise, _SEED)
        for sums, slope in zip(
            powers, traced.slopes(tf.constant(seen), given)["gradients"], strict=True
        ):
            for power, each in enumerate(moments(slope.numpy())):
                sums[power] = sums[power] + each
    means = [[each / np.float32(spec.samples) for each in sums] for sums in powers]
    return {
        name: [
            Found(
                layer,
                np.stack(
                    [
                        METHODS[name].compute(each, *(part[:, t] for part in parts), np)
                        for t in range(classes.shape[1])
                    ],
                    axis=1,
                ),
                (parts[1] == 0).all(axis=(2, 3, 4)),
            )
            for layer, each, parts in zip(traced.facts.layers, A, means, strict=True)
        ]
        for name in request.of_kinds("noise")
    }


def _float(pixels: Pixels) -> Any:
    return tf.constant(pixels, tf.float32)
