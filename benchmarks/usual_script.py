"""Grad-CAM as most scripts do it: pictures one by one, a rebuilt model, a tape, OpenCV.

``python benchmarks/usual_script.py MODEL WEIGHTS OUTPUT PICTURE...`` writes one overlay a picture;
WEIGHTS is a weights file or ``random``. It is what the README's speed table compares with.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

LAYERS = {"VGG16": "block5_conv3", "MobileNetV2": "out_relu"}
SIZE = (224, 224)


def build(name: str, weights: str) -> tuple[Any, Any]:
    """Return the model, and the rebuilt one that also gives the last convolution."""
    model = getattr(keras.applications, name)(weights=None)
    if weights != "random":
        model.load_weights(weights)
    layer = model.get_layer(LAYERS[name])
    return model, keras.Model(model.inputs, [layer.output, model.output])


def explain(grad_model: Any, path: Path, output: Path, classes: int = 1) -> None:
    """Write the overlays of one picture's likeliest classes."""
    picture = cv2.imread(str(path))
    x = cv2.resize(picture, SIZE)[..., ::-1].astype("float32")[None] / 127.5 - 1
    order = None
    for rank in range(classes):
        with tf.GradientTape() as tape:
            features, predictions = grad_model(x)
            order = np.argsort(-predictions[0].numpy()) if order is None else order
            score = predictions[:, order[rank]]
        gradients = tape.gradient(score, features)
        pooled = tf.reduce_mean(gradients, axis=(0, 1, 2))
        heat = tf.reduce_sum(features[0] * pooled, axis=-1).numpy()
        heat = np.maximum(heat, 0) / (heat.max() + 1e-12)
        heat = cv2.resize(heat, (picture.shape[1], picture.shape[0]))
        colour = cv2.applyColorMap(np.uint8(255 * heat), cv2.COLORMAP_JET)
        blended = np.clip(colour * 0.4 + picture, 0, 255).astype("uint8")
        cv2.imwrite(str(output / f"{path.stem}.{rank}.jpg"), blended)


def main(words: Sequence[str]) -> None:
    """Explain the pictures named on the command line."""
    name, weights, output, *pictures = words
    Path(output).mkdir(parents=True, exist_ok=True)
    _, grad_model = build(name, weights)
    for picture in pictures:
        explain(grad_model, Path(picture), Path(output))


if __name__ == "__main__":
    main(sys.argv[1:])
