"""Xplique: a batch a call, on the values before softmax as its guide advises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _worker import BATCH, Explain, likeliest, serve_peer


def make(weights: Path) -> Explain:
    """Return what explains a batch."""
    import tensorflow as tf
    from xplique.attributions import GradCAM

    vgg16 = tf.keras.applications.vgg16
    model = vgg16.VGG16(weights=str(weights), classifier_activation=None)
    gradcam = GradCAM(model, conv_layer="block5_conv3", batch_size=BATCH)

    def explain(pixels: np.ndarray, classes: int) -> Iterator[np.ndarray]:
        x = vgg16.preprocess_input(pixels)
        for indices in likeliest(model.predict(x, verbose=0), classes):
            yield gradcam(x, tf.one_hot(indices, 1000)).numpy()[..., 0]

    return explain


if __name__ == "__main__":
    serve_peer(make)
