"""tf-keras-vis: a batch a call, softmax replaced as its guide advises.

The score takes the value of a rank, so that no prediction is needed to name the classes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _worker import Explain, serve_peer


def make(weights: Path) -> Explain:
    """Return what explains a batch."""
    import tensorflow as tf
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear

    vgg16 = tf.keras.applications.vgg16
    gradcam = Gradcam(vgg16.VGG16(weights=str(weights)), model_modifier=ReplaceToLinear())

    def explain(pixels: np.ndarray, classes: int) -> Iterator[np.ndarray]:
        x = vgg16.preprocess_input(pixels)
        for rank in range(classes):

            def score(output: tf.Tensor, rank: int = rank) -> tf.Tensor:
                return tf.math.top_k(output, rank + 1).values[:, rank]

            yield gradcam(score, x, penultimate_layer="block5_conv3")

    return explain


if __name__ == "__main__":
    serve_peer(make)
