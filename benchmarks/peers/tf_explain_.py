"""tf-explain: one class a call for all that is passed, so a picture at a time.

``explain`` would draw overlays of the network's input size; its two steps before that are called
here, and drawn at the picture's size like all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _worker import Explain, likeliest, serve_peer


def make(weights: Path) -> Explain:
    """Return what explains a batch."""
    import tensorflow as tf
    from tf_explain.core.grad_cam import GradCAM

    vgg16 = tf.keras.applications.vgg16
    model = vgg16.VGG16(weights=str(weights))

    def one(x: np.ndarray, index: int) -> np.ndarray:
        found = GradCAM.get_gradients_and_filters(model, x, "block5_conv3", index, False)
        return GradCAM.generate_ponderated_output(*found)[0].numpy()

    def explain(pixels: np.ndarray, classes: int) -> Iterator[np.ndarray]:
        x = vgg16.preprocess_input(pixels)
        for indices in likeliest(model.predict(x, verbose=0), classes):
            yield np.stack([one(x[i : i + 1], int(index)) for i, index in enumerate(indices)])

    return explain


if __name__ == "__main__":
    serve_peer(make)
